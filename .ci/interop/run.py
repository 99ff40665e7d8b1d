"""Tests the simulator with unmodified official clients: installs them, runs every case with each, and prints a table.

Exits with 0 if every cell is right, with 1 if one is not, and with 77 if the packages are not available.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from support import HANGS, TARGET, Simulator, skip

HERE = Path(__file__).parent
ROOM = TARGET / "interop"
MODULES = ROOM / "node_modules"
PYTHON = ROOM / "venv/bin/python"

# For each case: the device's payload, the faults of its requests in order (`slow:0` is no fault), and the expected error, if any.
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
# This client does not report the error code of a failed registration.
IN_PYTHON = {"messages": 10, "errors": {"failed": "a failed registration status"}}
CLIENTS = {
    "Python, MQTT": {"command": [PYTHON, HERE / "client.py", "mqtt"], **IN_PYTHON},
    "Python, WebSocket": {"command": [PYTHON, HERE / "client.py", "websocket"], **IN_PYTHON},
    "Node, MQTT": {"command": ["node", HERE / "client.js", "mqtt"], "messages": 1},
    "Node, WebSocket": {"command": ["node", HERE / "client.js", "websocket"], "messages": 1},
    # This client does not retry a throttled request.
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
            done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    return None


def device(client, case):
    return f"{client}-{case}".replace(", ", "-").replace(" ", "-")


def certificate(folder, name, what):
    """Returns the file with a device's chain, or a file with only the leaf."""
    chain = folder / f"{name}-chain.pem"
    if what == "chain":
        return chain
    end = "-----END CERTIFICATE-----\n"
    leaf = folder / f"{name}-leaf.pem"
    leaf.write_text(chain.read_text().split(end)[0] + end)
    return leaf


def start(folder, mqtt_listen, clients):
    """Starts a simulator with the devices and the faults of these clients' cases."""
    folder.mkdir(exist_ok=True)
    more = ["--assigning-polls", "2", "--retry-after", "1", "--echo-payload", "--demo-certificates", folder / "certificates"]
    for client in clients:
        for case, what in CASES.items():
            if "certificate" in what:
                more += ["--demo-device", device(client, case)]
            for fault in what.get("faults", []):
                more += ["--fault", f"{device(client, case)}={fault}"]
    return Simulator(folder, "127.0.0.1:0", mqtt_listen, more)


def messages(simulator, name):
    return sum(f" {name} sent " in line for line in simulator.lines())


def run(simulator, client, case):
    """Runs one cell. Returns the problem, or an empty string."""
    what, name = CASES[case], device(client, case)
    key = simulator.key(what.get("key", name))
    payload = json.dumps(what["payload"]) if "payload" in what else ""
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(simulator.ca),
        "NODE_EXTRA_CA_CERTS": str(simulator.ca),
        "NODE_PATH": str(MODULES),
        "HTTPS_PORT": simulator.port("https"),
    }
    command = [*CLIENTS[client]["command"], name, key, payload]
    if "certificate" in what:
        folder = simulator.ca.parent / "certificates"
        command += [certificate(folder, name, what["certificate"]), folder / f"{name}-key.pem"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=environment)
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
    taken, wanted = messages(simulator, name), CLIENTS[client]["messages"]
    return "" if taken == wanted else f"the hub took {taken} messages, not {wanted}"


def main():
    if problem := install():
        skip(f"the official clients cannot be installed: {problem}")
    # The clients over WebSocket use a separate simulator with a random MQTT port, so that they cannot use plain MQTT.
    through_websocket = [client for client in CLIENTS if "WebSocket" in client]
    others = [client for client in CLIENTS if client not in through_websocket]
    websocket = start(ROOM / "websocket", "127.0.0.1:0", through_websocket)
    simulators = {client: websocket for client in through_websocket}
    simulators |= dict.fromkeys(others, start(ROOM / "others", "127.0.0.1:8883", others))
    problems = []
    try:
        width = max(map(len, CASES)) + 2
        print("".ljust(width) + "".join(client.ljust(19) for client in CLIENTS))
        for case in CASES:
            print(case.ljust(width), end="", flush=True)
            for client in CLIENTS:
                problem = run(simulators[client], client, case)
                print(("wrong" if problem else "right").ljust(19), end="", flush=True)
                problems += [f"{client}, {case}: {problem}"] if problem else []
            print()
    finally:
        for simulator in simulators.values():
            simulator.process.terminate()
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
