"""Polygon's streams: a greeting, authentication, subscriptions, then events in arrays; one connection per key."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.paper_venue.counts import SentCounts
from services.paper_venue.domain.market import Batch
from services.paper_venue.domain.market import Market as Exchange
from services.paper_venue.domain.tape import Placed
from services.paper_venue.domain.ticks import Int64, Kind
from services.paper_venue.feed import Feed, Outbox
from services.paper_venue.patience import run_out
from services.paper_venue.polygon.aggregates import DayBook, SecondAggregates
from services.paper_venue.polygon.auth import ApiKey
from services.paper_venue.polygon.frames import Framer
from services.paper_venue.polygon.listing import Listing, Market
from services.paper_venue.polygon.statuses import encoded, parsed, status
from services.paper_venue.polygon.subscriptions import Subscriptions, What
from trading.clock import MINUTE_NS, SECOND_NS
from trading.market import Bar

log = structlog.get_logger()

_AGGREGATES = {Market.STOCKS: ("A", "AM"), Market.CRYPTO: ("XAS", "XA")}
_LAST_WORDS_S = 1.0
_POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Bounds of a stream; a connection beyond `connections_most` of a key and market ends the oldest one."""

    auth_timeout_s: float = 10.0
    outbox_frames: int = 32
    connections_most: int = 1


@dataclass(frozen=True, slots=True)
class _Frame:
    """One encoded array of events, and what it counts for."""

    text: str
    rows: Int64 | None = None
    repeated: bool = False


class _Ended(Exception):
    """The connection is over, for a reason that the customer is told."""

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.text = encoded([status(word, message)])


class Streams:
    """The stream endpoints of all markets."""

    def __init__(
        self, exchange: Exchange, listing: Listing, feed: Feed, key: ApiKey, counts: SentCounts, rules: StreamRules
    ) -> None:
        self.listing = listing
        self.feed = feed
        self.key = key
        self.counts = counts
        self.rules = rules
        self.days = DayBook(exchange)
        self.seconds = SecondAggregates(exchange, listing)
        names = [ticker.stream_name for ticker in listing.tickers]
        self.framers = {market: Framer(market, names) for market in Market}
        self._customers: dict[Market, deque[_Customer]] = {market: deque() for market in Market}

    async def stocks(self, websocket: WebSocket) -> None:
        """Serve one connection to the market of shares."""
        await self._serve(websocket, Market.STOCKS)

    async def crypto(self, websocket: WebSocket) -> None:
        """Serve one connection to the market of coins."""
        await self._serve(websocket, Market.CRYPTO)

    def admit(self, customer: "_Customer", market: Market) -> None:
        """Let an authenticated customer in; the oldest beyond the most has to go."""
        self._customers[market].append(customer)
        while len(self._customers[market]) > self.rules.connections_most:
            self._customers[market].popleft().end("max_connections", "Maximum number of connections exceeded.")

    def listening_changed(self) -> None:
        """Look again whether anybody wants second aggregates."""
        self.feed.subscriptions_changed()
        if not any(each.wants_seconds for customers in self._customers.values() for each in customers):
            self.seconds.forget()

    async def _serve(self, websocket: WebSocket, market: Market) -> None:
        await websocket.accept()
        customer = _Customer(websocket, self, market)
        self.feed.join(customer)
        try:
            await customer.serve()
        finally:
            self.feed.leave(customer)
            with contextlib.suppress(ValueError):  # it never came in, or had to go before
                self._customers[market].remove(customer)
            self.listening_changed()


class _Customer:
    """One connection; a `feed.Listener` once it has subscribed."""

    def __init__(self, websocket: WebSocket, streams: Streams, market: Market) -> None:
        self._websocket = websocket
        self._streams = streams
        self._market = market
        self._outbox: Outbox[_Frame] = Outbox(streams.rules.outbox_frames)
        self._subscriptions = Subscriptions(streams.listing, market)
        self._authenticated = False
        self._reason: _Ended | None = None
        self._patience: asyncio.Timeout | None = None

    async def serve(self) -> None:
        """Read what the customer says; write in a task of its own, so that neither waits for the other."""
        writer = asyncio.create_task(self._write())
        try:
            await self._send(encoded([status("connected", "Connected Successfully")]))
            await self._read()
        except WebSocketDisconnect:
            log.debug("stream closed by customer")
        except _Ended as ended:
            await self._part(ended)
        finally:
            self._outbox.close()
            writer.cancel()

    def listens(self) -> bool:
        return not self._subscriptions.is_empty

    @property
    def wants_seconds(self) -> bool:
        return bool(self._subscriptions.bars(What.SECONDS))

    def end(self, word: str, message: str) -> None:
        """End the connection from outside its own task."""
        self._reason = self._reason or _Ended(word, message)
        self._outbox.close()
        run_out(self._patience)

    async def deliver(self, batch: Batch, patient: bool) -> None:
        """Queue what this customer wants of a batch; a slow one is waited for, or told so and dropped."""
        for frame in [] if self._reason else self._frames(batch):
            if patient:
                await self._outbox.put(frame)
            elif not self._outbox.offer(frame):
                self.end("slow_consumer", "Disconnected due to slow consumption of messages.")
                return

    async def _part(self, ended: _Ended) -> None:
        """Say why and close; a customer who does not read is not waited for."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._send(ended.text)
                await self._websocket.close(_POLICY_VIOLATION)

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._streams.rules.auth_timeout_s) as self._patience:
                await self._converse(self._patience)
        except TimeoutError:
            raise self._reason or _Ended("auth_timeout", "authentication timed out") from None
        finally:
            self._patience = None

    async def _converse(self, patience: asyncio.Timeout) -> None:
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            await self._obey(parsed(event))
            if self._authenticated and self._reason is None:
                patience.reschedule(None)

    async def _obey(self, message: dict[str, Any]) -> None:
        action, params = message.get("action"), message.get("params")
        if action == "auth":
            await self._authenticate(params)
        elif not self._authenticated:
            await self._say("error", "not authorized")
        elif action in ("subscribe", "unsubscribe") and isinstance(params, str):
            await self._subscribe([topic.strip() for topic in params.split(",") if topic.strip()], str(action))
        else:
            await self._say("error", "unknown action")

    async def _authenticate(self, key: object) -> None:
        if not self._streams.key.match(key):
            raise _Ended("auth_failed", "authentication failed")
        if not self._authenticated:
            self._authenticated = True
            self._streams.admit(self, self._market)
        await self._say("auth_success", "authenticated")

    async def _subscribe(self, topics: list[str], action: str) -> None:
        """Acknowledge every topic before its first event; one that is refused leaves the others standing."""
        change = self._subscriptions.add if action == "subscribe" else self._subscriptions.remove
        answers = []
        for topic in topics:
            if self._subscriptions.knows(topic):
                change(topic)
                answers.append(status("success", f"{action}d to: {topic}"))
            else:
                answers.append(status("error", f"not authorized: {topic}"))
        await self._outbox.put(_Frame(encoded(answers)))
        self._streams.listening_changed()

    def _frames(self, batch: Batch) -> list[_Frame]:
        shared = self._shared_frame(batch) if len(batch.ticks) else None
        aggregates = self._aggregates(batch)
        return ([shared] if shared else []) + ([aggregates] if aggregates else [])

    def _shared_frame(self, batch: Batch) -> _Frame | None:
        """The ticks of a batch that this customer wants; customers who want the same share the text."""
        key = ("polygon", self._market, self._subscriptions.key)
        if key not in batch.encoded:
            batch.encoded[key] = self._encode(batch)
        found = batch.encoded[key]
        return found if isinstance(found, _Frame) else None

    def _encode(self, batch: Batch) -> _Frame | None:
        positions = np.arange(batch.first, batch.first + len(batch.ticks))
        chosen = self._subscriptions.select(Placed(batch.ticks, positions))
        if not len(chosen):
            return None
        rows = chosen.ticks.counted(len(self._streams.counts.symbols))
        return _Frame(encoded(self._streams.framers[self._market].events(chosen)), rows, batch.repeated)

    def _aggregates(self, batch: Batch) -> _Frame | None:
        """The aggregates that a batch completes; what did not trade has none."""
        framer, listing = self._streams.framers[self._market], self._streams.listing
        name_of_second, name_of_minute = _AGGREGATES[self._market]
        events = [
            framer.aggregate(name_of_second, listing.of_symbol(bar.symbol), bar, day, SECOND_NS)
            for bar, day in self._seconds(batch)
        ]
        minutes = self._minutes(batch)
        for bar, live in minutes:
            ticker = listing.of_symbol(bar.symbol)
            events.append(framer.aggregate(name_of_minute, ticker, bar, self._streams.days.at(ticker, live), MINUTE_NS))
        return _Frame(encoded(events), self._counted([bar for bar, _ in minutes])) if events else None

    def _minutes(self, batch: Batch) -> list[tuple[Bar, Bar]]:
        """The minutes that traded and are wanted, each with the live part of its day."""
        wanted = self._subscriptions.bars(What.MINUTES)
        pairs = zip(batch.minutes, batch.days, strict=True)
        return [(bar, day) for bar, day in pairs if bar.volume and bar.symbol in wanted]

    def _seconds(self, batch: Batch) -> list[tuple[Bar, Bar]]:
        wanted = self._subscriptions.bars(What.SECONDS)
        return [each for each in self._streams.seconds.of_batch(batch) if each[0].symbol in wanted] if wanted else []

    def _counted(self, minutes: list[Bar]) -> Int64:
        rows = np.zeros_like(self._streams.counts.rows)
        for bar in minutes:
            rows[Kind.BAR, self._streams.listing.of_symbol(bar.symbol).index] += 1
        return rows

    async def _say(self, word: str, message: str) -> None:
        await self._outbox.put(_Frame(encoded([status(word, message)])))

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.get()
            await self._send(frame.text)
            if frame.rows is not None:
                self._streams.counts.add(frame.rows, frame.repeated)

    async def _send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except WebSocketDisconnect:
            self._outbox.close()
