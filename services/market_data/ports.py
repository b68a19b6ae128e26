"""What market_data needs of the world outside; adapters implement these."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.frame_query import FrameQuery
from services.market_data.domain.gaps import Gap
from services.market_data.domain.history import Period
from services.market_data.domain.history_buffer import Recorded
from services.market_data.domain.quotes import NewestQuote
from services.market_data.domain.registry import VenueAsset
from services.market_data.domain.sessions import Schedule
from services.market_data.domain.ticks import Ticks
from services.market_data.domain.trade_line import Mark
from trading.instruments import AssetClass, Instrument
from trading.market import Bar, Interval, QuoteBlock, TradeBlock

PublishAtOnce = Callable[[QuoteBlock], int | None]
"""Publishes a block of one quote and gives its place in the feed; None, and nothing is done, if that takes waiting."""


class FeedSession(Protocol):
    """One subscribed connection. Ticks pile up in it between two drains."""

    def hand_over(self, publish: PublishAtOnce) -> None:
        """From now on offer a quote that comes alone while a read waits; if it is taken, it is drained as carried."""
        ...

    async def read(self) -> int:
        """Wait for the venue's next frame; how many ticks wait to be drained. Raises FeedLost or FeedRefused."""
        ...

    @property
    def has_more(self) -> bool:
        """A frame is at hand, so that the next read does not wait."""
        ...

    def drain(self) -> Ticks:
        """Everything read since the last drain, as one block per symbol and kind; also after a loss."""
        ...


class MarketFeed(Protocol):
    """One connection that a venue offers, such as its stocks; knows nothing of trying again."""

    @property
    def channel(self) -> str:
        """Its name within the venue."""
        ...

    @property
    def asset_class(self) -> AssetClass:
        """What it streams."""
        ...

    def open(self, instruments: Sequence[Instrument]) -> AbstractAsyncContextManager[FeedSession]:
        """Connect, log in and subscribe to quotes and trades. Raises FeedLost or FeedRefused."""
        ...


class HistorySource(Protocol):
    """The bars that a venue remembers."""

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """Bars that start in [start, end), by canonical symbol, oldest first.

        Reading stops after `limit` bars: in the venue's order of symbols, so give one symbol or a limit that
        holds all. Raises Unavailable, ResourceExhausted or FailedPrecondition.
        """
        ...


class TradeSource(Protocol):
    """The trades that a venue remembers."""

    async def trades(self, instrument: Instrument, since: Mark, limit: int) -> TradeBlock | None:
        """Trades since a mark, oldest first, at most `limit`; None when there are none.

        A venue that numbers its trades is asked from the mark's id on, any other one from its time on. Raises
        Unavailable or ResourceExhausted when asking again may help, another TradingError when it may not.
        """
        ...


class InstrumentSource(Protocol):
    """What a venue lists."""

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        """What the venue says about an instrument; None when it does not list it.

        Raises FeedRefused when the venue refuses us, Unavailable or ResourceExhausted when it cannot answer.
        """
        ...


class MarketPublisher(Protocol):
    """Tells the fleet what the market says; each call returns when the message is on its way.

    Raises Unavailable when it could not be sent in the time allowed. It holds its caller back when the way is full.
    """

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None: ...

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        """The same for quotes, if it needs no waiting; otherwise False, and nothing is done."""
        ...

    async def trades(self, block: TradeBlock, first_sequence: int) -> None: ...

    async def bar(self, bar: Bar) -> None: ...

    async def gap(self, gap: Gap) -> None: ...

    async def status(self, status: VenueStatus) -> None: ...


class HoursSource(Protocol):
    """When exchanges are open."""

    async def schedule(self, code: str, now_ns: int) -> Schedule:
        """The regular sessions of an exchange around a moment; raises Unavailable."""
        ...


class QuoteCache(Protocol):
    """Newest quotes for whoever must not ask us for each."""

    async def put(self, quotes: Sequence[NewestQuote]) -> None:
        """Replace these symbols' quotes, all at once. Raises Unavailable."""
        ...


class FeedMeter(Protocol):
    """Counts what a venue's feed does."""

    def read(self, ticks: Ticks) -> None: ...

    def published(self, blocks: int) -> None: ...

    def filled(self, trades: int) -> None: ...

    def gap(self) -> None: ...

    def bars(self, late: int, uncorrected: int) -> None:
        """What bars have missed since the start: trades that came too late, and corrections of unknown trades."""
        ...

    def dropped(self, ticks: int) -> None: ...

    def reconnected(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A table as bytes for the wire, in pieces that may lie apart, and how many rows it has."""

    parts: tuple[memoryview, ...]
    rows: int
    truncated: bool

    @property
    def size_bytes(self) -> int:
        """All pieces together."""
        return sum(map(len, self.parts))


class HistoryRecorder(Protocol):
    """Keeps what is published for whoever writes it down; never waits."""

    def quotes(self, block: QuoteBlock) -> None: ...

    def trades(self, block: TradeBlock) -> None: ...

    def bar(self, bar: Bar) -> None: ...


class HistoryMeter(Protocol):
    """Counts the rows of the history: those on the disk, those that a full buffer or a failing disk has cost."""

    def written(self, rows: int) -> None: ...

    def found_no_room(self, rows: int) -> None: ...

    def found_no_disk(self, rows: int) -> None: ...


class HistoryStore(Protocol):
    """The history on this machine; every call works in a thread, and raises HistoryAway when the disk fails."""

    async def record(self, recorded: Recorded) -> int:
        """Write one flush; how many rows."""
        ...

    async def whole(self, venue: str, symbol: str, interval: Interval, among: Sequence[Period]) -> set[Period]:
        """Those periods of which all that the venue knows is here."""
        ...

    async def keep_whole(self, venue: str, symbol: str, interval: Interval, told: Mapping[Period, list[Bar]]) -> None:
        """Keep all that a venue knows of some periods."""
        ...

    async def bars(
        self, venue: str, symbols: Sequence[str], interval: Interval, start_ns: int, end_ns: int
    ) -> dict[str, list[Bar]]:
        """Stored bars that start in [start, end), by symbol, oldest first."""
        ...

    async def holds(self, symbol: str) -> bool:
        """Whether anything of a symbol is here."""
        ...

    async def frame(self, query: FrameQuery, fresh: Sequence[Bar]) -> EncodedFrame:
        """The table of a question as an Arrow stream, with `fresh` bars over the stored ones."""
        ...

    async def tidy(self, venues: Sequence[str], now_ns: int) -> None:
        """Merge small files and drop what is older than its days."""
        ...


class HistoryQueries(Protocol):
    """SQL over the history, where it can hurt nobody."""

    async def query(self, sql: str, row_limit: int, *, as_json: bool) -> EncodedFrame:
        """The answer; raises InvalidArgument, DeadlineExceeded or ResourceExhausted."""
        ...
