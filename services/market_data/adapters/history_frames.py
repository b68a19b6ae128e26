"""Answers questions about the past with Polars: one lazy scan of the right files, narrowed before it is read."""

from collections.abc import Iterator, Sequence
from functools import reduce
from math import ceil, floor
from operator import and_, eq, ge, gt, le, lt, ne, or_

import numpy as np
import polars as pl

from services.market_data.adapters.history_tables import Covariance, HistoryFrame, scanned, shown
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.tick_frames import bar_frame
from services.market_data.domain.filters import Column, Comparison, Every, Filter, Literal, Not, Some
from services.market_data.domain.frame_query import RETURNS, Aggregate, FrameQuery, Selection
from services.market_data.domain.history import STORED_COLUMNS, Kind, Partition
from trading.errors import InvalidArgument
from trading.market import Bar
from trading.money import ONE

_BOUNDS = {"==": (">=", "<="), "!=": (), "<": ("<",), "<=": ("<=",), ">": (">",), ">=": (">=",)}
_LARGEST = 9e6  # beyond it a float is coarser than a nano
_SLACK_NANOS = 2
_OPERATORS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class HistoryFrames:
    """Reads tables from a store; `scan_bytes_most` bounds the files that one question may open."""

    def __init__(self, store: ParquetStore, *, scan_bytes_most: int) -> None:
        self._store, self._scan_bytes_most = store, scan_bytes_most

    def read(self, query: FrameQuery, fresh: Sequence[Bar] = ()) -> HistoryFrame:
        """The table of a question, with `fresh` bars over the stored ones. Raises InvalidArgument when too wide."""
        rows = self._rows(query, fresh)
        if query.selection.kind is Kind.BARS:
            rows = rows.with_columns(_returns())
        if not query.with_covariance:
            return _cut(_answered(rows, query), query, None)
        bars = rows.collect(engine="streaming")
        return _cut(_answered(bars.lazy(), query), query, covariance(bars, query.selection.symbols))

    def _rows(self, query: FrameQuery, fresh: Sequence[Bar]) -> pl.LazyFrame:
        wanted = query.selection
        found_partitions = self._store.files.partitions(
            wanted.kind,
            interval=wanted.interval,
            venue=wanted.venue,
            symbols=wanted.symbols,
            start_ns=wanted.start_ns,
            end_ns=wanted.end_ns,
        )
        partitions = [one for one in found_partitions if wanted.wants(one.venue, one.symbol)]
        parts = [self._store.files.parts(partition) for partition in partitions]
        self._check_size(sum(part.path.stat().st_size for found in parts for part in found))
        stored = scanned(wanted.kind, [part.path for found in parts for part in found])
        if fresh:
            stored = pl.concat([stored, *_fresh_frames(fresh)], how="diagonal")
        stored = _narrowed(stored, query, partitions)
        several_venues = len({partition.venue for partition in partitions}) > 1
        if fresh or several_venues or any(len(found) > 1 for found in parts):
            stored = _ordered(stored, wanted)
        return shown(wanted.kind, stored)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._scan_bytes_most:
            raise InvalidArgument(
                "The range holds too much for one answer: ask for fewer symbols or a shorter time.",
                field="start_time_ns",
                bytes=size_bytes,
                bytes_most=self._scan_bytes_most,
            )


def _narrowed(stored: pl.LazyFrame, query: FrameQuery, partitions: Sequence[Partition]) -> pl.LazyFrame:
    """The rows within the range; of ticks, only those that the filter can keep: what is not read costs nothing."""
    wanted = query.selection
    if any(one.period.start_ns < wanted.start_ns or one.period.end_ns > wanted.end_ns for one in partitions):
        time = pl.col(STORED_COLUMNS[wanted.kind][0])
        stored = stored.filter(time.is_between(wanted.start_ns, wanted.end_ns, closed="left"))
    if wanted.kind is Kind.BARS or query.filter is None:  # a bar's return needs the bar before it
        return stored
    likely = list(_likely(query.filter, wanted.kind))
    return stored.filter(likely) if likely else stored


def _likely(wanted: Filter, kind: Kind) -> Iterator[pl.Expr]:
    """Conditions on stored columns that every row of the filter fulfils, one nano wider than the filter itself."""
    match wanted:
        case Every(parts):
            for part in parts:
                yield from _likely(part, kind)
        case Comparison(Column(name), operator, Literal(int() | float() as number)):
            stored = f"{name}_nanos"
            if stored in STORED_COLUMNS[kind] and abs(number) < _LARGEST:
                low, high = floor(number * ONE) - _SLACK_NANOS, ceil(number * ONE) + _SLACK_NANOS
                yield from (
                    _OPERATORS[one](pl.col(stored), low if one[0] == ">" else high) for one in _BOUNDS[operator]
                )


def _fresh_frames(fresh: Sequence[Bar]) -> list[pl.LazyFrame]:
    keys = dict.fromkeys((bar.venue, bar.symbol, bar.interval) for bar in fresh)
    return [
        bar_frame([bar for bar in fresh if (bar.venue, bar.symbol, bar.interval) == key])
        .lazy()
        .with_columns(pl.lit(key[0]).alias("venue"), pl.lit(key[1]).alias("symbol"), pl.lit(key[2]).alias("interval"))
        for key in keys
    ]


def _ordered(stored: pl.LazyFrame, wanted: Selection) -> pl.LazyFrame:
    """By symbol in the caller's order and then time; of two bars with one start the one that came last."""
    rank = pl.col("symbol").replace_strict(list(wanted.symbols), range(len(wanted.symbols)), return_dtype=pl.UInt32)
    time = STORED_COLUMNS[wanted.kind][0]
    if wanted.kind is Kind.BARS:
        newest = stored.unique(["venue", "symbol", time], keep="last", maintain_order=True)
        return newest.sort(rank, "venue", time, maintain_order=True)
    order = [rank, pl.col(time)] if len(wanted.symbols) > 1 else [pl.col(time)]
    return stored.sort(order, maintain_order=True)


def _returns() -> pl.Expr:
    """close ÷ the close before − 1 within a symbol of a venue; null in its first row."""
    symbol, venue, close = pl.col("symbol"), pl.col("venue"), pl.col("close")
    goes_on = (symbol == symbol.shift(1)) & (venue == venue.shift(1))
    return pl.when(goes_on).then(close / close.shift(1) - 1.0).alias(RETURNS)


def _answered(rows: pl.LazyFrame, query: FrameQuery) -> pl.LazyFrame:
    if query.filter is not None:
        rows = rows.filter(expression(query.filter))
    if not query.is_folded:
        return rows.select(query.columns)
    folds = [_fold(aggregate) for aggregate in query.aggregates]
    if not query.group_by:
        return rows.select(folds)
    return rows.group_by(query.group_by).agg(folds).sort(query.group_by)


def _cut(answer: pl.LazyFrame, query: FrameQuery, known: Covariance | None) -> HistoryFrame:
    frame = answer.head(query.row_limit + 1).collect(engine="streaming")
    return HistoryFrame(frame.head(query.row_limit), len(frame) > query.row_limit, known)


def _fold(aggregate: Aggregate) -> pl.Expr:
    if aggregate.column == "*":
        return pl.len().cast(pl.Int64).alias(aggregate.name)
    folded: pl.Expr = getattr(pl.col(aggregate.column), aggregate.function)()
    return (folded.cast(pl.Int64) if aggregate.function == "count" else folded).alias(aggregate.name)


def expression(wanted: Filter) -> pl.Expr:
    """A filter as Polars evaluates it."""
    match wanted:
        case Comparison(left, operator, right):
            compared: pl.Expr = _OPERATORS[operator](_value(left), _value(right))
            return compared
        case Not(inner):
            return ~expression(inner)
        case Every(parts):
            return reduce(and_, map(expression, parts))
        case Some(parts):
            return reduce(or_, map(expression, parts))


def _value(value: Column | Literal) -> pl.Expr:
    return pl.col(value.name) if isinstance(value, Column) else pl.lit(value.value)


def covariance(bars: pl.DataFrame, symbols: Sequence[str]) -> Covariance:
    """The sample covariance (n − 1) of simple returns per bar, over the times that all symbols share.

    Symbols without bars, or fewer than two shared returns, give NaN.
    """
    count = len(symbols)
    table = bars.select("timestamp_ns", "symbol", RETURNS).drop_nulls()
    wide = table.pivot(on="symbol", index="timestamp_ns", values=RETURNS, aggregate_function="last")
    if not set(symbols) <= set(wide.columns):
        return Covariance(tuple(symbols), np.full((count, count), np.nan))
    returns = wide.select(symbols).drop_nulls().to_numpy()
    if len(returns) < 2:
        return Covariance(tuple(symbols), np.full((count, count), np.nan))
    return Covariance(tuple(symbols), np.cov(returns, rowvar=False, ddof=1).reshape(count, count))
