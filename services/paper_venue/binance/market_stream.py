"""Binance's market streams: raw or combined, named in the address or asked for by messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from services.paper_venue.binance.book import Differences
from services.paper_venue.binance.connection import Connection, SocketRules, Sockets
from services.paper_venue.binance.frames import Framer
from services.paper_venue.binance.subscriptions import MOST_STREAMS, Channel, Stream, Subscriptions
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.domain.market import Batch
from services.paper_venue.feed import Feed
from trading.clock import Clock

_PULSE_MS = 100
_LONGEST_ID = 36
_METHODS = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, GET_PROPERTY, SET_PROPERTY"


class _Refused(Exception):
    """A control message that cannot be obeyed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MarketStreams:
    """The endpoints `/ws` and `/stream`."""

    def __init__(self, framer: Framer, feed: Feed, rules: SocketRules, clock: Clock) -> None:
        self.framer = framer
        self.feed = feed
        self.sockets = Sockets(rules)
        self.clock = clock

    async def raw(self, websocket: WebSocket) -> None:
        """`/ws` and `/ws/<name>[/<name>…]`: payloads as they are."""
        await self._serve(websocket, websocket.path_params.get("names", ""), combined=False)

    async def combined(self, websocket: WebSocket) -> None:
        """`/stream?streams=a/b`: payloads under the names of their streams."""
        await self._serve(websocket, websocket.query_params.get("streams", ""), combined=True)

    async def _serve(self, websocket: WebSocket, names: str, combined: bool) -> None:
        customer = _Customer(websocket, self, combined)
        await self.sockets.admit(websocket, lambda: customer.serve([name for name in names.split("/") if name]))


class _Customer:
    """One connection; a `feed.Listener`."""

    def __init__(self, websocket: WebSocket, streams: MarketStreams, combined: bool) -> None:
        self._streams = streams
        self._combined = combined
        self._unit = TimeUnit.called(websocket.query_params.get("timeUnit"))
        self._subscriptions = Subscriptions(streams.framer.data.listing)
        self._differences: dict[str, Differences] = {}
        self._connection = Connection(websocket, streams.sockets.rules, self._answer)

    async def serve(self, names: list[str]) -> None:
        """Subscribe to what the address names, then converse."""
        if len(names) > MOST_STREAMS:
            await self._connection.close()
            return
        self._streams.feed.join(self)
        pulse = asyncio.create_task(self._pulse())
        try:
            self._subscribe(names)
            await self._connection.serve(self._notice)
        finally:
            pulse.cancel()
            self._streams.feed.leave(self)

    def listens(self) -> bool:
        return bool(self._subscriptions.streams())

    async def deliver(self, batch: Batch, patient: bool) -> None:
        """Queue what the ticks of a batch make this customer's streams say."""
        texts = []
        for stream in self._subscriptions.streams():
            said = self._streams.framer.of_batch(stream, batch, self._unit)
            texts += [self._wrapped(stream.name, text) for text in said]
        for differences in self._differences.values():
            differences.take(batch.ticks)
        if texts and patient:
            await self._connection.put(*texts)
        elif texts:
            self._connection.offer(*texts)

    async def _pulse(self) -> None:
        """Let the streams that have a pace of their own speak."""
        loop = asyncio.get_running_loop()
        began, beat = loop.time(), 0
        while True:
            beat += 1
            await asyncio.sleep(max(0.0, began + beat * _PULSE_MS / 1_000 - loop.time()))
            due = [s for s in self._subscriptions.streams() if s.every_ms and beat * _PULSE_MS % s.every_ms == 0]
            texts = [self._wrapped(stream.name, text) for stream in due if (text := self._timed(stream)) is not None]
            if texts:
                await self._connection.put(*texts)

    def _timed(self, stream: Stream) -> str | None:
        now_ns, framer = self._streams.clock.now_ns(), self._streams.framer
        differences = self._differences.get(stream.name)
        if differences is not None:
            return framer.difference(stream, differences, now_ns, self._unit)
        return framer.timed(stream, now_ns, self._unit)

    def _wrapped(self, name: str, text: str) -> str:
        return f'{{"stream":"{name}","data":{text}}}' if self._combined else text

    def _notice(self) -> str:
        event = {"e": "serverShutdown", "E": self._unit.of(self._streams.clock.now_ns())}
        return self._wrapped("!serverShutdown", msgspec.json.encode(event).decode())

    def _subscribe(self, names: list[str]) -> None:
        for stream in self._subscriptions.add(names):
            if stream.channel is Channel.DEPTH and not stream.levels:
                self._differences[stream.name] = Differences(self._streams.framer.data.books, stream.pair)
        self._streams.feed.subscriptions_changed()

    def _unsubscribe(self, names: list[str]) -> None:
        self._subscriptions.remove(names)
        for name in names:
            self._differences.pop(name, None)
        self._streams.feed.subscriptions_changed()

    def _answer(self, text: str) -> str:
        message: Any = None
        try:
            message = _parse(text)
            said: dict[str, object] = {"result": self._obey(message), "id": message.get("id")}
        except _Refused as refused:
            said = {"code": refused.code, "msg": str(refused)}
            if isinstance(message, dict):
                said["id"] = message.get("id")
        return msgspec.json.encode(said).decode()

    def _obey(self, message: dict[str, Any]) -> object:
        table: dict[object, Callable[[list[Any]], object]] = {
            "SUBSCRIBE": lambda params: self._subscribe(_names(params)),
            "UNSUBSCRIBE": lambda params: self._unsubscribe(_names(params)),
            "LIST_SUBSCRIPTIONS": lambda params: self._subscriptions.names(),
            "GET_PROPERTY": self._get_property,
            "SET_PROPERTY": self._set_property,
        }
        method, params = message.get("method"), message.get("params", [])
        if method not in table:
            raise _Refused(2, f"Invalid request: unknown variant `{method}`, expected one of {_METHODS}")
        if not isinstance(params, list):
            raise _Refused(2, "Invalid request: params must be a list")
        try:
            return table[method](params)
        except OverflowError as error:
            raise _Refused(2, f"Invalid request: {error}") from None

    def _get_property(self, params: list[Any]) -> bool:
        if params != ["combined"]:
            raise _Refused(0, "Unknown property")
        return self._combined

    def _set_property(self, params: list[Any]) -> None:
        if not params or params[0] != "combined":
            raise _Refused(0, "Unknown property")
        if len(params) != 2 or not isinstance(params[1], bool):
            raise _Refused(1, "Invalid value type: expected Boolean")
        self._combined = params[1]


def _parse(text: str) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise _Refused(3, f"Invalid JSON: {error}") from None
    if not isinstance(message, dict):
        raise _Refused(2, "Invalid request: expected an object")
    number = message.get("id")
    good = number is None or (isinstance(number, int) and not isinstance(number, bool))
    if not good and not (isinstance(number, str) and len(number) <= _LONGEST_ID):
        message["id"] = None
        raise _Refused(2, "Invalid request: request ID must be an unsigned integer or a string of up to 36 characters")
    return message


def _names(params: list[Any]) -> list[str]:
    if not params or not all(isinstance(name, str) for name in params):
        raise _Refused(2, "Invalid request: expected a list of stream names")
    return list(params)
