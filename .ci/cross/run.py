"""Builds the example `minimal` with default features for the processors of embedded Linux, and runs
each program in QEMU against the simulator.

Exits with 0 if every device is assigned, with 1 if one is not, and with 77 if compilers or
emulators are not available.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "interop"))
from support import HANGS, TARGET, Simulator, find, install, skip  # noqa: E402

# For each target: the C compiler and its package, the package of the C library, the emulator, and
# the path of the C library. A static program needs no C library.
TARGETS = {
    "aarch64-unknown-linux-gnu":
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-aarch64", "/usr/aarch64-linux-gnu"),
    "armv7-unknown-linux-gnueabihf":
        ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross", "qemu-arm", "/usr/arm-linux-gnueabihf"),
    "riscv64gc-unknown-linux-gnu":
        ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross", "qemu-riscv64", "/usr/riscv64-linux-gnu"),
    "aarch64-unknown-linux-musl": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", None, "qemu-aarch64", None),
}


def prepare(target):
    compiler, package, library, emulator, root = TARGETS[target]
    if not find(compiler, package) or not find(emulator, "qemu-user"):
        return False
    if library and not Path(root, "include/stdio.h").exists():
        install(library)
        if not Path(root, "include/stdio.h").exists():
            return False
    return subprocess.run(["rustup", "target", "add", target], capture_output=True, check=False).returncode == 0


def build(target):
    compiler = TARGETS[target][0]
    upper = target.upper().replace("-", "_")
    environment = {
        **os.environ,
        f"CARGO_TARGET_{upper}_LINKER": compiler,
        f"CC_{target.replace('-', '_')}": compiler,
        "CARGO_TARGET_DIR": str(TARGET / "cross"),
    }
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", HERE / "Cargo.toml", "--target", target]
    subprocess.run(command, check=True, env=environment)
    return TARGET / "cross" / target / "release/minimal"


def main():
    if not shutil.which("rustup") or not all(prepare(target) for target in TARGETS):
        skip("compilers or emulators for other processors cannot be had")
    problems = []
    with tempfile.TemporaryDirectory() as name:
        simulator = Simulator(Path(name), "127.0.0.1:0", "127.0.0.1:0", ["--retry-after", "0"])
        environment = {
            "PROVISIONING_HOST": f"localhost:{simulator.port('https')}",
            "PROVISIONING_IDSCOPE": "0ne00002193",
            "PROVISIONING_REGISTRATION_ID": "dev-01",
            "PROVISIONING_SYMMETRIC_KEY": simulator.key("dev-01"),
            "PROVISIONING_CA_CERT": str(simulator.ca),
        }
        try:
            for target, (*_, emulator, root) in TARGETS.items():
                program = build(target)
                library = ["-L", root] if root else []
                ran = subprocess.run([find(emulator, "qemu-user"), *library, program], capture_output=True, text=True, env=environment,
                                     timeout=HANGS)
                right = ran.returncode == 0 and ran.stdout == "localhost dev-01\n"
                print(f"{target}: {'right' if right else 'wrong'}, {program.stat().st_size / 1e6:.2f} MB", flush=True)
                problems += [] if right else [ran.stdout + ran.stderr]
        finally:
            simulator.process.terminate()
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
