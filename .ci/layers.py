"""Checks the rules of `.github/CONTRIBUTING.md`: which module may use which, no files that depend on
each other in a circle, and the lengths of files and functions. `.ci/layers_test.py` tests it.

A file depends on the file in which an item is defined that it names: by a path that begins with
`crate`, `super`, `self`, or a module or name in scope, or by a list such as `use super::{a, b::C}`.
A name that a module merely imports or re-exports leads on to the file that defines it: if `a/mod.rs`
has `pub use b::C`, then `super::C` in `a/d.rs` is an item of `a/b.rs`, not of `a/mod.rs`.

These do not count as a dependency: `mod b;`, and `pub use b::C` if `a/mod.rs` itself does not use
`C`; otherwise each module that presents its files would be in a circle with them. So `a/b.rs` may
use what `a/mod.rs` defines only if `a/mod.rs` does nothing with `a/b.rs` but present it. Visibility
(`pub(in crate::a)`), documentation, texts and test modules do not count either.

Calls of methods have no path and are not seen."""

import re
import sys
from collections import deque
from pathlib import Path

# The modules of the crate, from the bottom up. Each may use those before it.
ROOMS = [
    "encoding", "zeroizing", "crypto", "time", "identity", "key", "sas", "attestation", "protocol", "assignment", "error",
    "registration", "transport", "hub", "client", "guide",
]
# The source folders, each with its modules in order, or with `None` if the order is free.
ROOTS = [("src", ROOMS), ("simulator/src", None)]
# The two modules of a pair may not use each other.
APART = [("registration", "transport"), ("hub", "transport")]
MAX_LINES, MAX_FUNCTION = 400, 60

# Comments and literals, or a token in the group `token`.
TOKEN = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | \b[bc]?r(?P<marks>\#*)".*?"(?P=marks) | \b[bc]"(?:\\.|[^"\\])*" | "(?:\\.|[^"\\])*"
    | \bb?'(?:\\.[^']*|[^'\\])' | '(?:\\.[^']*|[^'\\])' | (?P<token>\w+|::|\S)""",
    re.DOTALL | re.VERBOSE,
)
TEST_MODULE = ["#", "[", "cfg", "(", "test", ")", "]", "mod"]
ITEMS = {"const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"}


def is_name(token):
    return re.match(r"\w", token) is not None


class Module:
    """The names of a module: of a file, or of `mod name { ... }` in it."""

    def __init__(self, path):
        self.path = path
        self.defined = set()
        # What `use` brings into scope: a name or `*`, its path, and whether others get it from here.
        self.imports = []
        # The paths outside of `use`, and the names that stand alone.
        self.paths = []
        self.words = set()


def after_block(tokens, at):
    """Returns the place after the bracket that closes the one at `at`."""
    depth = 0
    for end in range(at, len(tokens)):
        depth += (tokens[end] in "({[") - (tokens[end] in ")}]")
        if depth == 0:
            return end + 1
    return len(tokens)


def read_use(tokens, at, prefix, found):
    """Reads a tree of `use` into pairs of a name and its path. Returns the place after the tree."""
    path = prefix
    while at < len(tokens):
        if tokens[at] == "{":
            at += 1
            while tokens[at] != "}":
                at = read_use(tokens, at, path, found)
                at += tokens[at] == ","
            return at + 1
        if tokens[at] != "::":
            path += (tokens[at],)
            if tokens[at + 1] != "::":
                break
        at += 1
    path = path[:-1] if path[-1] == "self" and len(path) > 1 else path
    if tokens[at + 1] == "as":
        found.append((tokens[at + 2], path))
        return at + 3
    found.append((path[-1], path))
    return at + 1


def read_file(text, own):
    """Returns the modules of a file, by their paths."""
    tokens = [match["token"] for match in TOKEN.finditer(text) if match["token"]]
    module = Module(own)
    modules, outer, depth, at, is_public = {own: module}, [], 0, 0, False
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1 : at + 3] + ["", ""]
        before = tokens[at - 1] if at else ""
        if tokens[at : at + len(TEST_MODULE)] == TEST_MODULE and tokens[at + 9 : at + 10] == ["{"]:
            at = after_block(tokens, at + 9)
            continue
        if token == "pub":
            at = after_block(tokens, at + 1) if following[0] == "(" else at + 1
            is_public = True
            continue
        if token == "mod" and following[1] == "{":
            outer.append((module, depth))
            module = modules.setdefault(module.path + (following[0],), Module(module.path + (following[0],)))
            depth, at = depth + 1, at + 2
        elif token == "mod" and following[1] == ";":
            at += 2
        elif token == "use" and (is_name(following[0]) or following[0] in ("::", "{")):
            found = []
            at = read_use(tokens, at + 1, (), found)
            module.imports += [(name, path, is_public) for name, path in found]
        elif token in "{}":
            depth += 1 if token == "{" else -1
            if outer and depth == outer[-1][1]:
                module, _ = outer.pop()
        elif is_name(token):
            level = outer[-1][1] + 1 if outer else 0
            name = following[1] if following[0] == "!" else following[0]
            if token in ITEMS and depth == level and is_name(name):
                module.defined.add(name)
            path = [token]
            while tokens[at + 1 : at + 2] == ["::"] and is_name((tokens[at + 2 : at + 3] or [""])[0]):
                path.append(tokens[at + 2])
                at += 2
            if before not in (".", "::", "'"):
                if len(path) > 1:
                    module.paths.append(tuple(path))
                if tokens[at + 1 : at + 2] != [":"] and before not in ITEMS:
                    module.words.add(token)
        is_public = False
        at += 1
    return modules


class Crate:
    """The modules below a source folder, and the arrows between its files."""

    def __init__(self, files):
        self.modules, self.file_of = {}, {}
        for own, (path, text) in files.items():
            for name, module in read_file(text, own).items():
                # `lib.rs` and `main.rs` are the same module here.
                known = self.modules.setdefault(name, module)
                if known is not module:
                    known.defined |= module.defined
                    known.imports += module.imports
                    known.paths += module.paths
                    known.words |= module.words
                self.file_of[name] = own
        # A folder may have no file of its own.
        for folder in {own[:length] for own in files for length in range(len(own))} - self.modules.keys():
            self.modules[folder], self.file_of[folder] = Module(folder), folder

    def step(self, at, name, seen):
        """Returns what a name means in a module: a module and whether the name is an item in it."""
        if name == "super":
            return at[:-1], False
        if name == "self":
            return at, False
        if (at, name) in seen or at not in self.modules:
            return None
        seen = seen | {(at, name)}
        for alias, path, _ in self.modules[at].imports:
            if alias == name and (target := self.resolve(at, path, seen)):
                return target
        if at + (name,) in self.modules:
            return at + (name,), False
        if name in self.modules[at].defined:
            return at, True
        for alias, path, _ in self.modules[at].imports:
            target = self.resolve(at, path[:-1], seen) if alias == "*" else None
            if target and (found := self.step(target[0], name, seen)):
                return found
        return None

    def resolve(self, at, path, seen=frozenset()):
        """Returns the module that a path leads to, and whether the path names an item in it, or
        `None` if the path leads out of the crate."""
        target = ((), False) if path[0] == "crate" else self.step(at, path[0], seen)
        for name in path[1:]:
            if target is None or target[1]:
                break
            # An item that is not found here may come from a macro.
            target = (target[0], False) if name == "*" else self.step(target[0], name, seen) or (target[0], True)
        return target

    def arrows(self, module):
        """Yields the paths by which a module depends on files: each with the module of its item."""
        file = self.file_of[module.path]
        for name, path, is_public in module.imports:
            target = self.resolve(module.path, path)
            presents = is_public and target and target[0][: len(file)] == file and name not in module.words
            if target and not presents and (target[1] or name == "*"):
                yield path, target[0]
        for path in module.paths:
            target = self.resolve(module.path, path)
            if target and target[1]:
                yield path, target[0]


def circles(uses):
    """Returns the shortest circle through each arrow, each circle once, from its first module on."""
    found = set()
    for start in uses:
        for second in uses[start]:
            ways, seen = deque([(start, second)]), {second}
            while ways:
                way = ways.popleft()
                if way[-1] == start:
                    first = way.index(min(way))
                    found.add(way[first:-1] + way[:first] + (min(way),))
                    break
                ways.extend(way + (after,) for after in uses.get(way[-1], ()) if after not in seen)
                seen.update(uses.get(way[-1], ()))
    return sorted(found)


def lengths(path, text):
    """Yields the problems with the lengths of a file and of its functions."""
    lines = text.split("\n")
    if len(lines) - 1 > MAX_LINES:
        yield f"{path}: {len(lines) - 1} lines"
    for start, line in enumerate(lines):
        head = re.match(r"(\s*)(?:pub(?:\([a-z: ]+\))? )?(?:const |async )*fn (\w+)", line)
        if head:
            end = next((at for at in range(start, len(lines)) if lines[at] == head[1] + "}"), start)
            if end - start >= MAX_FUNCTION:
                yield f"{path}: `{head[2]}` has {end - start + 1} lines"


def may_use(room, other, rooms):
    """Returns whether a module of the crate may use another one."""
    apart = (room, other) in APART or (other, room) in APART
    return room == other or (rooms.index(other) < rooms.index(room) and not apart)


def check(folder, rooms=None):
    """Returns the number of files below a folder, the number of arrows, and the problems."""
    problems, files = [], {}
    for path in sorted(Path(folder).rglob("*.rs")):
        if path.name == "tests.rs":
            continue
        text = path.read_text(encoding="utf-8")
        problems += lengths(path, text)
        parts = path.relative_to(folder).with_suffix("").parts
        own = parts[:-1] if parts[-1] in ("lib", "main", "mod") else parts
        if rooms and own and own[0] not in rooms:
            problems.append(f"{path}: `{own[0]}` is missing in the order of the modules")
            continue
        files[own] = (path, text + (files[own][1] if own in files else ""))
    crate = Crate(files)
    uses, arrows = {}, 0
    for module in crate.modules.values():
        own = crate.file_of[module.path]
        for path, target in crate.arrows(module):
            arrows += 1
            other = crate.file_of[target]
            if rooms and own and other and not may_use(own[0], other[0], rooms):
                problems.append(f"{files[own][0]}: uses `{'::'.join(path)}`, which is above or beside it")
            elif other != own:
                uses.setdefault(own, {}).setdefault(other, "::".join(path))
    for way in circles(uses):
        text = "::".join(way[0]) or "crate"
        for start, end in zip(way, way[1:]):
            text += f" -> {'::'.join(end) or 'crate'} (`{uses[start][end]}`)"
        problems.append(f"{folder}: circle: {text}")
    return len(files), arrows, problems


def main():
    is_broken = False
    for folder, rooms in ROOTS:
        if not Path(folder).is_dir():
            continue
        files, arrows, problems = check(folder, rooms)
        for problem in problems:
            print(problem)
        print(f"{folder}: {files} files, {arrows} uses of modules, {len(problems)} problems")
        # A small number of uses means that the script no longer understands the source.
        is_broken = is_broken or bool(problems) or arrows < files
    sys.exit(is_broken)


if __name__ == "__main__":
    main()
