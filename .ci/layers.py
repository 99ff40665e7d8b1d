"""Checks the rules of `.github/CONTRIBUTING.md`: which module may use which, no dependency cycle
within a module, and the lengths of files and functions."""

import re
import sys
from pathlib import Path

# The modules of the crate, from the bottom up. Each may use those before it.
ROOMS = [
    "encoding", "zeroizing", "crypto", "time", "identity", "key", "sas", "attestation", "protocol", "assignment", "error",
    "registration", "transport", "hub", "client", "simulator", "guide",
]
# The two modules of a pair may not use each other.
APART = [("registration", "transport"), ("hub", "transport")]
MAX_LINES, MAX_FUNCTION = 400, 60

problems = []
arrows = 0
files = {}
for path in sorted(Path("src").rglob("*.rs")):
    if path.name in ("lib.rs", "tests.rs"):
        continue
    lines = path.read_text(encoding="utf-8").split("\n")
    files[path] = lines
    if len(lines) - 1 > MAX_LINES:
        problems.append(f"{path}: {len(lines) - 1} lines")
    for start, line in enumerate(lines):
        head = re.match(r"(\s*)(?:pub(?:\([a-z: ]+\))? )?(?:const |async )*fn (\w+)", line)
        if head:
            end = next((at for at in range(start, len(lines)) if lines[at] == head[1] + "}"), start)
            if end - start >= MAX_FUNCTION:
                problems.append(f"{path}: `{head[2]}` has {end - start + 1} lines")


def module(path):
    parts = list(path.with_suffix("").parts[1:])
    return tuple(parts[:-1] if parts[-1] == "mod" else parts)


modules = {module(path): path for path in files}
uses = {}
for path, lines in files.items():
    own = module(path)
    text = "\n".join(lines).split("#[cfg(test)]\nmod tests")[0]
    text = re.sub(r"//.*", "", text)
    for target in re.findall(r"\bcrate::((?:\w+::)*\w+)", text):
        names = target.split("::")
        room = names[0]
        if room not in ROOMS:
            continue
        arrows += 1
        if room != own[0]:
            if ROOMS.index(room) > ROOMS.index(own[0]) or (own[0], room) in APART or (room, own[0]) in APART:
                problems.append(f"{path}: uses `crate::{target}`, which is above or beside it")
            continue
        # Within the module, find the file that the longest prefix of the path names.
        target_module = next((tuple(names[:n]) for n in range(len(names), 0, -1) if tuple(names[:n]) in modules), own)
        if target_module != own:
            uses.setdefault(own, set()).add(target_module)


def circle(start):
    """Returns a path from a module back to itself, or `None`."""
    stack = [(start, (start,))]
    seen = set()
    while stack:
        at, way = stack.pop()
        for after in uses.get(at, ()):
            if after == start:
                return way + (start,)
            if after not in seen:
                seen.add(after)
                stack.append((after, way + (after,)))
    return None


for start in sorted(uses):
    way = circle(start)
    if way and start == min(way):
        problems.append("dependency cycle: " + " -> ".join("::".join(at) for at in way))

for problem in problems:
    print(problem)
print(f"{len(files)} files, {arrows} uses of modules, {len(problems)} problems")
# A small number of uses means that the script no longer understands the source.
sys.exit(1 if problems or arrows < 100 else 0)
