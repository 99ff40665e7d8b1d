"""Checks the licence of everything that the crate is built from, tests and tools included, and what Rust it needs."""

import json
import re
import subprocess
import sys

ALLOWED = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",  # Mozilla's list of roots
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
}


def allowed(expression):
    """Whether an SPDX expression can be met with the licences above; "/" is how old crates write "OR"."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        result = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = conjunction() or result
        return result

    def conjunction():
        result = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = licence() and result
        return result

    def licence():
        name = tokens.pop(0)
        if name == "(":
            result = alternatives()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            name = " ".join([name, tokens.pop(0), tokens.pop(0)])
        return name in ALLOWED

    return alternatives() and not tokens


assert allowed("(MIT OR GPL-3.0) AND ISC") and not allowed("MIT AND GPL-3.0") and allowed("MIT/Apache-2.0")

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"], check=True, capture_output=True
    ).stdout
)
packages = metadata["packages"]

# What the crate is built from must build with the compiler that it promises to build with; tests may want a newer one.
ours = next(p for p in packages if p["name"] == "azure-iot-dps")
names = {p["id"]: p for p in packages}
nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
built, todo = set(), [ours["id"]]
while todo:
    node = todo.pop()
    if node not in built:
        built.add(node)
        todo += [d["pkg"] for d in nodes[node]["deps"] if any(k["kind"] != "dev" for k in d["dep_kinds"])]


def version(text):
    numbers = [int(part) for part in text.split(".")]
    return numbers + [0] * (3 - len(numbers))


newer = [names[p] for p in built if version(names[p]["rust_version"] or "1.0") > version(ours["rust_version"])]
for package in newer:
    print(f"{package['name']} {package['version']} needs Rust {package['rust_version']}")
print(f"{len(built)} packages are built from, {len(newer)} need a Rust newer than {ours['rust_version']}")
refused = [p for p in packages if not (p["license"] and allowed(p["license"]))]
for package in refused:
    print(f"{package['name']} {package['version']}: {package['license'] or 'no licence named'}")
print(f"{len(packages)} packages, {len(refused)} with a licence that is not on the list")
sys.exit(1 if refused or newer or len(built) < 10 else 0)
