"""Tests the client with the proxies squid and tinyproxy: over every transport, with and without credentials, over TLS to the proxy, and
with a proxy that allows only one port.

Exits with 0 if every case is right, with 1 if one is not, and with 77 if the proxies are not available.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from support import Simulator, comes_true, find, listens, openssl, server_certificate, skip

TRANSPORTS = ("https", "mqtt", "mqtt-ws", "mqtt-auto")
NAME = "ada"
# Each password, plain and percent-encoded for a URL. Tinyproxy's configuration accepts only a few special characters.
PASSWORDS = {"squid": ("p@ss:w/rd%+", "p%40ss%3Aw%2Frd%25+"), "tinyproxy": ("pa-ss.w_rd", "pa%2Dss%2Ew%5Frd")}
WANTED = "the proxy requires a user name and password (407)"
# Squid answers 407, tinyproxy 401.
WRONG = "the proxy refuses the user name and password (40"

SQUID = """
pid_filename none
cache deny all
access_log stdio:{log}
cache_log {folder}/cache.log
coredump_dir {folder}
http_port 127.0.0.1:{port}
https_port 127.0.0.1:{tls_port} tls-cert={folder}/proxy.pem tls-key={folder}/proxy.key
auth_param basic program {helper} {folder}/passwords
acl tls_ports port {ports}
acl users proxy_auth REQUIRED
http_access deny !tls_ports
http_access allow {who}
http_access deny all
shutdown_lifetime 1 seconds
"""
TINYPROXY = """
Port {port}
Listen 127.0.0.1
LogFile "{log}"
LogLevel Connect
Timeout 60
MaxClients 20
{who}
{ports}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Proxy:
    """A proxy that runs in the background."""

    def __init__(self, program, folder, protected, ports):
        self.port, self.tls_port, self.log = free_port(), free_port(), folder / f"{Path(program).name}.log"
        self.log.write_text("")
        self.log.chmod(0o666)
        configuration = folder / f"{Path(program).name}.conf"
        if Path(program).name == "squid":
            helper = next(Path("/usr/lib").glob("**/squid/basic_ncsa_auth"))
            configuration.write_text(SQUID.format(
                folder=folder, log=self.log, port=self.port, tls_port=self.tls_port, helper=helper,
                ports=" ".join(ports), who="users" if protected else "all"))
            command = [program, "--foreground", "-f", configuration]
        else:
            configuration.write_text(TINYPROXY.format(
                port=self.port, log=self.log, ports="\n".join(f"ConnectPort {port}" for port in ports),
                who=f'BasicAuth {NAME} {PASSWORDS["tinyproxy"][0]}' if protected else ""))
            command = [program, "-d", "-c", configuration]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        if listens(self.port, self.process):
            return self
        self.process.kill()
        sys.exit(f"{self.process.args[0]} does not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def asked(self):
        """Returns how often the proxy was asked for a tunnel. Squid logs a tunnel when it is closed."""
        return sum("CONNECT localhost:" in line for line in self.log.read_text().splitlines())

    def has_been_asked(self, times):
        return comes_true(lambda: self.asked() >= times) and self.asked() == times


class Cases:
    def __init__(self, simulator, ca_cert):
        self.simulator, self.ca_cert, self.problems = simulator, ca_cert, []

    def run(self, case, proxy, url, transport, wanted="assigned", tunnels=1):
        """Registers through the proxy. `wanted` is "assigned", or a part of the expected error."""
        before = proxy.asked()
        ran = self.simulator.register(transport, self.ca_cert, {"HTTPS_PROXY": url})
        if wanted == "assigned":
            right = ran.returncode == 0 and json.loads(ran.stdout)["status"] == "assigned"
        else:
            # A refusal is final: there is no second try.
            right = ran.returncode == 1 and wanted in ran.stderr and "next try" not in ran.stderr
        right = right and proxy.has_been_asked(before + tunnels)
        print(f"{case}, {transport}: {'right' if right else 'wrong'}", flush=True)
        leaks = any(password in ran.stderr for pair in PASSWORDS.values() for password in pair)
        if not right or leaks:
            asked = f"asked {proxy.asked() - before} times, not {tunnels}"
            self.problems.append(f"{case}, {transport}: {asked}: {ran.stdout}{ran.stderr}")


def main():
    programs = [find("squid", "squid"), find("tinyproxy", "tinyproxy")]
    if not all(programs) or not find("openssl", "openssl"):
        skip("squid, tinyproxy or openssl cannot be had")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulator = Simulator(folder, "127.0.0.1:0", "127.0.0.1:0", ["--retry-after", "1"])
        try:
            cases = prepare(folder, simulator)
            for program in programs:
                go_through(program, folder, simulator, cases)
        finally:
            simulator.process.terminate()
    print("\n".join(cases.problems))
    sys.exit(bool(cases.problems))


def prepare(folder, simulator):
    """Creates the files that the proxies need, readable for the users that they switch to."""
    server_certificate(folder, "proxy")
    (folder / "passwords").write_text(f"{NAME}:{openssl('passwd', '-apr1', PASSWORDS['squid'][0])}")
    both = folder / "both.pem"
    both.write_text(simulator.ca.read_text() + (folder / "proxy-ca.pem").read_text())
    for file in (folder / "proxy.key", folder / "passwords"):
        file.chmod(0o644)
    os.chmod(folder, 0o777)
    return Cases(simulator, both)


def go_through(program, folder, simulator, cases):
    name, ports = Path(program).name, [simulator.port("https"), simulator.port("mqtts")]
    with Proxy(program, folder, protected=False, ports=ports) as proxy:
        for transport in TRANSPORTS:
            cases.run(f"{name}, open", proxy, f"http://127.0.0.1:{proxy.port}", transport)
        if name == "squid":
            for transport in TRANSPORTS:
                cases.run(f"{name}, in TLS", proxy, f"https://localhost:{proxy.tls_port}", transport)
    with Proxy(program, folder, protected=True, ports=ports) as proxy:
        for transport in TRANSPORTS:
            for form, password in zip(("as it is", "encoded"), PASSWORDS[name]):
                url = f"http://{NAME}:{password}@127.0.0.1:{proxy.port}"
                cases.run(f"{name}, with a password {form}", proxy, url, transport)
        for transport in TRANSPORTS:
            cases.run(f"{name}, without a password", proxy, f"http://127.0.0.1:{proxy.port}", transport, WANTED)
            cases.run(f"{name}, with a wrong one", proxy, f"http://{NAME}:x@127.0.0.1:{proxy.port}", transport, WRONG)
    with Proxy(program, folder, protected=False, ports=ports[:1]) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        refused = f"the proxy refuses to connect to localhost:{ports[1]} (403)"
        for transport, wanted, tunnels in (("mqtt", refused, 1), ("mqtt-ws", "assigned", 1), ("mqtt-auto", "assigned", 2)):
            cases.run(f"{name}, that lets one port through", proxy, url, transport, wanted, tunnels)


main()
