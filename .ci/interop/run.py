"""Holds the simulator against official clients, unmodified: installs them, has each go through every case, and prints a table.

Ends with 0 where every cell is right, with 1 where one is not, and with 77 where the packages cannot be had.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "../../target")).resolve()
ROOM = TARGET / "interop"
SKIPPED = 77
MODULES = ROOM / "node_modules"
CERTIFICATES = ROOM / "certificates"
PYTHON = ROOM / "venv/bin/python"

# Of each case: the device's payload, what goes wrong with its requests, one after the other (`slow:0` is nothing), and the error that
# must come of it, if any.
CASES = {
    "plain": {},
    "payload": {"payload": {"model": "A7", "floors": [1, 2]}},
    "wrong key": {"key": "a wrong one", "error": "401"},
    "throttled at first": {"faults": ["429"]},
    "throttled poll": {"faults": ["slow:0", "429"]},
    "registration fails": {"faults": ["slow:0", "failed"], "error": "400207"},
    "certificate": {"certificate": "chain"},
    "no intermediate": {"certificate": "leaf", "error": "401"},
}
# It does not tell the error code of a registration that failed.
IN_PYTHON = {"messages": 10, "errors": {"failed": "a failed registration status"}}
CLIENTS = {
    "Python, MQTT": {"command": [PYTHON, HERE / "client.py", "mqtt"], **IN_PYTHON},
    "Python, WebSocket": {"command": [PYTHON, HERE / "client.py", "websocket"], **IN_PYTHON},
    "Node, MQTT": {"command": ["node", HERE / "client.js", "mqtt"], "messages": 1},
    "Node, WebSocket": {"command": ["node", HERE / "client.js", "websocket"], "messages": 1},
    # It leaves what is throttled to its caller.
    "Node, HTTP": {"command": ["node", HERE / "client.js", "http"], "messages": 1, "errors": {"429": "ThrottlingError"}},
}


def install():
    ROOM.mkdir(parents=True, exist_ok=True)
    (ROOM / "package.json").write_text((HERE / "package.json").read_text())
    commands = [
        ["npm", "install", "--prefix", ROOM, "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"],
        [sys.executable, "-m", "venv", ROOM / "venv"],
        [PYTHON, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements.txt"],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    return None


def derive(group_key, registration_id):
    mac = hmac.new(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def device(client, case):
    return f"{client}-{case}".replace(", ", "-").replace(" ", "-")


def certificate(name, what):
    """The file with a device's chain, or with its leaf alone."""
    chain = CERTIFICATES / f"{name}-chain.pem"
    if what == "chain":
        return chain
    end = "-----END CERTIFICATE-----\n"
    leaf = CERTIFICATES / f"{name}-leaf.pem"
    leaf.write_text(chain.read_text().split(end)[0] + end)
    return leaf


class Simulator:
    """The program, in the background."""

    def __init__(self):
        self.ca = ROOM / "ca.pem"
        self.log = ROOM / "simulator.log"
        command = [TARGET / "debug/examples/dps_simulator", "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:8883"]
        command += ["--assigning-polls", "2", "--retry-after", "1", "--echo-payload", "--ca-out", self.ca]
        self.group_key = base64.b64encode(bytes(range(64))).decode()
        command += ["--group", f"keys={self.group_key}", "--demo-certificates", CERTIFICATES]
        for client in CLIENTS:
            for case, what in CASES.items():
                if "certificate" in what:
                    command += ["--demo-device", device(client, case)]
                for fault in what.get("faults", []):
                    command += ["--fault", f"{device(client, case)}={fault}"]
        self.process = subprocess.Popen(command, stdout=self.log.open("w"))
        while not (ready := [line for line in self.lines() if line.startswith("listening on https://")]):
            if self.process.poll() is not None:
                sys.exit("the simulator has ended")
            time.sleep(0.05)
        self.port = ready[0].rsplit(":", 1)[1].strip()

    def lines(self):
        return self.log.read_text().splitlines()

    def messages(self, name):
        return sum(f" {name} sent " in line for line in self.lines())


def run(simulator, client, case):
    """What is wrong with this cell, or nothing."""
    what, name = CASES[case], device(client, case)
    key = derive(simulator.group_key, what.get("key", name))
    payload = json.dumps(what["payload"]) if "payload" in what else ""
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(simulator.ca),
        "NODE_EXTRA_CA_CERTS": str(simulator.ca),
        "NODE_PATH": str(MODULES),
        "HTTPS_PORT": simulator.port,
    }
    command = [*CLIENTS[client]["command"], name, key, payload]
    if "certificate" in what:
        command += [certificate(name, what["certificate"]), CERTIFICATES / f"{name}-key.pem"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        outcome = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return "it did not end"
    except (IndexError, ValueError):
        return f"no result: {done.stderr.strip()[-300:]}"
    leaves = CLIENTS[client].get("errors", {})
    error = next((leaves[fault] for fault in what.get("faults", []) if fault in leaves), what.get("error"))
    if error:
        # A client may raise, or report that the registration failed.
        text = json.dumps(outcome)
        wanted = error in text or outcome.get("status") == "failed"
        return "" if wanted and outcome.get("status") != "assigned" else f"{text}, not {error}"
    expected = {"status": "assigned", "hub": "localhost", "device": name, "payload": what.get("payload")}
    found = {member: outcome.get(member) for member in expected}
    if found != expected:
        return f"{found}, not {expected}; {outcome}"
    messages = simulator.messages(name)
    wanted = CLIENTS[client]["messages"]
    return "" if messages == wanted else f"the hub took {messages} messages, not {wanted}"


def main():
    if problem := install():
        print(f"skipped: the official clients cannot be installed: {problem}")
        sys.exit(SKIPPED)
    simulator, problems = Simulator(), []
    try:
        width = max(map(len, CASES)) + 2
        print("".ljust(width) + "".join(client.ljust(19) for client in CLIENTS))
        for case in CASES:
            print(case.ljust(width), end="", flush=True)
            for client in CLIENTS:
                problem = run(simulator, client, case)
                print(("wrong" if problem else "right").ljust(19), end="", flush=True)
                problems += [f"{client}, {case}: {problem}"] if problem else []
            print()
    finally:
        simulator.process.terminate()
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
