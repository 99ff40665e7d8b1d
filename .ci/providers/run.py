"""Tests what the chapter `guide::tls` says about other users of rustls, with a program beside rumqttc and its default, aws-lc-rs."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "interop"))
from support import HANGS, TARGET, Simulator, find, openssl, skip

HERE = Path(__file__).parent
HUB = "localhost"
ALL_WELL = {"https": HUB, "mqtt": HUB, "certificate": "loaded", "rumqttc": "configured"}
MISSING = "no rustls crypto provider is installed"


def build(*features):
    """Builds the program, and returns it and the features of rustls in it."""
    target = TARGET / "providers"
    command = ["--locked", "--manifest-path", HERE / "Cargo.toml", *features]
    subprocess.run(["cargo", "build", "--quiet", "--target-dir", target, *command], check=True)
    tree = subprocess.run(["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}", *command], check=True,
                          capture_output=True, text=True).stdout
    rustls = next(line for line in tree.splitlines() if line.startswith("rustls v"))
    return target / "debug/providers", set(rustls.split()[2].split(","))


def run(program, *more):
    """Returns what the program says of each subject."""
    done = subprocess.run([program, *arguments, *more], capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


find("openssl", "openssl") or skip("there is no openssl")
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=dev-01", "-keyout", folder / "dev.key",
            "-out", folder / "dev.crt")
    certificate = folder / "dev.pem"
    certificate.write_bytes((folder / "dev.crt").read_bytes() + (folder / "dev.key").read_bytes())
    simulator = Simulator(folder, "127.0.0.1:0", "127.0.0.1:0", ["--retry-after", "0"])
    try:
        endpoints = [f"localhost:{simulator.port(scheme)}" for scheme in ("https", "mqtts")]
        arguments = [*endpoints, simulator.ca, simulator.key("dev-01"), certificate]

        # rumqttc itself links ring, but only for the errors of an old rustls-webpki: rustls has one provider.
        program, features = build()
        assert "aws_lc_rs" in features and "ring" not in features, features
        said = run(program)
        assert all(MISSING in said[subject] for subject in ("https", "mqtt", "certificate")), said
        assert run(program, "install") == ALL_WELL

        program, features = build("--features", "ring")
        assert {"aws_lc_rs", "ring"} <= features, features
        assert run(program) == ALL_WELL | {"rumqttc": "panicked"}
        assert run(program, "install") == ALL_WELL
    finally:
        simulator.process.terminate()
print("aws-lc-rs alone, with and without a default provider, and beside ring: as documented")
