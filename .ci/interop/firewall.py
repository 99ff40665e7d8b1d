"""Puts the client behind a firewall that drops what goes to port 8883, in a network namespace: `mqtt` does not get through, `mqtt-ws` and
`mqtt-auto` do, in one call.

Ends with 0 where every case is right, with 1 where one is not, and with 77 where there can be no such namespace or firewall.
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
    """Runs this script again in a namespace of its own, where port 8883 is closed."""
    script = f'{ip} link set lo up && {nft} -f - <<<"{RULES}"'
    alone = [unshare, "--net", "bash", "-c"]
    if subprocess.run([*alone, script], capture_output=True, check=False).returncode:
        skip("there can be no network namespace with a firewall here")
    sys.exit(subprocess.run([*alone, f'{script} && exec "$@"', "bash", sys.executable, __file__, INSIDE], check=False).returncode)


def inside():
    problems = []
    with tempfile.TemporaryDirectory() as name:
        # Without a wait between polls: the only waits are the firewall's.
        simulator = Simulator(Path(name), "127.0.0.1:443", "127.0.0.1:8883", ["--retry-after", "0"])
        try:
            for transport, gets_through in (("mqtt", False), ("mqtt-ws", True), ("mqtt-auto", True)):
                ran = simulator.register(transport, deadline=15)
                if gets_through:
                    # In one call, whose first request got through: nothing was tried again.
                    right = ran.returncode == 0 and json.loads(ran.stdout)["status"] == "assigned" and "next try" not in ran.stderr
                else:
                    # Dropped, and not refused.
                    right = ran.returncode == 1 and "timed out" in ran.stderr
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
