"""What the history keeps, and how it is divided: one partition per kind, venue, symbol and stretch of time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from trading.clock import SECOND_NS
from trading.errors import InvalidArgument, Unavailable
from trading.market import Interval


class HistoryAway(Unavailable):
    """The disk does not give or take the history; whoever can do without it goes on."""

    REASON = "HISTORY_AWAY"


class Kind(StrEnum):
    """The three tables."""

    BARS = "bars"
    QUOTES = "quotes"
    TRADES = "trades"


class Stretch(StrEnum):
    """How much time one partition holds, so that it holds neither a handful of rows nor millions of bars."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


STORED_COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: (
        "timestamp_ns",
        "open_nanos",
        "high_nanos",
        "low_nanos",
        "close_nanos",
        "volume",
        "vwap_nanos",
        "trade_count",
    ),
    Kind.QUOTES: ("event_time_ns", "receive_time_ns", "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos"),
    Kind.TRADES: ("event_time_ns", "receive_time_ns", "price_nanos", "size_nanos", "side_sign", "trade_id"),
}
"""What a file holds, the time first; venue, symbol, interval and date are in its path."""

SHOWN_COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: (
        "symbol",
        "venue",
        "interval",
        "timestamp_ns",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "vwap",
        "trade_count",
    ),
    Kind.QUOTES: ("symbol", "venue", "timestamp_ns", "receive_time_ns", "bid", "bid_size", "ask", "ask_size"),
    Kind.TRADES: ("symbol", "venue", "timestamp_ns", "receive_time_ns", "price", "size", "side", "trade_id"),
}
"""What a reader sees: prices and sizes as numbers, times as int64 ns, `side` +1 buyer, −1 seller, 0 unknown."""

DECODED_MEGABYTES = 4096
JOINED_ROWS = 2_000_000
"""What an ended day may take, unless told otherwise: see the settings of these names."""

_STRETCHES = {Interval.ONE_HOUR: Stretch.MONTH, Interval.ONE_DAY: Stretch.YEAR}
_FORMATS = {Stretch.DAY: "%Y-%m-%d", Stretch.MONTH: "%Y-%m", Stretch.YEAR: "%Y"}
_NAME = re.compile(r"\d{4}(-\d\d(-\d\d)?)?", re.ASCII)
_REST_OF_DATE = {10: "", 7: "-01", 4: "-01-01"}
_BY_LENGTH = {10: Stretch.DAY, 7: Stretch.MONTH, 4: Stretch.YEAR}


def stretch_of(interval: Interval | None) -> Stretch:
    """Ticks and short bars by the day, hours by the month, days by the year."""
    return _STRETCHES.get(interval, Stretch.DAY) if interval else Stretch.DAY


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One stretch of UTC time by its name: `2026-11-23`, `2026-11` or `2026`."""

    name: str

    @classmethod
    def holding(cls, time_ns: int, stretch: Stretch) -> "Period":
        """The period that a moment lies in."""
        return cls(_moment(time_ns).strftime(_FORMATS[stretch]))

    @classmethod
    def named(cls, name: str) -> "Period":
        """The period of a name; raises InvalidArgument when it is none."""
        try:
            if _NAME.fullmatch(name) is None:
                raise ValueError(name)
            _first(name)
        except ValueError as error:
            raise InvalidArgument("Not a period of the history.", value=name[:32]) from error
        return cls(name)

    @property
    def stretch(self) -> Stretch:
        return _BY_LENGTH[len(self.name)]

    @property
    def start_ns(self) -> int:
        """Its first moment."""
        return _ns(_first(self.name))

    @property
    def end_ns(self) -> int:
        """The first moment after it."""
        first = _first(self.name)
        if self.stretch is Stretch.YEAR:
            return _ns(first.replace(year=first.year + 1))
        if self.stretch is Stretch.MONTH:
            return _ns(first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1))
        return _ns(first) + 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """The rows of one kind, venue and symbol in one period; bars also of one interval."""

    kind: Kind
    venue: str
    symbol: str
    period: Period
    interval: Interval | None = None


def periods(start_ns: int, end_ns: int, stretch: Stretch) -> Iterator[Period]:
    """The periods that overlap [start, end), in order."""
    while start_ns < end_ns:
        period = Period.holding(start_ns, stretch)
        yield period
        start_ns = period.end_ns


def _first(name: str) -> datetime:
    """The first moment of a period; not by strptime, which takes thirty times as long for each of many partitions."""
    return datetime.fromisoformat(name + _REST_OF_DATE[len(name)]).replace(tzinfo=UTC)


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS
