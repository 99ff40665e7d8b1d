"""A TLS server in front of the simulator, with another certificate chain or TLS version. It can
also change the form of the answers."""

import asyncio
import ssl
import threading

from support import HANGS

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
HTTP_END = b"\r\n\r\n"


async def relay(reader, writer):
    """Passes on answers unchanged."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def chunked(reader, writer):
    """Passes on answers in chunks of seven bytes, one at a time."""
    while head := await until(reader, HTTP_END):
        lines = head.decode().split("\r\n")
        length = int(next(line.split(":")[1] for line in lines if line.lower().startswith("content-length:")))
        kept = [line for line in lines[:-2] if not line.lower().startswith("content-length:")]
        writer.write("\r\n".join([*kept, "Transfer-Encoding: chunked", "", ""]).encode())
        body = await reader.readexactly(length)
        for start in range(0, length, 7):
            chunk = body[start:start + 7]
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")


async def truncated(reader, writer):
    """Passes on the head of an answer with a length that is too large, and ends the connection
    without a close_notify."""
    head = await until(reader, HTTP_END)
    lines = [line for line in head.decode().split("\r\n") if not line.lower().startswith("content-length:")]
    writer.write("\r\n".join(["HTTP/1.1 200 OK", *lines[1:]]).replace("\r\n\r\n", "\r\nContent-Length: 9999\r\n\r\n").encode())
    await writer.drain()
    # The system has the bytes by now. It sends them before it ends the connection.
    writer.transport.abort()


async def until(reader, end):
    try:
        return await reader.readuntil(end)
    except asyncio.IncompleteReadError:
        return b""


class Front:
    """A server that listens in its own thread."""

    def __init__(self, upstream, chain, key, tls, answers=relay):
        self.upstream, self.answers, self.asked = upstream, answers, 0
        self.near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The board, not this server, must refuse a short key.
        self.near.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.near.load_cert_chain(chain, key)
        self.near.minimum_version = self.near.maximum_version = VERSIONS[tls]
        self.far = ssl.create_default_context()
        self.far.check_hostname, self.far.verify_mode = False, ssl.CERT_NONE
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.run(ready)), daemon=True).start()
        if not ready.wait(HANGS):
            raise OSError("the front does not start")

    async def run(self, ready):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.near)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def ask(self, reader, writer):
        """Passes on the bytes that the board sends, and counts them."""
        while data := await reader.read(65536):
            self.asked += len(data)
            writer.write(data)
            await writer.drain()

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.upstream, ssl=self.far)
            asking = asyncio.ensure_future(self.ask(reader, far_writer))
            await self.answers(far_reader, writer)
            asking.cancel()
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.close()
