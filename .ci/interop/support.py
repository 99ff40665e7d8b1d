"""Code that the scripts share: finds programs, and runs the simulator and the example `register`.

A time limit on this machine's clock only ends what hangs. It is so long that a busy machine does not reach it, and no result depends on it.
"""

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent / "../../target")).resolve()
# `.ci/run` keeps copies, which no other build replaces.
PROGRAMS = Path(os.environ.get("DPS_PROGRAMS", TARGET / "debug"))
EXAMPLES = PROGRAMS / "examples"
SKIPPED = 77
# In seconds.
HANGS = 1800


def find(program, package):
    """Returns the path of a program, or `None`. Installs the system's package first if it is missing and this runs as root."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if not shutil.which(program, path=path):
        install(package)
    return shutil.which(program, path=path)


def install(package):
    """Tries to install a package of the system if this runs as root. The caller must check the result."""
    if os.geteuid() != 0:
        return
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", package]):
        try:
            subprocess.run(command, capture_output=True, timeout=HANGS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return


def flash(image):
    """Returns the flash that an image needs, in bytes: text and data."""
    columns = subprocess.run(["size", image], check=True, capture_output=True, text=True).stdout.splitlines()[1].split()
    return int(columns[0]) + int(columns[1])


def comes_true(condition):
    """Waits until a condition is true, and returns whether it became true."""
    until = time.monotonic() + 300
    while not (true := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return true


def listens(port, process):
    """Waits until a process listens on a port of this machine, and returns whether it does. Returns early if the process ends."""
    def is_done():
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            return process.poll() is not None

    return comes_true(is_done) and process.poll() is None


def skip(why):
    print(f"cannot run: {why}")
    sys.exit(SKIPPED)


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


def server_certificate(folder, name):
    """Creates `NAME.pem` and `NAME.key` for localhost, and the authority's `NAME-ca.pem`."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name} CA", "-keyout",
            folder / f"{name}-ca.key", "-out", folder / f"{name}-ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", folder / f"{name}.key", "-out",
            folder / f"{name}.csr")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{name}-ca.pem", "-CAkey", folder / f"{name}-ca.key",
            "-days", "2", "-extfile", folder / "extensions", "-out", folder / f"{name}.pem")


class Simulator:
    """The program `dps-simulator`, which runs in the background with one enrollment group."""

    group_key = base64.b64encode(bytes(range(64))).decode()

    def __init__(self, folder, listen, mqtt_listen, more=()):
        self.ca = folder / "ca.pem"
        self.log = folder / "simulator.log"
        command = [PROGRAMS / "dps-simulator", "--listen", listen, "--mqtt-listen", mqtt_listen, "--ca-out", self.ca]
        command += ["--group", f"keys={self.group_key}", *more]
        self.process = subprocess.Popen(command, stdout=self.log.open("w"))
        while not self.port("https"):
            if self.process.poll() is not None:
                sys.exit("the simulator has ended")
            time.sleep(0.05)

    def lines(self):
        return self.log.read_text().splitlines()

    def port(self, scheme):
        ready = [line for line in self.lines() if line.startswith(f"listening on {scheme}://")]
        return ready[0].rsplit(":", 1)[1].strip() if ready else None

    def key(self, registration_id):
        mac = hmac.new(base64.b64decode(self.group_key), registration_id.encode(), hashlib.sha256)
        return base64.b64encode(mac.digest()).decode()

    def register(self, transport, ca_cert=None, variables=(), deadline=600):
        """Runs the example `register` with this simulator, these variables, and no other proxy variables."""
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {
            "PROVISIONING_HOST": f"localhost:{self.port('mqtts' if transport in ('mqtt', 'mqtt-auto') else 'https')}",
            "PROVISIONING_IDSCOPE": "0ne00002193",
            "PROVISIONING_REGISTRATION_ID": "dev-01",
            "PROVISIONING_SYMMETRIC_KEY": self.key("dev-01"),
            "PROVISIONING_CA_CERT": str(ca_cert or self.ca),
            **dict(variables),
        }
        command = [EXAMPLES / "register", "--json", "--transport", transport, "--deadline", str(deadline)]
        command += ["--websocket-port", self.port("https")]
        return subprocess.run(command, capture_output=True, text=True, timeout=deadline + HANGS, env=environment)
