"""Builds the core of the crate for boards without an operating system, and measures it in QEMU.

It measures the flash of each part, heap, allocations, stack and instructions. Each run gives the
same numbers, so exceeding a limit fails the build. Exits with 77 if QEMU is not available.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "interop"))
from support import HANGS, TARGET, find, flash, skip  # noqa: E402

ARM = ["qemu-system-arm", "-semihosting-config", "enable=on,target=native", "-machine"]
BOARDS = {
    "thumbv7em-none-eabi": [*ARM, "mps2-an386"],
    "thumbv6m-none-eabi": [*ARM, "microbit"],
    "riscv32imc-unknown-none-elf": ["qemu-system-riscv32", "-bios", "none", "-machine", "virt"],
}
PARTS = ("", "token", "registration", "client", "exchange")
# The limits of the Cortex-M4, in bytes.
FLASH = {"token": 27_200, "registration": 62_500, "client": 82_500, "exchange": 90_500}
# The limits of all boards, in bytes. The Cortex-M0 needs more stack than the M4, which needs less
# than 2,048 bytes.
HEAP, STACK = 800, 2_150
LINE = re.compile(r"(.+): (\d+) instructions, heap (\d+) in (\d+), stack (\d+)")


def build(target, features, *more, check=True):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "bare")}
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", HERE / "Cargo.toml", "--target", target]
    command += ["--no-default-features", "--features", features, *more]
    done = subprocess.run(command, check=check, env=environment, stderr=None if check else subprocess.PIPE, text=True)
    return done.stderr if not check else TARGET / "bare" / target / "release/bare"


def run(target, image):
    qemu = [find(BOARDS[target][0], "qemu-system-arm" if "arm" in BOARDS[target][0] else "qemu-system-misc"), *BOARDS[target][1:]]
    ran = subprocess.run([*qemu, "-icount", "shift=6", "-nographic", "-kernel", image], capture_output=True, text=True, timeout=HANGS,
                         stdin=subprocess.DEVNULL)
    if ran.returncode or not ran.stdout.endswith("done\n"):
        sys.exit(f"{target} has failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def main():
    if not shutil.which("rustup") or subprocess.run(["rustup", "target", "add", *BOARDS], check=False).returncode:
        skip("the Rust targets of the boards are not available")
    # Prove that the check can fail: a board has no standard library.
    message = build("thumbv6m-none-eabi", "exchange,azure-iot-dps/std", check=False)
    problems = [] if "can't find crate for `std`" in message else ["a core with the standard library builds"]
    images = {}
    for target in BOARDS:
        sizes = {}
        for part in PARTS:
            # Each image replaces the one before. The last one contains all parts.
            images[target] = build(target, part)
            sizes[part] = flash(images[target])
        added = {part: sizes[part] - sizes[""] for part in PARTS[1:]}
        print(f"{target}: flash of {', '.join(f'{part} {size:,}' for part, size in added.items())} bytes")
        if target.startswith("thumbv7em"):
            problems += [f"{part} takes {size:,} bytes of flash, more than {FLASH[part]:,}"
                         for part, size in added.items() if size > FLASH[part]]
    if not find("qemu-system-arm", "qemu-system-arm") or not find("qemu-system-riscv32", "qemu-system-misc"):
        print("\n".join(problems))
        sys.exit(1) if problems else skip("QEMU cannot be had")
    for target, image in images.items():
        print(f"\n{target}")
        for line in run(target, image).splitlines():
            print(f"  {line}")
            if match := LINE.match(line):
                what, heap, stack = match[1], int(match[3]), int(match[5])
                if what == "register by hand" and (heap > HEAP or stack > STACK):
                    problems.append(f"{target}: to {what} takes {heap} bytes of heap and {stack} of stack, more than {HEAP} or {STACK}")
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
