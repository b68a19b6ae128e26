"""A history on the disk of a test, and what to put into it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from services.market_data.adapters.history_frames import HistoryFrames
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.sealed_history import SealedHistory, SealLimits
from services.market_data.adapters.stored_history import DiskLimits, Retention, StoredHistory
from services.market_data.domain.frame_query import frame_query, selection
from services.market_data.domain.history import Kind, Partition, Period, stretch_of
from services.market_data.domain.history_buffer import Recorded
from trading.clock import DAY_NS, MINUTE_NS
from trading.market import Bar, Interval, QuoteBlock, TradeBlock

DAY = Period("2026-03-02")
NOON_NS = DAY.start_ns + 12 * 60 * MINUTE_NS


def a_history(folder: Path, *, tick_days: int = 0, bar_days: int = 0) -> StoredHistory:
    """A store behind its port."""
    limits = DiskLimits(scan_bytes=2**30, decoded_bytes=2**30, cached_bytes=2**20, joined_rows=10**6)
    return StoredHistory(folder, Retention(tick_days, bar_days), limits, reads_at_once=2)


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


def a_sealed_store(
    folder: Path, *, decoded_bytes: int = 2**30, joined_rows: int = 10**6
) -> tuple[ParquetStore, SealedHistory]:
    """A store, and what seals its ended days."""
    store = ParquetStore(folder, mapped_bytes_most=2**30, cached_bytes_most=2**20)
    return store, SealedHistory(store, SealLimits(decoded_bytes, joined_rows))


def a_day_of_quotes(rows: int, *, first: int = 0, day: int = 0, symbol: str = "AAPL") -> QuoteBlock:
    """Quotes a millisecond apart whose files are not small; every hundredth has no bid. `first` numbers the first."""
    numbers = np.arange(first, first + rows)
    times = DAY.start_ns + day * DAY_NS + numbers * 1_000_000
    bids = 10**11 + numbers * 7_919 % 10**9
    sizes = 10**9 + numbers * 104_729 % 10**12
    return QuoteBlock("paper", symbol, times, times + sizes, np.where(numbers % 100, bids, 0), sizes, bids + 10, sizes)


def everything_of(store: ParquetStore, kind: Kind, *, rows_most: int = 10**5) -> pl.DataFrame:
    """All ticks of AAPL on the day, as a reader sees them."""
    rows = selection(kind, ("AAPL",), "", DAY.start_ns, DAY.end_ns, "", DAY.end_ns)
    query = frame_query(rows, columns=(), filter_text="", group_by=(), aggregates=(), row_limit=0, rows_most=rows_most)
    return HistoryFrames(store, scan_bytes_most=2**32).read(query).frame
