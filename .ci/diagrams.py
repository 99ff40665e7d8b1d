"""Draws the diagrams of the guide as text, which renders anywhere.

    .ci/diagrams.py           checks that the guide has them
    .ci/diagrams.py --write   writes them into the guide
"""

import re
import sys
from pathlib import Path

CHAPTER = Path("src/guide/provisioning.md")

# Who takes part, and the columns of their lifelines.
PARTIES = {"device": 3, "DPS instance": 52, "IoT hub": 84}
MESSAGES = [
    ("device", "DPS instance", "1. register: scope, ID, proof of identity"),
    ("DPS instance", "device", "2. assigning: operation ID, retry after 3 s"),
    ("device", "DPS instance", "3. poll: operation ID"),
    ("DPS instance", "IoT hub", "4. creates the device"),
    ("DPS instance", "device", "5. assigned: name of the hub, device ID"),
    ("device", "IoT hub", "6. connects: device ID, proof of identity"),
]

# Each state, the step that it asks for, and what comes after it.
STATES = [
    ("new", "", [("ready", "at once, or after a wait that an earlier registration left")]),
    ("ready", "", [
        ("signing", "the token is missing or expires soon"),
        ("sent", "the token is good, or a certificate is used"),
    ]),
    ("signing", "Step::Sign", [("sent", "signed()")]),
    ("sent", "Step::Send", [
        ("ready", "the clock was wrong, the other key is left, or the operation is forgotten"),
        ("waiting", "assigning: poll after Retry-After"),
        ("waiting", "throttled, no answer, or not the service's answer: backoff"),
        ("done", "assigned"),
        ("failed", "refused, or no time is left"),
    ]),
    ("waiting", "Step::Wait", [("ready", "the time is over")]),
    ("done", "Step::Done", []),
    ("failed", "Err", []),
]


def sequence():
    width = max(PARTIES.values()) + 8

    def line(text=""):
        row = list(" " * width)
        for column in PARTIES.values():
            row[column] = "│"
        for at, character in enumerate(text):
            if character != "\0":
                row[at] = character
        return "".join(row).rstrip()

    head = list(" " * width)
    for name, column in PARTIES.items():
        start = max(0, column - len(name) // 2)
        head[start:start + len(name)] = name
    rows = ["".join(head).rstrip()]
    for sender, receiver, text in MESSAGES:
        left, right = sorted((PARTIES[sender], PARTIES[receiver]))
        rows.append(line("\0" * (left + 2) + text))
        arrow = "─" * (right - left - 2)
        arrow = arrow + ">" if PARTIES[sender] == left else "<" + arrow
        rows.append(line("\0" * (left + 1) + arrow))
    return rows


def states():
    inner = max(len(text) for name, step, _ in STATES for text in (name, step)) + 2
    rows = []
    for name, step, after in STATES:
        lines = [name, *([step] if step else [])]
        lines += [""] * (len(after) - len(lines))
        rows.append(f"┌{'─' * inner}┐")
        for at, text in enumerate(lines):
            arrow = f"──> {after[at][0]:<8} {after[at][1]}" if at < len(after) else ""
            rows.append(f"│ {text:<{inner - 1}}│{arrow}".rstrip())
        rows.append(f"└{'─' * inner}┘")
    return rows


text = CHAPTER.read_text(encoding="utf-8")
drawn = text
for name, rows in (("sequence", sequence()), ("states", states())):
    assert max(map(len, rows)) <= 100, name
    block = f"<!-- diagram: {name} -->\n\n```text\n" + "\n".join(rows) + "\n```\n"
    drawn, count = re.subn(rf"<!-- diagram: {name} -->\n\n```text\n.*?\n```\n", lambda _: block, drawn, flags=re.DOTALL)
    assert count == 1, f"{CHAPTER} has no place for the diagram {name}"
if "--write" in sys.argv:
    CHAPTER.write_text(drawn, encoding="utf-8")
elif drawn != text:
    sys.exit(f"the diagrams of {CHAPTER} are not those of .ci/diagrams.py: run it with --write")
