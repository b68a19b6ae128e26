"""A venue that takes Alpaca's orders as fast as its connections bring them, and fills each at once.

As a process (`python -m tests.bench.execution_venue`) it prints the addresses of its REST API and of its order
stream as one line of JSON. It knows one account and keeps no orders: what it measures is whoever trades there.
"""

import asyncio
import itertools
import json
import sys
from typing import Any, cast

import httptools
import msgspec
from websockets.asyncio.server import ServerConnection, serve

PRICE = "100.25"
_TIME = "2026-01-05T15:00:00.123456789Z"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_ACCOUNT = {"currency": "USD", "cash": "1000000000", "buying_power": "1000000000", "multiplier": "1"}


class FillingVenue:
    """Answers each order with `new`, then tells of `new` and of its `fill`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._listeners: set[ServerConnection] = set()
        self._news: asyncio.Queue[bytes] = asyncio.Queue()

    def take(self, body: bytes) -> bytes:
        """The answer to POST /v2/orders."""
        asked = msgspec.json.decode(body)
        number = next(self._numbers)
        order = {
            "id": f"venue-{number}",
            "client_order_id": asked["client_order_id"],
            "symbol": asked["symbol"],
            "side": asked["side"],
            "qty": asked["qty"],
            "status": "new",
            "filled_qty": "0",
            "filled_avg_price": None,
            "updated_at": _TIME,
        }
        filled = order | {"status": "filled", "filled_qty": asked["qty"], "filled_avg_price": PRICE}
        trade = {"execution_id": f"trade-{number}", "price": PRICE, "qty": asked["qty"]}
        self._tell({"event": "new", "timestamp": _TIME, "order": order})
        self._tell({"event": "fill", "timestamp": _TIME, "order": filled} | trade)
        return msgspec.json.encode(order)

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        """The body of an answer; nobody has open orders."""
        if method == "POST":
            return self.take(body)
        return msgspec.json.encode(_ACCOUNT if path == "/v2/account" else [])

    async def meet(self, socket: ServerConnection) -> None:
        """The greeting of the order stream, then every update."""
        await socket.recv()
        await socket.send(_encode("authorization", {"status": "authorized", "action": "authenticate"}))
        await socket.recv()
        await socket.send(_encode("listening", {"streams": ["trade_updates"]}))
        self._listeners.add(socket)
        try:
            await socket.wait_closed()
        finally:
            self._listeners.discard(socket)

    async def tell_forever(self) -> None:
        """Send what happened, to everybody, in its order."""
        while True:
            news = await self._news.get()
            for socket in tuple(self._listeners):
                await socket.send(news)

    def _tell(self, update: dict[str, Any]) -> None:
        self._news.put_nowait(_encode("trade_updates", update))


class RestConnection(asyncio.Protocol):
    """One connection of a customer, requests one after another."""

    def __init__(self, venue: FillingVenue) -> None:
        self._venue = venue
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Up."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """A request begins."""
        self._path, self._body = url.decode().partition("?")[0], b""

    def on_body(self, part: bytes) -> None:
        """A piece of its body."""
        self._body += part

    def on_message_complete(self) -> None:
        """It is whole."""
        body = self._venue.answer(self._parser.get_method().decode(), self._path, self._body)
        self._transport.write(_HEAD % (len(body), body))


async def main() -> None:
    """Serve until the process is ended."""
    venue = FillingVenue()
    rest = await asyncio.get_running_loop().create_server(lambda: RestConnection(venue), "127.0.0.1", 0)
    async with rest, serve(venue.meet, "127.0.0.1", 0, compression=None) as stream:
        addresses = {
            "rest": f"http://127.0.0.1:{rest.sockets[0].getsockname()[1]}",
            "stream": f"ws://127.0.0.1:{next(iter(stream.sockets)).getsockname()[1]}",
        }
        print(json.dumps(addresses))
        sys.stdout.flush()
        await venue.tell_forever()


def _encode(stream: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"stream": stream, "data": data})


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
