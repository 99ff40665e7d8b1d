"""Checks the documentation that is rendered, from its JSON form: every public type has an example, the first line of every item stands
alone, and no line is too long to read. Checks the lines of all Markdown files as well.

    .ci/doc_pages.py FILE           the check
    .ci/doc_pages.py FILE --count   how many pages there are, and how many have no example
"""

import json
import re
import subprocess
import sys
from pathlib import Path

MAX_COLUMNS = 100
PAGES = {"struct", "enum", "trait", "union"}
# First lines that mean nothing without what stands around them.
ALONE = re.compile(r"(The same|From|For|With|As|That|This|These|Those|Whoever|Whose|What|It|Like|After|Before)\b")
# A table row, a link definition, a line that is one link.
EXEMPT = re.compile(r"\||\[[^\]]+\]: |\S*\[[^\]]*\]\(\S+\)\S*$")
RUST = re.compile(r"(rust)?(,?(no_run|should_panic|compile_fail|ignore|test_harness|E\d+))*$")

documentation = json.load(open(sys.argv[1], encoding="utf-8"))
index, paths = documentation["index"], documentation["paths"]
problems = []
pages, without_example = 0, []


def kind_of(item):
    return next(iter(item["inner"]))


def has_example(docs):
    fences = re.findall(r"^```(.*)$", docs, re.MULTILINE)
    return any(RUST.match(fence) for fence in fences[::2])


def check_lines(text, name):
    for line in text.split("\n"):
        if len(line) > MAX_COLUMNS and not EXEMPT.match(line):
            problems.append(f"{name}: a line of {len(line)} columns: {line[:60]}...")


for item_id, item in index.items():
    if item["crate_id"] != 0 or kind_of(item) in ("impl", "import", "use"):
        continue
    docs = item["docs"] or ""
    path = paths.get(item_id)
    name = "::".join(path["path"]) if path else item["name"]
    check_lines(docs, name)
    first = docs.split("\n\n")[0].replace("\n", " ").strip()
    if first and ALONE.match(first):
        problems.append(f"{name}: the first line does not stand alone: {first[:80]}")
    if path and kind_of(item) in PAGES:
        pages += 1
        if not has_example(docs):
            without_example.append(name)

for file in subprocess.run(["git", "ls-files", "*.md"], check=True, capture_output=True, text=True).stdout.splitlines():
    check_lines(Path(file).read_text(encoding="utf-8"), file)

if "--count" in sys.argv:
    print(f"{pages} pages of types, {len(without_example)} without an example")
    sys.exit()
problems += [f"{name}: there is no example" for name in without_example]
print("\n".join(sorted(problems)))
print(f"{pages} pages of types, {len(without_example)} without an example, {len(problems)} problems")
sys.exit(bool(problems))
