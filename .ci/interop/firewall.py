"""Runs the client in a network namespace whose firewall drops packets to port 8883: `mqtt` must fail, `mqtt-ws` and `mqtt-auto` must
succeed in one call.

Exits with 0 if every case is right, with 1 if one is not, and with 77 if such a namespace or firewall is not available.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from support import Simulator, find, skip

RULES = """
table inet firewall {
    chain input { type filter hook input priority 0; tcp dport 8883 drop; }
}
"""
INSIDE = "--inside"


def enter(unshare, ip, nft):
    """Runs this script again in a new namespace, where port 8883 is closed."""
    script = f'{ip} link set lo up && {nft} -f - <<<"{RULES}"'
    alone = [unshare, "--net", "bash", "-c"]
    if subprocess.run([*alone, script], capture_output=True, check=False).returncode:
        skip("there can be no network namespace with a firewall here")
    sys.exit(subprocess.run([*alone, f'{script} && exec "$@"', "bash", sys.executable, __file__, INSIDE], check=False).returncode)


def inside():
    problems = []
    with tempfile.TemporaryDirectory() as name:
        # Without waits between polls, the firewall causes the only waits.
        simulator = Simulator(Path(name), "127.0.0.1:443", "127.0.0.1:8883", ["--retry-after", "0"])
        try:
            for transport, gets_through in (("mqtt", False), ("mqtt-ws", True), ("mqtt-auto", True)):
                # What cannot get through waits until its deadline, at no cost.
                ran = simulator.register(transport, deadline=600 if gets_through else 15)
                if gets_through:
                    # The first request of the call succeeded, without a retry.
                    right = ran.returncode == 0 and json.loads(ran.stdout)["status"] == "assigned" and "next try" not in ran.stderr
                else:
                    # 75: the failure may pass. The packets are dropped, not refused.
                    right = ran.returncode == 75 and "timed out" in ran.stderr
                print(f"8883 is closed, {transport}: {'right' if right else 'wrong'}", flush=True)
                problems += [] if right else [ran.stdout + ran.stderr]
        finally:
            simulator.process.terminate()
    print("\n".join(problems))
    sys.exit(bool(problems))


if sys.argv[1:] == [INSIDE]:
    inside()
else:
    programs = [find("unshare", "util-linux"), find("ip", "iproute2"), find("nft", "nftables")]
    if not all(programs):
        skip("unshare, ip or nft cannot be had")
    enter(*programs)
