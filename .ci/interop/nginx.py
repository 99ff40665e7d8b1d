"""Holds the client against nginx, which demands client certificates in TLS 1.2 and in TLS 1.3.

Ends with 0 where every case is right, with 1 where one is not, and with 77 where nginx or openssl cannot be had.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent / "../../target")).resolve()
EXAMPLES = TARGET / "debug/examples"
SKIPPED = 77
PORT = 18443
ASSIGNED = {
    "operationId": "5.1", "status": "assigned",
    "registrationState": {"status": "assigned", "assignedHub": "hub.example", "deviceId": "dev-01"},
}
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder}; default_type application/json;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
        ssl_protocols {protocol}; ssl_client_certificate {folder}/devices/root.pem;
        ssl_verify_client on; ssl_verify_depth 3;
        location / {{ if ($http_authorization) {{ return 400; }} return 200 '{body}'; }}
    }}
}}
"""


def find_nginx():
    path = f"{os.environ['PATH']}:/usr/sbin"
    if not shutil.which("nginx", path=path) and os.geteuid() == 0:
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "nginx-light"]):
            try:
                subprocess.run(command, capture_output=True, timeout=300, check=False)
            except (OSError, subprocess.TimeoutExpired):
                return None
    return shutil.which("nginx", path=path)


def make_server_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"],
        check=True, capture_output=True)
    subprocess.run(
        ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", folder / "server.key",
         "-out", folder / "server.csr"], check=True, capture_output=True)
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
         "-days", "2", "-extfile", folder / "extensions", "-out", folder / "server.pem"], check=True, capture_output=True)


def make_device_certificates(folder):
    """The simulator makes them; it need not go on running."""
    command = [EXAMPLES / "dps_simulator", "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"]
    command += ["--demo-certificates", folder, "--demo-device", "dev-01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        for line in simulator.stdout:
            if line.startswith("listening on https"):
                break
        simulator.terminate()


def register(folder, devices):
    environment = {**os.environ, "PROVISIONING_HOST": f"localhost:{PORT}", "PROVISIONING_IDSCOPE": "0ne00002193"}
    command = [EXAMPLES / "register", "--json", "--deadline", "5", "--ca-cert", folder / "ca.pem"]
    command += ["--certificate", devices / "dev-01-chain.pem", "--private-key", devices / "dev-01-key.pem"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def main():
    nginx = find_nginx()
    if not nginx or not shutil.which("openssl"):
        print("skipped: nginx or openssl cannot be had")
        sys.exit(SKIPPED)
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_server_certificate(folder)
        make_device_certificates(folder / "devices")
        make_device_certificates(folder / "strangers")
        for protocol in ("TLSv1.2", "TLSv1.3"):
            configuration = folder / "nginx.conf"
            configuration.write_text(
                CONFIGURATION.format(folder=folder, port=PORT, protocol=protocol, body=json.dumps(ASSIGNED)))
            with subprocess.Popen([nginx, "-c", configuration, "-e", folder / "error.log"], stderr=subprocess.PIPE) as server:
                try:
                    time.sleep(1)
                    good = register(folder, folder / "devices")
                    stranger = register(folder, folder / "strangers")
                finally:
                    server.terminate()
            right = good.returncode == 0 and json.loads(good.stdout)["assignedHub"] == "hub.example"
            print(f"{protocol}, its certificate: {'right' if right else 'wrong'}")
            problems += [] if right else [good.stderr]
            right = stranger.returncode != 0 and "hub.example" not in stranger.stdout
            print(f"{protocol}, a stranger's:    {'right' if right else 'wrong'}")
            problems += [] if right else [stranger.stderr]
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
