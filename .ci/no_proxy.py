"""Compares the table of `NO_PROXY` cases with curl, whose rules it describes.

    .ci/no_proxy.py          compares; exits with 1 if a line differs, with 77 if there is no curl
    .ci/no_proxy.py --write  rewrites the last column
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TABLE = Path(__file__).parent.parent / "src/transport/net/proxy/no_proxy.txt"
SKIPPED = 77
# The exit code of curl when the peer does not speak TLS.
TLS_FAILED = 35


class Listener:
    """Records the case number of each request to the proxy, and answers and closes every connection."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.asked = set()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            with client:
                head = client.recv(65536).decode(errors="replace")
                if "case/" in head:
                    self.asked.add(head.split("case/", 1)[1].split()[0])
                client.sendall(self.answer)


def ask(proxy, host_itself, number, no_proxy, host):
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"https_proxy": f"http://127.0.0.1:{proxy.port}", "no_proxy": no_proxy}
    # Every host leads to `host_itself`, which closes the connection: each case ends with an answer, and none with a time limit.
    command = ["curl", "--silent", "--connect-to", f"::127.0.0.1:{host_itself.port}", "--user-agent", f"case/{number} ", f"https://{host}/"]
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=600, check=False).returncode
    if str(number) in proxy.asked:
        return "proxy"
    return "direct" if ended == TLS_FAILED else f"neither ({ended})"


def main():
    if not shutil.which("curl"):
        print("cannot run: there is no curl")
        sys.exit(SKIPPED)
    lines = TABLE.read_text().splitlines()
    cases = [(at, [cell.strip() for cell in line.split("|")]) for at, line in enumerate(lines) if not line.startswith("#")]
    proxy, host_itself = Listener(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), Listener(b"")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda case: ask(proxy, host_itself, case[0], *case[1][:2]), cases))
    differing = 0
    for (at, cells), answer in zip(cases, found):
        if cells[2:] != [answer]:
            differing += 1
            print(f"NO_PROXY={cells[0]!r}, {cells[1]}: curl says {answer}")
        lines[at] = f"{cells[0]} | {cells[1]} | {answer}"
    if sys.argv[1:] == ["--write"]:
        TABLE.write_text("\n".join(lines) + "\n")
    else:
        print(f"{len(cases)} cases, {differing} differ from curl")
        sys.exit(bool(differing))


main()
