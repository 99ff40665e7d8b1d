"""Checks the documentation that is rendered, from its JSON form: every public type has an example, the first line of every item stands
alone, and no line is too long to read.

    .ci/doc_pages.py FILE           the check
    .ci/doc_pages.py FILE --count   how many pages there are, and how many have no example
"""

import json
import re
import sys

MAX_COLUMNS = 100
PAGES = {"struct", "enum", "trait", "union"}
# First lines that mean nothing without what stands around them.
ALONE = re.compile(r"(The same|From|For|With|As|That|This|These|Those|Whoever|Whose|What|It|Like)\b(?! is\b)")

documentation = json.load(open(sys.argv[1], encoding="utf-8"))
index, paths = documentation["index"], documentation["paths"]
problems = []
pages, without_example = 0, []


def kind_of(item):
    return next(iter(item["inner"]))


def has_example(docs):
    fences = re.findall(r"^```(.*)$", docs, re.MULTILINE)
    return any(not fence.startswith("text") for fence in fences[::2])


for item_id, item in index.items():
    if item["crate_id"] != 0 or kind_of(item) in ("impl", "import", "use"):
        continue
    docs = item["docs"] or ""
    path = paths.get(item_id)
    name = "::".join(path["path"]) if path else item["name"]
    in_code = False
    for line in docs.split("\n"):
        in_code ^= line.startswith("```")
        is_exempt = line.startswith("|") or re.match(r"\[[^\]]+\]: ", line) or "](" in line and not in_code
        if len(line) > MAX_COLUMNS and not is_exempt:
            problems.append(f"{name}: a line of {len(line)} columns: {line[:60]}...")
    first = docs.split("\n\n")[0].replace("\n", " ").strip()
    if first and ALONE.match(first) and kind_of(item) != "module":
        problems.append(f"{name}: the first line does not stand alone: {first[:80]}")
    if path and kind_of(item) in PAGES:
        pages += 1
        if not has_example(docs):
            without_example.append(name)

if "--count" in sys.argv:
    print(f"{pages} pages of types, {len(without_example)} without an example")
    sys.exit()
problems += [f"{name}: there is no example" for name in without_example]
print("\n".join(sorted(problems)))
print(f"{pages} pages of types, {len(without_example)} without an example, {len(problems)} problems")
sys.exit(bool(problems))
