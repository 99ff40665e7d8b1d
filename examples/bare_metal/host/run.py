"""Tests the board in QEMU against the simulator: it provisions itself, stores its assignment, boots
again, sends a message to its hub, recovers from faults, and refuses servers that it must not trust.
Needs the program `dps-simulator`, built.

    python3 examples/bare_metal/host/run.py            runs and measures all scenarios
    python3 examples/bare_metal/host/run.py NAME...    runs these scenarios
    python3 examples/bare_metal/host/run.py --list     lists their names

Exits with 77 if QEMU is not available.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / ".ci/interop")]
import certificates  # noqa: E402
from front import Front, chunked, relay, truncated  # noqa: E402
from support import HANGS, TARGET, Simulator, comes_true, find, flash, skip  # noqa: E402

MACHINE = "thumbv7em-none-eabi"
DEVICE = "my-device"
HUB, OTHER_HUB = "hub-1.example", "hub-2.example"
QEMU = ["-machine", "mps2-an386", "-nographic", "-semihosting-config", "enable=on,target=native", "-nic", "user,model=lan9118",
        # An instruction takes 8 ns, so the board's time does not depend on the host's load. A reset
        # ends the run.
        "-icount", "shift=3", "-no-reboot"]
# The emulator's processor time after which a run has failed, in seconds. A board never idles, so this
# time is proportional to the board's: it does not depend on the host's load. The longest run takes
# 60 s of it. A board that hangs is reset by its watchdog long before.
PROCESSOR_TIME = 900
FIGURES = re.compile(r"heap: (\d+) bytes in (\d+) allocations, stack: (\d+) bytes")
YEAR = 365 * 24 * 60 * 60
# The limits of the image that registers over HTTPS, in bytes. Heap and stack depend on the server's
# chain.
FLASH = 396_000
HEAP = {"rsa": 37_500, "ecdsa": 14_500}
STACK = {"rsa": 16_384, "ecdsa": 17_400}
# Holds the simulators of the scenario that the thread runs.
THREAD = threading.local()


class Failed(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failed(what)


def build(features):
    """Builds the image, and returns the path of a copy."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "bare_metal")}
    # `RUSTFLAGS` would replace the flags of `.cargo/config.toml`, so `--config` passes both.
    # Panic messages contain paths, which a board does not need.
    sources = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry/src"
    flags = [*environment.pop("RUSTFLAGS", "").split(), f"--remap-path-prefix={sources}="]
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--no-default-features", "--features", features]
    command += ["--config", f"target.{MACHINE}.rustflags={json.dumps(flags)}"]
    subprocess.run(command, check=True, env=environment, cwd=HERE.parent)
    image = TARGET / "bare_metal" / MACHINE / "release/bare-metal"
    kept = image.with_name(f"bare-metal-{features or 'https'}")
    shutil.copy(image, kept)
    return kept


class Board:
    """A board with its factory data and its page of flash."""

    def __init__(self, image, sim, *, port=None, roots=None, certificate=None, **settings):
        self.image, self.folder = image, Path(tempfile.mkdtemp(dir=WORK))
        scheme = "mqtts" if settings.get("transport") == "mqtt" else "https"
        self.settings = {
            "endpoint": f"dps.example:{port or sim.port(scheme)}", "id-scope": "0ne00002193", "registration-id": DEVICE,
            "hub-port": sim.port("mqtts"), "fleet-spread": 3, **settings,
        }
        if certificate:
            shutil.copy(certificate / f"{DEVICE}-chain.pem", self.folder / "chain.pem")
            shutil.copy(certificate / f"{DEVICE}-key.pem", self.folder / "private-key.pem")
        else:
            self.settings["key"] = sim.key(DEVICE)
        shutil.copy(roots or sim.ca, self.folder / "roots.pem")

    def boot(self, good=True):
        """Powers the board on, and returns what it prints until it exits."""
        (self.folder / "factory.txt").write_text("".join(f"{name} {value}\n" for name, value in self.settings.items()))
        # The system kills the emulator at the limit of its processor time.
        command = ["sh", "-c", 'ulimit -t "$0" && exec "$@"', str(PROCESSOR_TIME), BOARD_EMULATOR, *QEMU, "-kernel", self.image]
        with subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as qemu:
            try:
                said, _ = qemu.communicate(timeout=HANGS)
            except subprocess.TimeoutExpired:
                qemu.kill()
                raise Failed(f"the board hangs:\n{qemu.communicate()[0]}") from None
        check(qemu.returncode >= 0, f"the board is not done after {PROCESSOR_TIME} s of processor time:\n{said}")
        check((qemu.returncode == 0) == good, f"ended with {qemu.returncode}:\n{said}")
        return said

    def provisioned(self, hub=HUB):
        said = self.boot()
        check(f"provisioned: {hub} {DEVICE}\n" in said, said)
        return said


def simulator(*more, hub=HUB, ports=(0, 0)):
    names = [flag for name in ("dps.example", HUB, OTHER_HUB) for flag in ("--name", name)]
    sim = Simulator(Path(tempfile.mkdtemp(dir=WORK)), *(f"127.0.0.1:{port}" for port in ports),
                     ["--let-other-machines-connect", *names, "--hub", hub, "--retry-after", "1", *more])
    THREAD.running.append(sim)
    return sim


def saw(sim, what, times):
    """Checks how many lines of the simulator contain a text. The simulator may print the last one
    after the board has exited."""
    count = lambda: sum(what in line for line in sim.lines())  # noqa: E731
    comes_true(lambda: count() >= times)
    check(count() == times, f"{count()} times `{what}` and not {times}:\n" + "\n".join(sim.lines()))


SENT, ASSIGNED = f"{DEVICE} sent ", "is assigned to"


def first_and_second_boot(sim, board, name, has_hub=True):
    """Boots twice: only the first boot registers, and each boot sends a message. Returns the heap
    and stack of the first boot."""
    said = board.provisioned()
    board.provisioned()
    saw(sim, SENT, 2 if has_hub else 0)
    saw(sim, ASSIGNED, 1)
    match = FIGURES.search(said)
    check(match, said)
    print(f"provisioned: {HUB} {DEVICE}, {name}: heap {match[1]} bytes in {match[2]} allocations, stack {match[3]} bytes")
    return int(match[1]), int(match[3])


def over_https():
    sim = simulator()
    first_and_second_boot(sim, Board(FULL, sim), "with all features, over HTTPS")


def over_mqtt():
    sim = simulator()
    first_and_second_boot(sim, Board(FULL, sim, transport="mqtt"), "with all features, over MQTT")


def x509(transport):
    folder = Path(tempfile.mkdtemp(dir=WORK))
    sim = simulator("--demo-certificates", str(folder), "--demo-device", DEVICE)
    first_and_second_boot(sim, Board(FULL, sim, certificate=folder, transport=transport), f"with a certificate, over {transport.upper()}")
    # The service refuses a board without its certificate.
    board = Board(FULL, sim, transport=transport, deadline=30)
    board.settings.pop("key")
    said = board.boot(good=False)
    check("refused" in said and "provisioned" not in said, said)
    saw(sim, ASSIGNED, 1)


def dropped():
    for transport in ("https", "mqtt"):
        sim = simulator(*(flag for fault in ("drop", "drop-after", "cut:40", "garbage") for flag in ("--fault", f"{DEVICE}={fault}")))
        Board(FULL, sim, transport=transport, deadline=200).provisioned()
        saw(sim, "not answered", 3)
        saw(sim, SENT, 1)


def throttled():
    sim = simulator("--fault", f"{DEVICE}=429*2", "--fault", f"{DEVICE}=503")
    Board(FULL, sim).provisioned()
    saw(sim, "-> 429", 2)
    saw(sim, "-> 503", 1)
    saw(sim, SENT, 1)


def moved():
    """The hub no longer knows the device, and the service assigns it to another hub."""
    for transport in ("https", "mqtt"):
        sim = simulator()
        board = Board(FULL, sim, transport=transport)
        board.provisioned()
        sim.process.kill()
        sim.process.wait()
        sim = simulator(hub=OTHER_HUB, ports=(sim.port("https"), sim.port("mqtts")))
        shutil.copy(sim.ca, board.folder / "roots.pem")
        said = board.provisioned(OTHER_HUB)
        check(f"connecting to {HUB}" in said and f"connecting to {OTHER_HUB}" in said, said)
        saw(sim, SENT, 1)


def chain(name, tls, answers=relay):
    """Boots the small image, and checks its heap and stack."""
    sim = simulator()
    front = Front(int(sim.port("https")), WORK / f"{name}-chain.pem", WORK / f"{name}.key", tls, answers)
    board = Board(SMALL, sim, port=front.port, roots=WORK / f"{name}-root.pem")
    heap, stack = first_and_second_boot(sim, board, f"{name} chain, TLS {tls}", has_hub=False)
    check(heap <= HEAP[name] and stack <= STACK[name], f"more than {HEAP[name]} bytes of heap or {STACK[name]} of stack")


def refused(why, *, name="ecdsa", root="ecdsa", answers=relay, **settings):
    """The board refuses the server, prints why, and has sent no request."""
    for tls in ("1.2", "1.3"):
        sim = simulator()
        front = Front(int(sim.port("https")), WORK / f"{name}-chain.pem", WORK / f"{name}.key", tls, answers)
        said = Board(SMALL, sim, port=front.port, roots=WORK / f"{root}-root.pem", **{"deadline": 5, **settings}).boot(good=False)
        check(why in said and "provisioned" not in said, said)
        check(answers is truncated or front.asked == 0, f"the board has sent {front.asked} bytes:\n{said}")


def wrong_name():
    sim = simulator()
    board = Board(SMALL, sim, deadline=5)
    board.settings["endpoint"] = f"other.example:{sim.port('https')}"
    said = board.boot(good=False)
    check("it is for another name" in said, said)
    saw(sim, ASSIGNED, 0)


def watchdog():
    """The watchdog resets a board that hangs. The reset ends QEMU with exit code 0."""
    sim = simulator()
    said = Board(SMALL, sim, hangs="yes").boot()
    check("the board hangs\nwatchdog timed out\n" in said and "provisioned" not in said, said)
    saw(sim, ASSIGNED, 1)


SCENARIOS = {
    "https": over_https,
    "mqtt": over_mqtt,
    "x509-https": lambda: x509("https"),
    "x509-mqtt": lambda: x509("mqtt"),
    "dropped": dropped,
    "throttled": throttled,
    "moved": moved,
    "rsa-1.2": lambda: chain("rsa", "1.2"),
    "rsa-1.3": lambda: chain("rsa", "1.3"),
    "ecdsa-1.2": lambda: chain("ecdsa", "1.2"),
    "ecdsa-1.3": lambda: chain("ecdsa", "1.3"),
    "chunked": lambda: chain("ecdsa", "1.2", chunked),
    "wrong-name": wrong_name,
    "expired": lambda: refused("it has expired", clock=int(time.time()) + YEAR),
    "expired-rsa": lambda: refused("it has expired", name="rsa", root="rsa", clock=int(time.time()) + YEAR),
    "unknown-root": lambda: refused("no root is known for it", root="rsa"),
    "unknown-root-rsa": lambda: refused("no root is known for it", name="rsa"),
    "weak-issuer": lambda: refused("a signature is wrong", name="weak", root="rsa"),
    "leaf-as-authority": lambda: refused("its chain is not valid", name="evil"),
    "clock-in-1970": lambda: refused("the device's clock is wrong", clock=0),
    "truncated": lambda: refused("the connection ended without close_notify", answers=truncated, deadline=12),
    "watchdog": watchdog,
}


def run(name):
    """Runs a scenario, and returns whether it passed."""
    start, THREAD.running = time.monotonic(), []
    try:
        SCENARIOS[name]()
        print(f"{name}: passed ({time.monotonic() - start:.0f} s)", flush=True)
        return True
    except Failed as problem:
        print(f"{name}: {problem}", flush=True)
        return False
    finally:
        for sim in THREAD.running:
            sim.process.kill()


if __name__ == "__main__":
    if "--list" in sys.argv:
        print("\n".join(SCENARIOS))
        sys.exit()
    if not shutil.which("rustup") or subprocess.run(["rustup", "target", "add", MACHINE], check=False).returncode:
        skip("the Rust target of the board is not available")
    SMALL, FULL = build(""), build("mqtt,x509")
    print(f"flash: {flash(SMALL):,} bytes over HTTPS, {flash(FULL):,} with MQTT, the hub and certificates")
    BOARD_EMULATOR = find("qemu-system-arm", "qemu-system-arm") or skip("QEMU cannot be had")
    with tempfile.TemporaryDirectory() as work:
        WORK = Path(work)
        certificates.make(WORK)
        names = sys.argv[1:] or list(SCENARIOS)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            problems = [name for name, good in zip(names, threads.map(run, names)) if not good]
    if flash(SMALL) > FLASH:
        problems.append(f"more than {FLASH:,} bytes of flash")
    sys.exit(f"failed: {', '.join(problems)}" if problems else 0)
