"""A TCP proxy on loopback that delays, counts and cuts.

    proxy.py --port PORT --to PORT [--delay MS] [--cut-after BYTES
        [--direction up|down] [--connection N]] [--reset] [--count FILE]

--delay      each way: what arrives is passed on so much later
--cut-after  the connection ends when so many bytes went in that direction
             (down: to the client), on every connection or on the Nth
--count      a line of JSON at each end of a connection: its number, and the
             bytes that went up and down
"""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
import socket
import struct


class Link:
    """One connection and its other half."""

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        self.options = options
        self.number = number
        self.bytes = {"up": 0, "down": 0}

    def left(self, direction: str) -> int | None:
        """How many bytes may still go there; None: any number."""
        limit: int | None = self.options.cut_after
        if limit is None or direction != self.options.direction:
            return None
        if self.options.connection not in (0, self.number):
            return None
        return limit - self.bytes[direction]

    async def read(self, direction: str, reader: asyncio.StreamReader,
                   queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            data = await reader.read(65536)
            left = self.left(direction)
            if left is not None:
                data = data[:left]
            self.bytes[direction] += len(data)
            await queue.put((clock() + self.options.delay / 1000, data))
            if not data:
                return
            if left is not None and len(data) == left:
                await queue.put((clock(), b""))
                return

    async def write(self, writer: asyncio.StreamWriter,
                    queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            when, data = await queue.get()
            await asyncio.sleep(when - clock())
            if not data:
                return
            writer.write(data)
            await writer.drain()

    async def pump(self, direction: str, reader: asyncio.StreamReader,
                   writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        reading = asyncio.create_task(self.read(direction, reader, queue))
        try:
            await self.write(writer, queue)
        finally:
            reading.cancel()

    async def run(self, reader: asyncio.StreamReader,
                  writer: asyncio.StreamWriter) -> None:
        """Until either direction ends."""
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", self.options.to)
        pumps = [asyncio.create_task(self.pump("up", reader, up_writer)),
                 asyncio.create_task(self.pump("down", up_reader, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for result in await asyncio.gather(*pumps, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result,
                                                                OSError):
                raise result
        up_writer.close()
        if self.options.reset:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.numbers = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter) -> None:
        link = Link(self.options, next(self.numbers))
        try:
            with contextlib.suppress(OSError):
                await link.run(reader, writer)
            writer.close()
        finally:
            self.write_count(link)

    def write_count(self, link: Link) -> None:
        if self.options.count:
            with open(self.options.count, "a") as file:
                file.write(json.dumps({"connection": link.number,
                                       **link.bytes}) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--cut-after", type=int)
    parser.add_argument("--direction", choices=["up", "down"], default="down")
    parser.add_argument("--connection", type=int, default=0)
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("--count", metavar="FILE")
    return parser.parse_args()


async def main() -> None:
    options = parse_options()
    server = await asyncio.start_server(Proxy(options).serve, "127.0.0.1",
                                        options.port, backlog=1024)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    serving = asyncio.create_task(server.serve_forever())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM,
                                                  serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    asyncio.run(main())
