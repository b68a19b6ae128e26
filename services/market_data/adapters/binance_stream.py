"""Binance's market streams: one combined connection for quotes and trades, changed for a new one before it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec
import structlog

from services.market_data.adapters.binance_columns import BinanceColumns
from services.market_data.adapters.binance_depth import BinanceDepth
from services.market_data.adapters.binance_messages import (
    Answer,
    DepthEvent,
    Event,
    Frame,
    ShutdownEvent,
    TickerEvent,
    TradeEvent,
    decode,
)
from services.market_data.adapters.binance_rest import SPELLING, BinanceRest
from services.market_data.adapters.lone_quotes import LoneQuotes
from services.market_data.adapters.venue_socket import (
    TAKEN,
    StreamLimits,
    UnreadableFrame,
    VenueSocket,
    open_socket,
)
from services.market_data.domain.feed import CHANNELS, FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import PublishAtOnce
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.instruments import AssetClass, Instrument

STREAMS_MOST = 1024
_NAMES_PER_MESSAGE = 200
_MESSAGES_PER_S = 4  # the venue takes five, and our pings count
_TRY_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Rollover:
    """When a connection is changed for a new one, in seconds: its age, and how long both are read side by side."""

    life_s: float = 23 * 3_600.0
    overlap_s: float = 1.0


class BinanceFeed:
    """The coins of Binance: trades and the best bid and ask of each.

    The bests come as they are (bookTicker: at once, without a time), or, `by_depth`, from books that are kept here
    (every 100 ms, with the venue's time).
    """

    channel, asset_class = CHANNELS[AssetClass.CRYPTO], AssetClass.CRYPTO

    def __init__(
        self,
        venue: str,
        url: str,
        rest: BinanceRest,
        clock: Clock,
        limits: StreamLimits,
        rollover: Rollover,
        *,
        by_depth: bool = False,
    ) -> None:
        self._venue, self._url, self._rest, self._clock = venue, url.rstrip("/"), rest, clock
        self._limits, self._rollover, self._by_depth = limits, rollover, by_depth

    @asynccontextmanager
    async def open(self, instruments: Sequence[Instrument]) -> AsyncIterator["BinanceSession"]:
        """Connect and subscribe; raises FeedLost or FeedRefused."""
        symbols = {instrument.venue_symbol(SPELLING): instrument.symbol for instrument in instruments}
        quotes = "depth@100ms" if self._by_depth else "bookTicker"
        names = [f"{spelling.lower()}@{kind}" for spelling in symbols for kind in ("trade", quotes)]
        if len(names) > STREAMS_MOST:
            raise FeedRefused(f"The venue carries {STREAMS_MOST // 2} symbols on a connection.", asked=len(symbols))
        await self._rest.measure_clock()
        columns = BinanceColumns(self._venue, symbols, self._rest.offset_ns)
        depth = BinanceDepth(self._rest, list(symbols) if self._by_depth else [])
        session = BinanceSession(await self._subscribe(names), columns, depth, self._clock)
        tasks = [asyncio.create_task(self._roll(session, names)), asyncio.create_task(depth.keep_whole())]
        try:
            yield session
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await session.close()

    async def _subscribe(self, names: Sequence[str]) -> "Line":
        line = Line(await open_socket(f"{self._url}/stream?timeUnit=MICROSECOND", self._limits))
        async with AsyncExitStack() as unless_subscribed:
            unless_subscribed.push_async_callback(line.socket.close)
            await self._ask_for(line, names)
            unless_subscribed.pop_all()
        return line

    async def _ask_for(self, line: "Line", names: Sequence[str]) -> None:
        pace_s = len(names) / _NAMES_PER_MESSAGE / _MESSAGES_PER_S
        try:
            async with asyncio.timeout(self._limits.open_timeout_s + pace_s):
                for number, chunk in enumerate(_chunks(names), 1):
                    await line.ask(number, "SUBSCRIBE", chunk)
                    await asyncio.sleep(1 / _MESSAGES_PER_S if number * _NAMES_PER_MESSAGE < len(names) else 0)
        except TimeoutError as error:
            raise FeedLost("The venue did not confirm the subscription in time.") from error

    async def _roll(self, session: "BinanceSession", names: Sequence[str]) -> None:
        """Before a connection ends, open the next one, read both for a while, and leave the old one."""
        log = structlog.get_logger(__name__)
        while True:
            await session.ending(self._rollover.life_s)
            try:
                following = await self._subscribe(names)
            except (FeedLost, FeedRefused) as failure:
                log.warning("no new connection before the old one ends", venue=self._venue, reason=failure.message)
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            log.info("connection is changed for a new one", venue=self._venue)
            await session.follow(following, self._rollover.overlap_s)


class Line:
    """A socket, and the events that came while it was being asked something."""

    def __init__(self, socket: VenueSocket) -> None:
        self.socket = socket
        self.early: deque[Frame] = deque()

    async def ask(self, number: int, method: str, names: Sequence[str]) -> None:
        """Send a control message and wait for its answer; raises FeedLost or FeedRefused."""
        await self.socket.send(msgspec.json.encode({"method": method, "params": names, "id": number}).decode())
        while True:
            frame = await self.socket.recv()
            try:
                event = decode(frame)
            except UnreadableFrame as error:
                raise FeedLost(f"The venue's answer could not be read: {error}.") from error
            if not isinstance(event, Answer):
                self.early.append(frame)
            elif event.code is not None:
                raise FeedRefused(f"The venue says {event.code} {event.msg}", code=event.code)
            elif event.id == number:
                return

    @property
    def has_frames(self) -> bool:
        """A frame is at hand."""
        return bool(self.early) or self.socket.has_frames

    async def next(self) -> Frame:
        """The next frame; raises FeedLost."""
        return self.early.popleft() if self.early else await self.socket.recv()


class BinanceSession:
    """Ticks that pile up as columns, over one connection after another."""

    def __init__(self, line: Line, columns: BinanceColumns, depth: BinanceDepth, clock: Clock) -> None:
        self._line, self._columns, self._depth, self._clock = line, columns, depth, clock
        self._following: Line | None = None
        self._followed, self._shutdown = asyncio.Event(), asyncio.Event()
        self._newest: dict[tuple[type, str], int] = {}
        self._told: dict[tuple[type, str], int] = {}
        self._at_once: LoneQuotes | None = None

    def hand_over(self, publish: PublishAtOnce) -> None:
        """See `ports.FeedSession`."""
        self._at_once = LoneQuotes(self._columns, self._clock, self._new_quote, publish)
        self._line.socket.take_at_once(self._at_once)

    async def read(self) -> int:
        """Take in the next frame; how many ticks wait. Suspends only when no frame has arrived."""
        frame = await self._frame()
        if frame is TAKEN:
            return len(self._columns)
        received_ns = self._clock.now_ns()
        try:
            event = decode(frame)
            if isinstance(event, DepthEvent):
                event = self._depth.take(event)
        except (UnreadableFrame, InvalidArgument):
            self._columns.add((), received_ns, 1)
            return len(self._columns)
        if not isinstance(event, TickerEvent | TradeEvent):
            self._heed(event)
        elif self._is_new(event):
            self._columns.add((event,), received_ns)
        return len(self._columns)

    @property
    def has_more(self) -> bool:
        """A frame is at hand."""
        return self._line.has_frames

    def drain(self) -> Ticks:
        """Everything since the last drain."""
        return self._columns.drain()

    async def ending(self, life_s: float) -> None:
        """Wait until the connection is old, or the venue says that it will end it."""
        try:
            async with asyncio.timeout(life_s):
                await self._shutdown.wait()
        except TimeoutError:
            return

    async def follow(self, line: Line, overlap_s: float) -> None:
        """Go on with another connection, once the old one has had the time to bring what is on its way."""
        self._shutdown.clear()
        self._followed.clear()
        before, self._following = self._line, line
        await asyncio.sleep(overlap_s)
        await before.socket.close()
        await self._followed.wait()

    async def close(self) -> None:
        """Leave every connection."""
        await self._line.socket.close()
        if self._following is not None:
            await self._following.socket.close()

    async def _frame(self) -> Frame:
        """The next frame; where the connection has ended, from the one that follows."""
        try:
            return await self._line.next()
        except FeedLost:
            if self._following is None:
                raise
        self._line, self._following = self._following, None
        self._told = dict(self._newest)
        if self._at_once is not None:
            self._line.socket.take_at_once(self._at_once)
        self._followed.set()
        return await self._frame()

    def _new_quote(self, frame: Frame) -> TickerEvent | None:
        event = decode(frame)
        return event if isinstance(event, TickerEvent) and self._is_new(event) else None

    def _is_new(self, event: TickerEvent | TradeEvent) -> bool:
        """The old connection has not told this already; both count their books and trades alike."""
        key, number = (type(event), event.s), event.u if isinstance(event, TickerEvent) else event.t
        self._newest[key] = number
        return number > self._told.get(key, -1)

    def _heed(self, event: Event | None) -> None:
        if isinstance(event, ShutdownEvent):
            self._shutdown.set()
        elif isinstance(event, Answer) and event.code is not None:
            raise FeedLost(f"The venue says {event.code} {event.msg}", code=event.code)


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _NAMES_PER_MESSAGE):
        yield names[start : start + _NAMES_PER_MESSAGE]
