"""Answers questions about the past with Polars: one lazy scan of the right files, narrowed before it is read."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, eq, ge, gt, le, lt, ne, or_

import numpy as np
import polars as pl

from services.market_data.adapters.history_tables import Covariance, HistoryFrame, scanned, shown
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.tick_frames import bar_frame
from services.market_data.domain.filters import Column, Comparison, Every, Filter, Literal, Not, Some
from services.market_data.domain.frame_query import RETURNS, Aggregate, FrameQuery, Selection
from services.market_data.domain.history import STORED_COLUMNS, Kind
from trading.errors import InvalidArgument
from trading.market import Bar

_OPERATORS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class HistoryFrames:
    """Reads tables from a store; `scan_bytes_most` bounds the files that one question may open."""

    def __init__(self, store: ParquetStore, *, scan_bytes_most: int) -> None:
        self._store, self._scan_bytes_most = store, scan_bytes_most

    def read(self, query: FrameQuery, fresh: Sequence[Bar] = ()) -> HistoryFrame:
        """The table of a question; `fresh` bars are laid over the stored ones. Raises InvalidArgument when too wide."""
        rows = self._rows(query.selection, fresh)
        if query.selection.kind is Kind.BARS:
            rows = rows.with_columns(_returns())
        if not query.with_covariance:
            return _cut(_answered(rows, query), query, None)
        bars = rows.collect()
        return _cut(_answered(bars.lazy(), query), query, covariance(bars, query.selection.symbols))

    def _rows(self, wanted: Selection, fresh: Sequence[Bar]) -> pl.LazyFrame:
        partitions = self._store.files.partitions(
            wanted.kind,
            interval=wanted.interval,
            venue=wanted.venue,
            symbols=wanted.symbols,
            start_ns=wanted.start_ns,
            end_ns=wanted.end_ns,
        )
        parts = [self._store.files.parts(partition) for partition in partitions]
        self._check_size(sum(part.path.stat().st_size for found in parts for part in found))
        stored = scanned(wanted.kind, [part.path for found in parts for part in found])
        if fresh:
            stored = pl.concat([stored, *_fresh_frames(fresh)], how="diagonal")
        time = pl.col(STORED_COLUMNS[wanted.kind][0])
        stored = stored.filter(time.is_between(wanted.start_ns, wanted.end_ns, closed="left"))
        venues = {partition.venue for partition in partitions}
        if fresh or len(venues) > 1 or any(len(found) > 1 for found in parts):
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
        stored = stored.unique(["venue", "symbol", time], keep="last", maintain_order=True)
    order = [rank, pl.col(time)] if len(wanted.symbols) > 1 else [pl.col(time)]
    return stored.sort(order, maintain_order=True)


def _returns() -> pl.Expr:
    """close ÷ the close before − 1 within a symbol; null in its first row."""
    symbol, close = pl.col("symbol"), pl.col("close")
    return pl.when(symbol == symbol.shift(1)).then(close / close.shift(1) - 1.0).alias(RETURNS)


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
    frame = answer.head(query.row_limit + 1).collect()
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
