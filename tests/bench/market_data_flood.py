"""A venue that speaks Alpaca's stream as fast as a socket takes it: quotes encoded beforehand, stamped as they leave.

As a process (`python -m tests.bench.market_data_flood`) it prints its address as one line of JSON, sends as many
quotes as each line of its input says, and answers each with one line: how many, and how long that took.
"""

import argparse
import asyncio
import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

TICKS_PER_FRAME = 500
TICK_NS = 100
_TIMESTAMP = struct.Struct(">Q")
_ASSET = {"class": "us_equity", "status": "active", "tradable": True, "shortable": True}


def symbols(count: int) -> list[str]:
    """So many names of one length."""
    return [f"S{at:04d}" for at in range(count)]


class Frames:
    """Endless frames of quotes, the symbols in turn, each with times of its own and prices that wander."""

    def __init__(self, names: list[str], per_frame: int = TICKS_PER_FRAME) -> None:
        templates = [_template(name) for name in names]
        rows = np.frombuffer(b"".join(templates), np.uint8).reshape(len(names), -1)
        pages = max(-(-len(names) // per_frame), 1)
        self._pages = [rows[(np.arange(per_frame) + page * per_frame) % len(names)] for page in range(pages)]
        self._head = struct.pack(">BH", 0xDC, per_frame)
        self._time_at = templates[0].index(_TIMESTAMP.pack(_stamp(0))) if templates else 0
        self._random = np.random.default_rng(1)
        self._offsets_ns = np.arange(per_frame, dtype=np.uint64) * TICK_NS

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        while True:
            yield self.frame(at, time.time_ns())
            at += 1

    def frame(self, at: int, now_ns: int) -> bytes:
        """The frame of that number, of quotes made now."""
        page = self._pages[at % len(self._pages)]
        seconds, nanoseconds = divmod(now_ns, 10**9)
        stamps = (np.uint64(min(nanoseconds, 10**9 - 10**6)) + self._offsets_ns) << np.uint64(34) | np.uint64(seconds)
        end = self._time_at + 8
        page[:, self._time_at : end] = stamps.astype(">u8").view(np.uint8).reshape(-1, 8)
        page[:, end + 9 - 1] = self._random.integers(0, 256, len(page), dtype=np.uint8)  # a byte of the bid's fraction
        return self._head + page.tobytes()


def _stamp(at: int) -> int:
    return at << 34 | 1_700_000_000


def _template(name: str) -> bytes:
    time_ext = msgspec.msgpack.Ext(-1, _TIMESTAMP.pack(_stamp(0)))
    quote = {"T": "q", "S": name, "t": time_ext, "bp": 100.25, "bs": 200, "ap": 100.27, "as": 200, "bx": "V", "ax": "V"}
    return msgspec.msgpack.encode(quote)


class FloodVenue:
    """Lists every symbol, lets everybody in, and sends when it is told to."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.subscribed = asyncio.Event()
        self._sockets: list[ServerConnection] = []

    async def say(self, frame: bytes) -> None:
        """Send a frame to everybody."""
        for socket in self._sockets:
            await socket.send(frame)

    def say_at_once(self, frame: bytes) -> None:
        """The same for a short frame, its bytes straight to the sockets: what a venue costs is not what is measured."""
        for socket in self._sockets:
            socket.transport.write(bytes((0x82, len(frame))) + frame)

    async def meet(self, socket: ServerConnection) -> None:
        """The greeting of Alpaca's stream, in msgpack."""
        await socket.send(msgspec.msgpack.encode([{"T": "success", "msg": "connected"}]))
        await socket.recv()
        await socket.send(msgspec.msgpack.encode([{"T": "success", "msg": "authenticated"}]))
        asked = msgspec.msgpack.decode(await socket.recv())
        kept = {"T": "subscription", "trades": asked["trades"], "quotes": asked["quotes"]}
        await socket.send(msgspec.msgpack.encode([kept]))
        self._sockets.append(socket)
        self.subscribed.set()
        await socket.wait_closed()
        self._sockets.remove(socket)

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The REST API on the same port: every asset is listed, and nothing is remembered."""
        path = request.path.partition("?")[0]
        if path == "/v2/assets":
            body: object = [_ASSET | {"symbol": name} for name in self._names]
        elif path.startswith("/v2/assets/"):
            body = _ASSET | {"symbol": path.rpartition("/")[2]}
        elif path == "/stream":
            return None
        else:
            body = {}
        return connection.respond(HTTPStatus.OK, json.dumps(body))


@asynccontextmanager
async def flood_venue(names: list[str]) -> AsyncIterator[tuple[FloodVenue, str]]:
    """A venue that listens on a free port; and that port."""
    venue = FloodVenue(names)
    server: Server = await serve(
        venue.meet, "127.0.0.1", 0, process_request=venue.answer, compression=None, ping_interval=None, max_size=2**24
    )
    async with server:
        yield venue, f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def _serve(names: list[str]) -> None:
    frames = iter(Frames(names))
    async with flood_venue(names) as (venue, address):
        print(json.dumps({"address": address}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await venue.subscribed.wait()
            count, began = int(line) // TICKS_PER_FRAME, time.perf_counter()
            for _ in range(count):
                await venue.say(next(frames))
            said = {"sent": count * TICKS_PER_FRAME, "seconds": time.perf_counter() - began}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=10)
    asyncio.run(_serve(symbols(parser.parse_args().symbols)))
