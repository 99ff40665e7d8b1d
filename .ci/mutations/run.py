"""Breaks the client in a copy, one place at a time, and checks that registrations against the simulator fail.

A simulator that shared the broken code would not notice. Each mutation names the scenarios of `src/main.rs` that must fail;
without a mutation, all of them succeed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
COPY = TARGET / "mutations/tree"

MQTT = {"mqtt", "mqtt-long", "mqtt-undated"}
HTTPS = {"https", "https-undated"}
# What is wrong, the file, the text and its replacement, and the scenarios that must fail.
MUTATIONS = [
    ("wrong flags of SUBSCRIBE", "src/transport/mqtt/packet/mod.rs",
     "SUBSCRIPTION_FLAGS: u8 = 0b0010;", "SUBSCRIPTION_FLAGS: u8 = 0b0000;", MQTT),
    ("another answer topic", "src/protocol/mqtt.rs",
     'ANSWERS: &str = "$dps/registrations/res/#"', 'ANSWERS: &str = "$dps/registrations/answers/#"', MQTT),
    ("CR for LF in the string to sign", "src/sas/signing.rs", r"text.push('\n');", r"text.push('\r');", MQTT | HTTPS),
    ("a remaining length shifted by a wrong count", "src/transport/mqtt/packet/fields.rs",
     "length >>= 7;", "length >>= 8;", {"mqtt-long"}),
    ("a percent-encoding that gives wrong octets", "src/sas/resource.rs",
     'separator = "%2F";', 'separator = "%2E";', MQTT | HTTPS),
    ("a percent-encoding that loses an octet", "src/encoding.rs",
     "percent_encoding::percent_encode(text.as_ref(), RESERVED)",
     "percent_encoding::percent_encode(text.as_ref().get(1..).unwrap_or_default(), RESERVED)", MQTT | HTTPS),
    ("a date of HTTP that is read a day too early", "src/time/text.rs",
     "day: digits(day, 2)?, hour, minute, second })\n}\n\n/// Parses a time in UTC",
     "day: digits(day, 2)?, hour, minute, second })\n    "
     ".map(|time| UnixTime::from_secs(time.as_secs().saturating_sub(86_400)))\n}\n\n/// Parses a time in UTC",
     {"https-undated"}),
]


def copy():
    """Copies the files that git tracks or would track. Unchanged ones keep their time, so that nothing is compiled twice."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file() and (not target.exists() or source.read_bytes() != target.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def failing():
    """Returns the scenarios that fail in the copy."""
    manifest = COPY / ".ci/mutations/Cargo.toml"
    command = ["cargo", "run", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", TARGET / "mutations/build"]
    # A mutation may leave something unused.
    environment = os.environ | {"RUSTFLAGS": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the copy does not build or run:\n{done.stderr}")
    return set(done.stdout.split())


def main():
    copy()
    if unexpected := failing():
        sys.exit(f"without a mutation, these fail: {', '.join(sorted(unexpected))}")
    wrong = False
    for name, file, text, replacement, expected in MUTATIONS:
        path = COPY / file
        sound = path.read_text()
        if sound.count(text) != 1:
            sys.exit(f"{name}: {file} does not have the text once: {text!r}")
        path.write_text(sound.replace(text, replacement))
        try:
            seen = failing()
        finally:
            path.write_text(sound)
        unseen = expected - seen
        wrong |= bool(unseen)
        print(f"{name}: " + (f"NOT SEEN by {', '.join(sorted(unseen))}" if unseen else f"seen by {', '.join(sorted(seen))}"))
    sys.exit(wrong)


main()
