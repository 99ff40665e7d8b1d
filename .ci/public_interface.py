"""Checks that the public interface contains no types of dependencies, except those of `serde`. The simulator may use the library's."""

import json
import sys

# The traits of `serde` are the ecosystem's standard to read and write values.
ALLOWED = {"azure_iot_dps", "core", "alloc", "std", "serde", "serde_core"}

with open(sys.argv[1], encoding="utf-8") as file:
    docs = json.load(file)
paths, crates, index = docs["paths"], docs["external_crates"], docs["index"]


own = index[str(docs["root"])]["name"]


def crate_of(item):
    entry = paths.get(str(item))
    if entry is None:
        return None
    if entry["crate_id"] == 0:
        return own
    return crates[str(entry["crate_id"])]["name"]


found = set()
seen = set()


def walk(node, where):
    """Finds every type and trait that is named in the node: both have an `id` and a `path`."""
    if isinstance(node, dict):
        if "id" in node and "path" in node:
            crate = crate_of(node["id"])
            seen.add(crate)
            if crate is not None and crate not in ALLOWED | {own}:
                found.add((crate, node["path"], where))
        for value in node.values():
            walk(value, where)
    elif isinstance(node, list):
        for value in node:
            walk(value, where)


def synthetic(item):
    """Returns whether an item is an automatic or a blanket implementation, which the crate does not write."""
    implementation = item["inner"].get("impl")
    return implementation is not None and (implementation["is_synthetic"] or implementation["blanket_impl"] is not None)


checked = 0
for item in index.values():
    if item["crate_id"] == 0 and not synthetic(item):
        checked += 1
        used = item["inner"].get("use")
        if used is not None and crate_of(used["id"]) not in ALLOWED | {own, None}:
            found.add((crate_of(used["id"]), used["source"], "a re-export"))
        span = item.get("span") or {"filename": "?", "begin": [0]}
        walk(item["inner"], f"{span['filename']}:{span['begin'][0]} {item.get('name') or 'impl'}")

for crate, path, where in sorted(found):
    print(f"{crate}: {path} at {where}")
print(f"{checked} public items, {len(found)} foreign types")
# If a crate that is known to be used was not found, the script no longer understands the form of the documentation.
known = {own, "core", "serde_core" if own == "azure_iot_dps" else "azure_iot_dps"}
sys.exit(1 if found or not known <= seen else 0)
