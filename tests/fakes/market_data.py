"""Stand-ins for what market_data needs of the world, obedient and inspectable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from services.market_data.domain.blocks import picked
from services.market_data.domain.feed import FeedLost, FeedRefused, VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.quotes import NewestQuote
from services.market_data.domain.registry import VenueAsset
from services.market_data.domain.ticks import Ticks
from services.market_data.domain.trade_line import Mark
from services.market_data.ports import PublishAtOnce
from trading.errors import Unavailable
from trading.instruments import AssetClass, Instrument
from trading.market import Bar, Interval, QuoteBlock, TradeBlock


async def eventually(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  a test waits for any state, not for an event
            await asyncio.sleep(0.001)


class FakeSession:
    """A session that is told what the venue says: `frames`, then `end`."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Ticks | FeedLost | FeedRefused] = asyncio.Queue()
        self._waiting: list[Ticks] = []
        self.reads = 0

    def say(self, *ticks: Ticks) -> "FakeSession":
        """The venue sends frames."""
        for frame in ticks:
            self._frames.put_nowait(frame)
        return self

    def end(self, reason: FeedLost | FeedRefused) -> "FakeSession":
        """The venue is done with us."""
        self._frames.put_nowait(reason)
        return self

    def hand_over(self, publish: PublishAtOnce) -> None:
        """What it says is read, never carried."""

    async def read(self) -> int:
        self.reads += 1
        frame = await self._frames.get()
        if isinstance(frame, Exception):
            raise frame
        self._waiting.append(frame)
        return sum(ticks.count for ticks in self._waiting)

    @property
    def has_more(self) -> bool:
        return not self._frames.empty()

    def drain(self) -> Ticks:
        waiting, self._waiting = self._waiting, []
        return Ticks(
            tuple(block for ticks in waiting for block in ticks.quotes),
            tuple(block for ticks in waiting for block in ticks.trades),
            sum(ticks.refused for ticks in waiting),
        )


@dataclass
class FakeFeed:
    """A connection that opens what it is given, one after the other; then it waits for ever."""

    opens: list[FakeSession | Exception] = field(default_factory=list)
    channel: str = "stocks"
    asset_class: AssetClass = AssetClass.EQUITY
    opened: list[list[str]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, instruments: Sequence[Instrument]) -> AsyncIterator[FakeSession]:
        self.opened.append([instrument.symbol for instrument in instruments])
        following = self.opens.pop(0) if self.opens else FakeSession()
        if isinstance(following, Exception):
            raise following
        yield following


@dataclass
class FakePublisher:
    """Remembers what was published; `gate` closed holds publishers back, `is_away` refuses them."""

    is_away: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    quote_blocks: list[tuple[QuoteBlock, int]] = field(default_factory=list)
    trade_blocks: list[tuple[TradeBlock, int]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    statuses: list[VenueStatus] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        await self._pass()
        self.quote_blocks.append((block, first_sequence))

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        if self.is_away or not self.gate.is_set():
            return False
        self.quote_blocks.append((block, first_sequence))
        return True

    async def trades(self, block: TradeBlock, first_sequence: int) -> None:
        await self._pass()
        self.trade_blocks.append((block, first_sequence))

    async def bar(self, bar: Bar) -> None:
        await self._pass()
        self.bars.append(bar)

    async def gap(self, gap: Gap) -> None:
        await self._pass()
        self.gaps.append(gap)

    async def status(self, status: VenueStatus) -> None:
        await self._pass()
        self.statuses.append(status)

    async def _pass(self) -> None:
        await self.gate.wait()
        if self.is_away:
            raise Unavailable("NATS is not connected.")


class FakeHistory:
    """A venue that remembers these bars, answers by spelling order, and counts its questions."""

    def __init__(self, *bars: Bar) -> None:
        self._bars = sorted(bars, key=lambda bar: (bar.symbol, bar.timestamp_ns))
        self.questions: list[tuple[str, ...]] = []

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        symbols = tuple(instrument.symbol for instrument in instruments)
        self.questions.append(symbols)
        fitting = [
            bar
            for bar in self._bars
            if bar.symbol in symbols and bar.interval == interval and start_ns <= bar.timestamp_ns < end_ns
        ]
        found: dict[str, list[Bar]] = {}
        for bar in fitting[:limit]:
            found.setdefault(bar.symbol, []).append(bar)
        return found


@dataclass
class FakeTrades:
    """A venue that remembers these trades by symbol; `failures` are raised first, one per question."""

    remembered: dict[str, TradeBlock] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    asked: list[Mark] = field(default_factory=list)

    async def trades(self, instrument: Instrument, since: Mark, limit: int) -> TradeBlock | None:
        self.asked.append(since)
        if self.failures:
            raise self.failures.pop(0)
        block = self.remembered.get(instrument.symbol)
        if block is None:
            return None
        rows = np.flatnonzero(block.event_time_ns >= since.time_ns)[:limit]
        return picked(block, rows) if len(rows) else None


class FakeInstruments:
    """A venue that lists these symbols; `failures` are raised first, one per question."""

    def __init__(self, *symbols: str, failures: Sequence[Exception] = ()) -> None:
        self._symbols = symbols
        self._failures = list(failures)

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        if self._failures:
            raise self._failures.pop(0)
        if instrument.symbol not in self._symbols:
            return None
        return VenueAsset(instrument.symbol, instrument.asset_class, instrument.name, tradable=True, shortable=True)


class FakeQuoteCache:
    """Remembers quotes by symbol; `is_away` refuses."""

    def __init__(self) -> None:
        self.is_away = False
        self.quotes: dict[str, NewestQuote] = {}
        self.attempts = 0

    async def put(self, quotes: Sequence[NewestQuote]) -> None:
        self.attempts += 1
        if self.is_away:
            raise Unavailable("The cache is away.")
        self.quotes.update({newest.quote.symbol: newest for newest in quotes})
