"""Alpaca's market-data stream: connect, authenticate, subscribe, then quotes, trades and bars in array frames."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.paper_venue.alpaca.auth import Credentials
from services.paper_venue.alpaca.frames import Codec, Framer
from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.subscriptions import CHANNELS, QUIET_CHANNELS, Subscriptions
from services.paper_venue.counts import SentCounts
from services.paper_venue.domain.market import Batch
from services.paper_venue.domain.ticks import Int64, Kind
from services.paper_venue.feed import Feed, Outbox
from services.paper_venue.patience import run_out
from trading.instruments import AssetClass
from trading.market import Bar

log = structlog.get_logger()

Message = dict[str, Any]
_BAR_CHANNELS = {"bars": "b", "dailyBars": "d"}
_LAST_WORDS_S = 1.0
_CHANNEL_NAMES = frozenset((*CHANNELS, *QUIET_CHANNELS))


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Bounds of a stream; times in seconds. At `connections_most` a newcomer is refused with code 406."""

    auth_timeout_s: float = 10.0
    outbox_frames: int = 32
    connections_most: int = 64


@dataclass(frozen=True, slots=True)
class _Frame:
    """One encoded message array, and what it counts for."""

    data: str | bytes
    rows: Int64 | None = None
    repeated: bool = False


class _StreamError(Exception):
    """Something to tell the customer as an error message; `final` ends the connection."""

    def __init__(self, code: int, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.message = {"T": "error", "code": code, "msg": message}
        self.final = final


class MarketStream:
    """The stream endpoint of one asset class."""

    def __init__(
        self,
        asset_class: AssetClass,
        listing: Listing,
        feed: Feed,
        credentials: Credentials,
        counts: SentCounts,
        rules: StreamRules,
    ) -> None:
        self.asset_class = asset_class
        self.listing = listing
        self.feed = feed
        self.credentials = credentials
        self.counts = counts
        self.rules = rules
        named = {i.symbol: listing.spelling(i.symbol) for i in listing.instruments}
        self.framer = Framer(asset_class, list(named.values()), named)
        self._connections = 0

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection until either side closes it."""
        await websocket.accept()
        connection = _Connection(websocket, self)
        if self._connections >= self.rules.connections_most:
            await connection.refuse(_StreamError(406, "connection limit exceeded", final=True))
            return
        self._connections += 1
        try:
            await connection.serve()
        finally:
            self._connections -= 1


class _Connection:
    """One customer of a market-data stream; a `feed.Listener` once it is authenticated."""

    def __init__(self, websocket: WebSocket, stream: MarketStream) -> None:
        self._websocket = websocket
        self._stream = stream
        asked = websocket.headers.get("content-type", "")
        self._codec = Codec.MSGPACK if "msgpack" in asked else Codec.JSON
        self._outbox: Outbox[_Frame] = Outbox(stream.rules.outbox_frames)
        self._subscriptions = Subscriptions(stream.listing, stream.asset_class)
        self._authenticated = False
        self._too_slow = False
        self._patience: asyncio.Timeout | None = None

    async def serve(self) -> None:
        """Read what the customer says; write in a task of its own, so that neither waits for the other."""
        writer = asyncio.create_task(self._write())
        self._stream.feed.join(self)
        try:
            await self._greet()
            await self._read()
        except WebSocketDisconnect:
            log.debug("stream closed by customer")
        except _StreamError as error:
            await self.refuse(error)
        finally:
            self._stream.feed.leave(self)
            self._outbox.close()
            writer.cancel()

    async def refuse(self, error: _StreamError) -> None:
        """Tell the error and close; a customer who does not read is not waited for."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._send(self._codec.encode([error.message]))
                await self._websocket.close(code=1000)

    def listens(self) -> bool:
        return not self._subscriptions.is_empty

    async def deliver(self, batch: Batch, patient: bool) -> None:
        """Queue what this customer wants of a batch; a slow one is waited for, or told 407 and dropped."""
        for frame in [] if self._too_slow else self._frames(batch):
            if patient:
                await self._outbox.put(frame)
            elif not self._outbox.offer(frame):
                self._give_up()
                return

    def _give_up(self) -> None:
        self._too_slow = True
        self._outbox.close()
        run_out(self._patience)

    async def _greet(self) -> None:
        await self._send(self._codec.encode([{"T": "success", "msg": "connected"}]))
        if self._stream.credentials.match_headers(self._websocket.headers):
            self._authenticated = True
            await self._say({"T": "success", "msg": "authenticated"})

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(None if self._authenticated else self._stream.rules.auth_timeout_s) as patience:
                await self._converse(patience)
        except TimeoutError:
            reason = (407, "slow client") if self._too_slow else (404, "auth timeout")
            raise _StreamError(*reason, final=True) from None

    async def _converse(self, patience: asyncio.Timeout) -> None:
        self._patience = patience
        try:
            while True:
                await self._answer(await self._websocket.receive())
                if self._authenticated and not self._too_slow:
                    patience.reschedule(None)
        finally:
            self._patience = None

    async def _answer(self, event: Any) -> None:
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        try:
            await self._obey(self._parse(event))
        except _StreamError as error:
            if error.final:
                raise
            await self._say(error.message)

    def _parse(self, event: Any) -> Message:
        try:
            message = self._codec.decode(event.get("bytes") or (event.get("text") or "").encode())
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            raise _StreamError(400, "invalid syntax")
        return message

    async def _obey(self, message: Message) -> None:
        action = message.pop("action", None)
        if action == "auth":
            await self._authenticate(message)
        elif action in ("subscribe", "unsubscribe"):
            await self._subscribe(message, action == "subscribe")
        else:
            raise _StreamError(400, "invalid syntax")

    async def _authenticate(self, message: Message) -> None:
        if self._authenticated:
            raise _StreamError(403, "already authenticated")
        if not self._stream.credentials.match(message.get("key"), message.get("secret")):
            raise _StreamError(402, "auth failed", final=True)
        self._authenticated = True
        await self._say({"T": "success", "msg": "authenticated"})

    async def _subscribe(self, message: Message, subscribe: bool) -> None:
        if not self._authenticated:
            raise _StreamError(401, "not authenticated")
        if not _is_channels(message):
            raise _StreamError(400, "invalid syntax")
        if not message.keys() <= _CHANNEL_NAMES:
            raise _StreamError(410, "invalid subscribe action for this feed")
        self._subscriptions.change(message, subscribe)
        await self._say({"T": "subscription", **self._subscriptions.state()})
        self._stream.feed.subscriptions_changed()

    def _frames(self, batch: Batch) -> list[_Frame]:
        frames = []
        if len(batch.ticks):
            frame = self._shared_frame(batch)
            frames += [frame] if frame else []
        if batch.minutes:
            frames += self._bar_frames(batch)
        return frames

    def _shared_frame(self, batch: Batch) -> _Frame | None:
        """The ticks of a batch that this customer wants; customers who want the same share the bytes."""
        key = (self._stream.asset_class, self._codec, self._subscriptions.key)
        if key not in batch.encoded:
            batch.encoded[key] = self._encode(batch)
        found = batch.encoded[key]
        return found if isinstance(found, _Frame) else None

    def _encode(self, batch: Batch) -> _Frame | None:
        ticks = self._subscriptions.select(batch.ticks)
        if len(ticks) == 0:
            return None
        rows = ticks.counted(len(self._stream.counts.symbols))
        messages = self._stream.framer.messages(ticks, self._codec)
        return _Frame(self._codec.encode(messages), rows, batch.repeated)

    def _bar_frames(self, batch: Batch) -> list[_Frame]:
        messages = []
        sources: dict[str, Iterable[Bar]] = {"bars": batch.minutes, "dailyBars": batch.days}
        for channel, kind in _BAR_CHANNELS.items():
            wanted = [bar for bar in sources[channel] if self._subscriptions.wants(channel, bar.symbol)]
            messages += self._stream.framer.bars(kind, wanted, self._codec)
        if not messages:
            return []
        rows = np.zeros_like(self._stream.counts.rows)
        for message in messages:
            instrument = self._stream.listing.find(message.S)
            rows[Kind.BAR, self._stream.listing.index(instrument.symbol)] += 1
        return [_Frame(self._codec.encode(messages), rows)]

    async def _say(self, message: Message) -> None:
        await self._outbox.put(_Frame(self._codec.encode([message])))

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.get()
            await self._send(frame.data)
            if frame.rows is not None:
                self._stream.counts.add(frame.rows, frame.repeated)

    async def _send(self, data: str | bytes) -> None:
        try:
            await (self._websocket.send_text(data) if isinstance(data, str) else self._websocket.send_bytes(data))
        except WebSocketDisconnect:
            self._outbox.close()


def _is_channels(message: Message) -> bool:
    return all(
        isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols) for symbols in message.values()
    )
