"""A history on the disk of a test, and what to put into it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.stored_history import Retention, StoredHistory
from services.market_data.domain.history import Kind, Partition, Period, stretch_of
from services.market_data.domain.history_buffer import Recorded
from trading.clock import MINUTE_NS
from trading.market import Bar, Interval, QuoteBlock, TradeBlock

DAY = Period("2026-03-02")
NOON_NS = DAY.start_ns + 12 * 60 * MINUTE_NS


def a_history(folder: Path, *, tick_days: int = 0, bar_days: int = 0) -> StoredHistory:
    """A store behind its port."""
    return StoredHistory(folder, Retention(tick_days, bar_days), scan_bytes_most=2**30, reads_at_once=2)


def a_minute(at: int, close: float, *, symbol: str = "AAPL", venue: str = "paper", volume: float = 1.0) -> Bar:
    """The bar that starts `at` minutes after noon."""
    return a_bar_at(NOON_NS + at * MINUTE_NS, close, symbol=symbol, venue=venue, volume=volume)


def a_bar_at(
    start_ns: int,
    close: float,
    *,
    symbol: str = "AAPL",
    venue: str = "paper",
    interval: Interval = Interval.ONE_MINUTE,
    volume: float = 1.0,
) -> Bar:
    """A bar that knows one price."""
    nanos = round(close * 1e9)
    return Bar(symbol, interval, start_ns, nanos, nanos, nanos, nanos, volume, nanos, 1, venue)


def quotes(times_ns: Sequence[int], *, symbol: str = "AAPL", venue: str = "paper", bid: float = 100.0) -> QuoteBlock:
    """Quotes a cent wide; the bid rises by a cent with each."""
    times = np.array(times_ns, np.int64)
    bids = np.int64(round(bid * 1e9)) + np.arange(len(times)) * 10_000_000
    sizes = np.full(len(times), 10**9, np.int64)
    return QuoteBlock(venue, symbol, times, times + 5, bids, sizes, bids + 10_000_000, sizes)


def trades(times_ns: Sequence[int], *, symbol: str = "AAPL", venue: str = "paper", price: float = 100.0) -> TradeBlock:
    """Trades at one price, numbered from 0."""
    times = np.array(times_ns, np.int64)
    prices = np.full(len(times), round(price * 1e9), np.int64)
    ids = tuple(map(str, range(len(times))))
    return TradeBlock(venue, symbol, times, times + 5, prices, prices // 100, np.ones(len(times), np.int64), ids)


def recorded(*items: QuoteBlock | TradeBlock | Bar) -> Recorded:
    """One flush."""
    return Recorded(
        tuple(item for item in items if isinstance(item, QuoteBlock)),
        tuple(item for item in items if isinstance(item, TradeBlock)),
        tuple(item for item in items if isinstance(item, Bar)),
    )


def bars_of_day(symbol: str = "AAPL", interval: Interval = Interval.ONE_MINUTE) -> Partition:
    """The partition of a symbol's bars at noon of the day."""
    return Partition(Kind.BARS, "paper", symbol, Period.holding(NOON_NS, stretch_of(interval)), interval)


def quotes_of_day(symbol: str = "AAPL") -> Partition:
    """The partition of a symbol's quotes on the day."""
    return Partition(Kind.QUOTES, "paper", symbol, DAY)


def a_store(folder: Path) -> ParquetStore:
    """The blocking store itself."""
    return ParquetStore(folder)
