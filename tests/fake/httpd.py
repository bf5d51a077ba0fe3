"""HTTP/1.1 over TLS with keep-alive, as much of it as an ACME CA needs.

A handler turns a Request into a Reply.  A Reply goes out as it is, or as its
Delivery says: slowly, in part, without end, or not at all.
"""
from __future__ import annotations

import asyncio
import dataclasses
import http
import itertools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

IDLE = 120
HEAD_LIMIT = 65536
BODY_LIMIT = 1 << 20


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclasses.dataclass
class Delivery:
    """How a reply goes out when it does not go out honestly."""
    drop: str = ""            # "reply": nothing of it; "half": half its body
    reset: bool = False       # and the connection ends by RST
    stall: float = 0          # seconds before the reply
    stall_body: float = 0     # seconds between head and body
    trickle: float = 0        # seconds between any two bytes
    chunked: bool = False
    endless: bool = False     # blanks behind the body until the peer is gone


@dataclasses.dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    delivery: Delivery = dataclasses.field(default_factory=Delivery)


Handler = Callable[[Request], Awaitable[Reply]]


class BadRequest(Exception):
    """Not HTTP: the connection ends without an answer."""


async def read_request(reader: asyncio.StreamReader, number: int) -> Request:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE)
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise BadRequest(first)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(line)
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_LIMIT:
        raise BadRequest("Content-Length: " + length)
    body = await asyncio.wait_for(reader.readexactly(int(length)), IDLE)
    return Request(words[0], words[1], headers, body, number)


def head_of(reply: Reply, framing: tuple[str, str] | None) -> bytes:
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if framing:
        lines.append(f"{framing[0]}: {framing[1]}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Connection:
    def __init__(self, reader: asyncio.StreamReader,
                 writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes, pause: float = 0) -> None:
        if not pause:
            self.writer.write(data)
            await self.writer.drain()
            return
        for byte in data:
            await self.write(bytes([byte]))
            await asyncio.sleep(pause)

    async def send(self, reply: Reply, with_body: bool) -> bool:
        """False when the connection is to be closed after it."""
        how = reply.delivery
        await asyncio.sleep(how.stall)
        if how.drop == "reply":
            return self.end(how.reset)
        if how.chunked or how.endless:
            framing = ("Transfer-Encoding", "chunked")
        else:
            framing = ("Content-Length", str(len(reply.body)))
        named = {name.lower() for name, _ in reply.headers}
        head = head_of(reply, None if framing[0].lower() in named or
                       reply.status == 204 else framing)
        body = reply.body if with_body and reply.status != 204 else b""
        if how.chunked or how.endless:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if how.endless else b"0\r\n\r\n"
        if how.drop == "half":
            await self.write(head + body[:len(body) // 2], how.trickle)
            return self.end(how.reset)
        if how.stall_body:
            await self.write(head)
            await asyncio.sleep(how.stall_body)
            head = b""
        await self.write(head + body, how.trickle)
        while how.endless and not self.reader.at_eof():
            await asyncio.sleep(0)
            await self.write(b"400\r\n" + b" " * 1024 + b"\r\n", how.trickle)
        return ("connection", "close") not in [
            (name.lower(), value.lower()) for name, value in reply.headers]

    def end(self, reset: bool) -> bool:
        if reset:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        return False


class Server:
    def __init__(self, handler: Handler, tls: ssl.SSLContext) -> None:
        self.handler = handler
        self.tls = tls
        self.numbers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter) -> None:
        number = next(self.numbers)
        connection = Connection(reader, writer)
        try:
            while True:
                request = await read_request(reader, number)
                reply = await self.handler(request)
                more = await connection.send(reply, request.method != "HEAD")
                closing = request.headers.get("connection", "").lower()
                if not more or closing == "close":
                    break
        except (OSError, EOFError, BadRequest, asyncio.TimeoutError,
                asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(
            self.serve, "127.0.0.1", port, ssl=self.tls, limit=HEAD_LIMIT,
            backlog=1024)
