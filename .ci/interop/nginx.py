"""Tests the client against nginx, which requires client certificates, in TLS 1.2 and in TLS 1.3: ECDSA and RSA, with no, one and two
intermediates.

Exits with 0 if every case is right, with 1 if one is not, and with 77 if nginx or openssl is not available.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support import EXAMPLES, HANGS, find, listens, openssl, server_certificate, skip

PORT = 18443
KINDS = ("ECDSA", "RSA-2048", "RSA-4096")
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
        ssl_protocols {protocol}; ssl_client_certificate {folder}/roots.pem;
        ssl_verify_client on; ssl_verify_depth 3;
        location / {{ if ($http_authorization) {{ return 400; }} return 200 '{body}'; }}
    }}
}}
"""


def make_key(file, kind):
    if kind == "ECDSA":
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file)
    else:
        openssl("genrsa", "-out", file, kind.removeprefix("RSA-"))


def make_chain(folder, kind, intermediates):
    """Creates a root, this number of intermediates, and a device with keys of this kind. The chain does not contain the root."""
    folder.mkdir()
    authority = "keyUsage=critical,keyCertSign\nbasicConstraints=critical,CA:TRUE\n"
    (folder / "authority").write_text(authority)
    (folder / "device").write_text("extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")
    names = ["root", *(f"intermediate-{number}" for number in range(intermediates)), "dev-01"]
    for name in names:
        make_key(folder / f"{name}.key", kind)
        openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={name}", "-out", folder / f"{name}.csr")
    for number, name in enumerate(names):
        issuer = names[max(number - 1, 0)]
        signing = ["-signkey", folder / "root.key"] if number == 0 else ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key"]
        extensions = folder / ("device" if name == "dev-01" else "authority")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", *signing, "-set_serial", number + 1, "-days", "2", "-extfile",
                extensions, "-out", folder / f"{name}.pem")
    chain = "".join((folder / f"{name}.pem").read_text() for name in reversed(names[1:]))
    (folder / "chain.pem").write_text(chain)


def register(folder, devices, deadline=600):
    environment = {**os.environ, "PROVISIONING_HOST": f"localhost:{PORT}", "PROVISIONING_IDSCOPE": "0ne00002193"}
    command = [EXAMPLES / "register", "--json", "--deadline", str(deadline), "--ca-cert", folder / "server-ca.pem"]
    command += ["--certificate", devices / "chain.pem", "--private-key", devices / "dev-01.key"]
    return subprocess.run(command, capture_output=True, text=True, timeout=deadline + HANGS, env=environment)


def main():
    nginx = find("nginx", "nginx-light")
    if not nginx or not find("openssl", "openssl"):
        skip("nginx or openssl cannot be had")
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server_certificate(folder, "server")
        chains = {f"{kind}, {depth} intermediates": folder / f"{kind}-{depth}" for kind in KINDS for depth in range(3)}
        for kind in KINDS:
            for depth in range(3):
                make_chain(folder / f"{kind}-{depth}", kind, depth)
        make_chain(folder / "stranger", "ECDSA", 1)
        roots = "".join((chain / "root.pem").read_text() for chain in chains.values())
        (folder / "roots.pem").write_text(roots)
        for protocol in ("TLSv1.2", "TLSv1.3"):
            configuration = folder / "nginx.conf"
            configuration.write_text(
                CONFIGURATION.format(folder=folder, port=PORT, protocol=protocol, body=json.dumps(ASSIGNED)))
            with subprocess.Popen([nginx, "-c", configuration, "-e", folder / "error.log"], stderr=subprocess.PIPE) as server:
                try:
                    if not listens(PORT, server):
                        sys.exit(f"nginx does not start: {(folder / 'error.log').read_text()}")
                    for case, chain in chains.items():
                        ran = register(folder, chain)
                        right = ran.returncode == 0 and json.loads(ran.stdout)["assignedHub"] == "hub.example"
                        print(f"{protocol}, {case}: {'right' if right else 'wrong'}")
                        problems += [] if right else [ran.stderr]
                    # It tries again until its deadline, and fails on a slow machine too.
                    ran = register(folder, folder / "stranger", deadline=5)
                    right = ran.returncode != 0 and "hub.example" not in ran.stdout
                    print(f"{protocol}, a stranger: {'right' if right else 'wrong'}")
                    problems += [] if right else [ran.stderr]
                finally:
                    server.terminate()
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
