"""Tests `.ci/layers.py`: it finds each circle and each arrow upwards that was put into a folder on
purpose, and none in a folder without them."""

import re
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import layers

# Each case: a sentence, the files below the folder, and the problems without their details.
CASES = [
    (
        "a circle of paths from the crate",
        {
            "room/a.rs": "use crate::room::b::B;\npub struct A(B);",
            "room/b.rs": "pub fn f() -> crate::room::a::A { todo!() }\npub struct B;",
        },
        ["room::a -> room::b -> room::a"],
    ),
    (
        "a circle of paths from the parent, and from its parent",
        {
            "room/a.rs": "use super::inner::b::B;\npub struct A(B);",
            "room/inner/b.rs": "use super::super::a::A;\npub struct B;",
        },
        ["room::a -> room::inner::b -> room::a"],
    ),
    (
        "a circle of three through lists, and through the name of a module in a list",
        {
            "room/a.rs": "use super::{\n    b::{self as other, /* { */ B},\n    d::D,\n};\npub struct A(B, D);",
            "room/b.rs": "use super::{c::{self}, d::D as Other};\npub struct B(Other);\nfn f() { c::g() }",
            "room/c.rs": "use crate::room::{a::A};\npub fn g() {}",
            "room/d.rs": "pub struct D;",
        },
        ["room::a -> room::b -> room::c -> room::a"],
    ),
    (
        "a circle with a module that uses what its file defines",
        {
            "room/mod.rs": "mod a;\nconst LIMIT: u8 = 1;\nfn f() { self::a::g() }",
            "room/a.rs": "use super::LIMIT;\npub fn g() {}",
        },
        ["room -> room::a -> room"],
    ),
    (
        "a circle with a module that uses what it re-exports",
        {
            "room/mod.rs": "mod a;\npub use a::A;\npub struct Own(A);",
            "room/a.rs": "pub struct A;\nimpl A { fn f() -> super::Own { todo!() } }",
        },
        ["room -> room::a -> room"],
    ),
    (
        "a circle through names that the parent imports or re-exports",
        {
            "room/mod.rs": "mod a;\nmod b;\nuse b::B;\npub use a::*;",
            "room/a.rs": "use super::B;\npub struct A;",
            "room/b.rs": "use super::A;\npub struct B;",
        },
        ["room::a -> room::b -> room::a"],
    ),
    (
        "no circle, but all that looks like one",
        {
            "lib.rs": "mod room;\npub use room::{A, B};",
            "room/mod.rs": "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B, C};\nconst LIMIT: u8 = 1;",
            "room/a.rs": "//! See super::b::B.\nuse super::{B, LIMIT};\npub struct A(B);\npub(in crate::room) fn f() {}",
            "room/b.rs": "use super::LIMIT;\npub struct B;\npub struct C;\n"
            'const TEXT: &str = "super::a::A //";\nfn f<\'a>(_: &\'a str) {}\n'
            "mod kind { use super::C; }\n#[cfg(test)]\nmod tests { use crate::A; }",
        },
        [],
    ),
    (
        "an arrow upwards, also through the root of the crate",
        {
            "lib.rs": "pub mod low;\npub mod room;\npub use room::A;",
            "low.rs": "fn f() -> crate::A { todo!() }",
            "room/mod.rs": "mod a;\npub use a::A;",
            "room/a.rs": "pub struct A;",
        },
        ["low.rs: uses `crate::A`, which is above or beside it"],
    ),
    (
        "a module without a place in the order",
        {"room.rs": "", "new.rs": ""},
        ["new.rs: `new` is missing in the order of the modules"],
    ),
    (
        "a file and a function that are too long",
        {
            "low.rs": "\n" * (layers.MAX_LINES + 1),
            "room.rs": "fn f() {" + "\n" * (layers.MAX_FUNCTION - 1) + "}\nfn g() {" + "\n" * layers.MAX_FUNCTION + "}\n",
        },
        [f"low.rs: {layers.MAX_LINES + 1} lines", f"room.rs: `g` has {layers.MAX_FUNCTION + 1} lines"],
    ),
]


def found(files, rooms):
    """Writes the files into a folder and returns the problems that the check finds there."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _, _, problems = layers.check(folder, rooms)
    # Without the folder, and in circles without the paths.
    problems = [re.sub(r" \(`[^`]*`\)", "", text).removeprefix(f"{folder}: circle: ") for text in problems]
    return [text.removeprefix(f"{folder}/") for text in problems]


failed = 0
for sentence, files, expected in CASES:
    problems = found(files, ["low", "room"])
    if problems != expected:
        failed += 1
        print(f"{sentence}:\n  expected {expected}\n  found    {problems}")
    # Without an order of the modules, the circles are the same.
    ordered = [text for text in expected if "above" not in text and "missing" not in text]
    if found(files, None) != ordered:
        failed += 1
        print(f"{sentence}, without an order:\n  expected {ordered}\n  found    {found(files, None)}")
print(f"{len(CASES)} cases, {failed} failures")
sys.exit(failed > 0)
