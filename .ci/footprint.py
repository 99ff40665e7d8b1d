"""Measures the example `minimal`: size, memory, time, requests and bytes. Fails if a limit is exceeded.

The example registers over TLS on loopback with the program `dps-simulator`, which asks for no waits, through a relay that counts
connections and bytes.
"""

import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

RUNS = 11
# The limit of the processor time of a run, in seconds.
FAST = 0.1
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ci/interop"))
from support import PROGRAMS, TARGET, comes_true  # noqa: E402


def build(*arguments):
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--package", "azure-iot-dps", *arguments], cwd=ROOT, check=True)


class Relay(threading.Thread):
    """Forwards bytes between a client and the simulator, and counts them."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.connections = self.sent = self.received = 0
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for end in client, server:
                # Otherwise each small record waits for the acknowledgement of the last one.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.copy, args=(client, server, "sent"), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, "received"), daemon=True).start()

    def copy(self, source, sink, counter):
        try:
            while chunk := source.recv(65536):
                with self.lock:
                    setattr(self, counter, getattr(self, counter) + len(chunk))
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# A process inherits the peak memory of its parent. Python has a high one, so a small program starts the example.
LAUNCHER = r"""
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    int status = 0;
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[1], arguments + 1);
        _exit(127);
    }
    if (count < 2 || child < 0 || wait4(child, &status, 0, &usage) != child) return 126;
    long user = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
    long system = usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    fprintf(stderr, "%ld %ld", user + system, usage.ru_maxrss);
    return WEXITSTATUS(status);
}
"""


def run_once(launcher, program, environment):
    """Returns the output, the processor time and the wall time in seconds, and the peak memory in bytes."""
    started = time.perf_counter()
    done = subprocess.run([launcher, program], env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"minimal has failed: {done.stderr}")
    # The program writes its progress first.
    processor, memory = done.stderr.split()[-2:]
    return done.stdout, int(processor) / 1e6, wall, int(memory) * 1024


build("--profile", "firmware", "--example", "minimal", "--no-default-features", "--features", "https,bundled-roots,ring")
without_proxy = (TARGET / "firmware/examples/minimal").stat().st_size
build("--profile", "firmware", "--example", "minimal")
build("--release", "--example", "minimal")
by_hand = TARGET / "by_hand/release/by_hand"
subprocess.run(["cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", ROOT / ".ci/by_hand/Cargo.toml",
                "--target-dir", TARGET / "by_hand"], check=True)
firmware = TARGET / "firmware/examples/minimal"
released = TARGET / "release/examples/minimal"

symbols = subprocess.run(["nm", "-C", released], check=True, capture_output=True, text=True).stdout
assert " rustls::" in symbols, "there are no symbols to look through"
unused = [line for line in symbols.splitlines() if re.search(r"\b(url|idna|icu_\w+)::", line)]
# A list of certificates has no symbols. A second list would contain this issuer's name a second time.
root_lists = firmware.read_bytes().count(b"DigiCert Global Root G2")

with tempfile.TemporaryDirectory() as folder:
    stripped = pathlib.Path(folder, "minimal")
    subprocess.run(["strip", "-o", stripped, released], check=True)
    sizes = firmware.stat().st_size, stripped.stat().st_size

    authority = pathlib.Path(folder, "ca.pem")
    arguments = ["--listen", "127.0.0.1:0", "--retry-after", "0", "--assigning-polls", "1", "--ca-out", authority]
    launcher = pathlib.Path(folder, "launcher")
    subprocess.run(["cc", "-O1", "-x", "c", "-", "-o", launcher], check=True, input=LAUNCHER, text=True)
    program = [PROGRAMS / "dps-simulator", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            log = []
            for line in simulator.stdout:
                log.append(line)
                if line.startswith("listening on https"):
                    break
            key = next(line.split("key ")[1].strip() for line in log if line.startswith("device my-device"))
            relay = Relay(int(log[-1].rsplit(":", 1)[1]))
            reader = threading.Thread(target=lambda: log.extend(simulator.stdout), daemon=True)
            reader.start()
            environment = {
                "PROVISIONING_HOST": f"localhost:{relay.port}",
                "PROVISIONING_CA_CERT": str(authority),
                "PROVISIONING_IDSCOPE": "0ne00002193",
                "PROVISIONING_REGISTRATION_ID": "my-device",
                "PROVISIONING_SYMMETRIC_KEY": key,
            }
            runs = [run_once(launcher, firmware, environment) for _ in range(RUNS)]
            # The simulator may print the last line after the program has ended.
            requests = lambda: sum(" -> " in line for line in log)  # noqa: E731
            comes_true(lambda: requests() >= 3 * len(runs))
            measured = relay.connections, relay.sent, relay.received, requests()
            printed_by_hand = run_once(launcher, by_hand, environment)[0]
        finally:
            simulator.terminate()
        reader.join()

assert {printed_by_hand, *(printed for printed, *_ in runs)} == {"localhost my-device\n"}, runs
connections, sent, received, requests = measured
memory = max(memory for *_, memory in runs)
processor = statistics.median(processor for _, processor, _, _ in runs)
wall = statistics.median(wall for _, _, wall, _ in runs)
each = [connections / len(runs), requests / len(runs)]
more = sizes[0] - by_hand.stat().st_size

print(f"size, firmware profile:    {sizes[0] / 1e6:.3f} MB")
print(f"the same without `proxy`:  {without_proxy / 1e6:.3f} MB")
print(f"more than by hand on ureq: {more / 1e3:.0f} KB")
print(f"size, release, stripped:   {sizes[1] / 1e6:.2f} MB")
print(f"peak memory:               {memory / 1e6:.1f} MB")
print(f"processor time, median:    {processor * 1000:.1f} ms")
print(f"wall time, median of {len(runs)}:   {wall * 1000:.1f} ms")
print(f"connections and requests:  {each[0]:g} and {each[1]:g}")
print(f"bytes below TLS:           {sent / len(runs):.0f} sent, {received / len(runs):.0f} received")

problems = [
    (sizes[0] > 1_800_000, "larger than 1.8 MB with the firmware profile"),
    (more > 80_000, "more than 80 KB larger than a client by hand on ureq"),
    (sizes[1] > 2_500_000, "larger than 2.5 MB stripped"),
    (memory > 4_600_000, "more than 4.6 MB of memory"),
    (each != [1, 3], "not three requests on one connection"),
    (bool(unused), f"what is not used is in it: {unused[:3]}"),
    (root_lists != 1, f"{root_lists - 1} lists of roots too many are in it"),
    (processor > FAST, "more than 100 ms of processor time"),
]
sys.exit("\n".join(problem for found, problem in problems if found) or None)
