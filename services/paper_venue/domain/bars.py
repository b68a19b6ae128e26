"""Bars: tables of them, coarser ones from finer ones, and bars built as the market moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from services.paper_venue.domain.replay import price_column
from services.paper_venue.domain.ticks import Int64, Kind, Ticks
from trading.clock import MINUTE_NS
from trading.market import Bar

VENUE = "paper"
_QUOTE, _TRADE, _BAR = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.BAR)


@dataclass(frozen=True, slots=True)
class BarTable:
    """N bars of one instrument, oldest first; `start_ns` is a bar's start, prices in nanos."""

    start_ns: Int64
    open: Int64
    high: Int64
    low: Int64
    close: Int64
    volume: npt.NDArray[np.float64]
    trades: Int64
    vwap: Int64

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_]) -> "BarTable":
        return BarTable(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns in the order of the fields."""
        return (self.start_ns, self.open, self.high, self.low, self.close, self.volume, self.trades, self.vwap)

    def between(self, start_ns: int, end_ns: int) -> "BarTable":
        """The bars that start from `start_ns` to `end_ns`, both included."""
        first, last = np.searchsorted(self.start_ns, start_ns, "left"), np.searchsorted(self.start_ns, end_ns, "right")
        return self[int(first) : int(last)]

    def grouped(self, keys_ns: Int64) -> "BarTable":
        """One bar for each run of equal keys; the key becomes its start."""
        if len(self) == 0:
            return self
        starts = np.flatnonzero(np.r_[True, keys_ns[1:] != keys_ns[:-1]])
        ends = np.r_[starts[1:], len(keys_ns)] - 1
        volume = np.add.reduceat(self.volume, starts)
        traded = np.add.reduceat(self.vwap.astype(np.float64) * self.volume, starts)
        close = self.close[ends]
        vwap = np.where(volume > 0, traded / np.where(volume > 0, volume, 1.0), close)
        return BarTable(
            keys_ns[starts],
            self.open[starts],
            np.maximum.reduceat(self.high, starts),
            np.minimum.reduceat(self.low, starts),
            close,
            volume,
            np.add.reduceat(self.trades, starts),
            np.rint(vwap).astype(np.int64),
        )

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> "BarTable":
        """A table of single bars."""
        start, open_, high, low, close = [np.array([bar[at] for bar in bars], np.int64) for at in range(2, 7)]
        volume = np.array([bar.volume for bar in bars], np.float64)
        trades, vwap = (np.array([bar[at] for bar in bars], np.int64) for at in (9, 8))
        return cls(start, open_, high, low, close, volume, trades, vwap)

    @classmethod
    def concat(cls, parts: Sequence["BarTable"]) -> "BarTable":
        """All bars of all parts, one part after another."""
        return cls(*(np.concatenate(columns) for columns in zip(*(part.columns() for part in parts), strict=True)))


@dataclass(slots=True)
class _Running:
    """A bar in the making from one kind of price."""

    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    volume: float = 0.0
    traded: float = 0.0
    count: int = 0

    def take(self, prices: Int64, sizes: npt.NDArray[np.float64] | None) -> None:
        """Take in prices in their order, with sizes where they traded."""
        if self.count == 0:
            self.open = self.high = self.low = int(prices[0])
        self.high = max(self.high, int(prices.max()))
        self.low = min(self.low, int(prices.min()))
        self.close = int(prices[-1])
        self.count += len(prices)
        if sizes is not None:
            self.volume += float(sizes.sum())
            self.traded += float((prices * sizes).sum())


class RunningBars:
    """Builds the bars of one instrument as it moves: from trades, or from mids (volume 0) in a bar without any.

    `length_ns` is how long a bar is, `interval` its name; without `quoted` a bar without trades is left out.
    """

    def __init__(self, symbol: str, length_ns: int = MINUTE_NS, interval: str = "1m", quoted: bool = True) -> None:
        self._symbol = symbol
        self._length_ns = length_ns
        self._interval = interval
        self._quoted = quoted
        self._number = -1
        self._trades = _Running()
        self._mids = _Running()

    def take(self, ticks: Ticks) -> list[Bar]:
        """Take in rows of this instrument by time; returns the bars that they close."""
        first, last = int(ticks.time_ns[0]) // self._length_ns, int(ticks.time_ns[-1]) // self._length_ns
        if first == last:
            return self._take_piece(first, ticks)
        numbers = ticks.time_ns // self._length_ns
        edges = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
        pieces = [self._take_piece(int(numbers[start]), ticks[start:end]) for start, end in pairwise(edges)]
        return [bar for closed in pieces for bar in closed]

    def finish(self) -> list[Bar]:
        """Close the bar in the making: the market has ended."""
        closed, self._number = self._close(), -1
        return closed

    def _take_piece(self, number: int, ticks: Ticks) -> list[Bar]:
        """Take in rows that all belong to the bar of that number."""
        closed = []
        if number != self._number:
            closed, self._number = self._close(), number
        self._add(ticks)
        return closed

    def _add(self, ticks: Ticks) -> None:
        traded = ticks.kind == _TRADE
        if traded.any():
            self._trades.take(ticks.a[traded], ticks.b[traded] / 1e9)
        if self._quoted:
            prices = price_column(ticks)
            mids = (ticks.kind == _QUOTE) & (prices > 0)
            if mids.any():
                self._mids.take(prices[mids], None)

    def _close(self) -> list[Bar]:
        made = self._trades if self._trades.count else self._mids
        trades = self._trades.count
        self._trades, self._mids = _Running(), _Running()
        if made.count == 0:
            return []
        vwap = round(made.traded / made.volume) if made.volume else made.close
        return [
            Bar(
                self._symbol, self._interval, self._number * self._length_ns,
                made.open, made.high, made.low, made.close, made.volume, vwap, trades, VENUE,
            )
        ]  # fmt: skip


def recorded_bars(ticks: Ticks, symbols: Sequence[str]) -> list[Bar]:
    """The BAR rows of a recording as bars; a bar of a file covers what the file says it covers."""
    rows = ticks[ticks.kind == _BAR]
    return [
        Bar(symbols[row.instrument], "1m", row.time_ns, row.a, row.b, row.c, row.d, row.volume, row.d, 0, VENUE)
        for row in rows.rows()
    ]


def extended(day: Bar | None, minute: Bar, day_start_ns: int) -> Bar:
    """The day's bar after one more of its minutes; a minute of another day starts a new one."""
    if day is None or day.timestamp_ns != day_start_ns:
        return minute._replace(interval="1d", timestamp_ns=day_start_ns)
    volume = day.volume + minute.volume
    traded = day.vwap_nanos * day.volume + minute.vwap_nanos * minute.volume
    return day._replace(
        high_nanos=max(day.high_nanos, minute.high_nanos),
        low_nanos=min(day.low_nanos, minute.low_nanos),
        close_nanos=minute.close_nanos,
        volume=volume,
        vwap_nanos=round(traded / volume) if volume else minute.close_nanos,
        trade_count=day.trade_count + minute.trade_count,
    )
