"""What a market says: quotes, trades and bars, one at a time or as columns.

Blocks stay blocks: a block holds the ticks of one symbol from one venue as little int64 columns of
equal length, oldest first. Float64 only where a size can exceed ±9.22e9 (the volume of a bar).
"""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Int64Column = npt.NDArray[np.int64]


class Quote(NamedTuple):
    """The best bid and ask of one symbol; prices and sizes in nanos, times in ns UTC."""

    symbol: str
    bid_nanos: int
    bid_size_nanos: int
    ask_nanos: int
    ask_size_nanos: int
    event_time_ns: int
    receive_time_ns: int
    venue: str

    @property
    def mid_nanos(self) -> int:
        """Halfway between bid and ask; the side that exists when the other is empty."""
        if self.bid_nanos and self.ask_nanos:
            return (self.bid_nanos + self.ask_nanos) // 2
        return self.bid_nanos or self.ask_nanos


class Trade(NamedTuple):
    """One print; price and size in nanos. `side` is the aggressor's, or "" when the venue hides it."""

    symbol: str
    price_nanos: int
    size_nanos: int
    trade_id: str
    side: str
    event_time_ns: int
    receive_time_ns: int
    venue: str


@dataclass(slots=True, eq=False)  # columns have no single truth value; frozen, each field would cost a call
class Block:
    """Ticks of one symbol from one venue as columns of equal length N, oldest first; nobody changes one."""

    venue: str
    symbol: str
    event_time_ns: Int64Column
    receive_time_ns: Int64Column

    def __len__(self) -> int:
        return len(self.event_time_ns)

    def tail(self, start: int) -> Self:
        """The same block without its first `start` ticks; columns are views."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        columns = {name: value[start:] for name, value in values.items() if not isinstance(value, str)}
        return replace(self, **columns)


@dataclass(slots=True, eq=False)
class QuoteBlock(Block):
    """N quotes; prices and sizes in nanos."""

    bid_nanos: Int64Column
    bid_size_nanos: Int64Column
    ask_nanos: Int64Column
    ask_size_nanos: Int64Column

    def last(self) -> Quote:
        """The newest quote of the block."""
        return Quote(
            self.symbol,
            int(self.bid_nanos[-1]),
            int(self.bid_size_nanos[-1]),
            int(self.ask_nanos[-1]),
            int(self.ask_size_nanos[-1]),
            int(self.event_time_ns[-1]),
            int(self.receive_time_ns[-1]),
            self.venue,
        )


@dataclass(slots=True, eq=False)
class TradeBlock(Block):
    """N trades; prices and sizes in nanos; `side_sign` is +1 buyer, −1 seller, 0 unknown aggressor."""

    price_nanos: Int64Column
    size_nanos: Int64Column
    side_sign: Int64Column
    trade_ids: tuple[str, ...]


class Interval(StrEnum):
    """The lengths of a time bar."""

    ONE_MINUTE = "1m"
    FIVE_MINUTES = "5m"
    ONE_HOUR = "1h"
    ONE_DAY = "1d"

    @property
    def seconds(self) -> int:
        return {"1m": 60, "5m": 300, "1h": 3600, "1d": 86_400}[self.value]


class Bar(NamedTuple):
    """One bar; `timestamp_ns` is its start. Prices in nanos, volume as float64.

    `interval` is an `Interval` or, for a bar that ends with what was traded, `tick-N`, `volume-N` or `value-N`.
    `revision` says how often it was published before; `close_time_ns` is the time of its last tick, 0 if unknown.
    """

    symbol: str
    interval: str
    timestamp_ns: int
    open_nanos: int
    high_nanos: int
    low_nanos: int
    close_nanos: int
    volume: float
    vwap_nanos: int
    trade_count: int
    venue: str
    revision: int = 0
    close_time_ns: int = 0
