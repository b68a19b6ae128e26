"""Answers questions about the past with Polars: the right files, mapped or lazily scanned, narrowed before reading."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import polars as pl
from polars._typing import EngineType

from services.market_data.adapters.frame_filters import expression, likely
from services.market_data.adapters.history_files import Part
from services.market_data.adapters.history_tables import Covariance, HistoryFrame, scanned, shown, with_keys
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.run_folds import folded_by_runs
from services.market_data.adapters.tick_frames import bar_frame
from services.market_data.domain.frame_query import RETURNS, Aggregate, FrameQuery, Selection
from services.market_data.domain.history import STORED_COLUMNS, Kind, Partition
from trading.errors import InvalidArgument
from trading.market import Bar, Interval

_MAPPED_ROWS_MOST = 1 << 24
"""Rows that are looked through for runs in memory; more are folded as a stream."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One file of a question: what it is a part of, and its mapped rows where it is decoded."""

    partition: Partition
    part: Part
    mapped: pl.DataFrame | None


class HistoryFrames:
    """Reads tables from a store; `scan_bytes_most` bounds the files that one question may open."""

    def __init__(self, store: ParquetStore, *, scan_bytes_most: int) -> None:
        self._store, self._scan_bytes_most = store, scan_bytes_most

    def read(self, query: FrameQuery, fresh: Sequence[Bar] = ()) -> HistoryFrame:
        """The table of a question, with `fresh` bars over the stored ones. Raises InvalidArgument when too wide."""
        pieces = self._pieces(query.selection)
        found = _read_bars(pieces, query, fresh) if query.selection.kind is Kind.BARS else _read_ticks(pieces, query)
        venues = {piece.partition.venue for piece in pieces} | {bar.venue for bar in fresh}
        return found if query.is_folded else replace(found, frame=_labelled(found.frame, query.selection, venues))

    def _pieces(self, wanted: Selection) -> list[_Piece]:
        found = self._store.files.partitions(
            wanted.kind,
            interval=wanted.interval,
            venue=wanted.venue,
            symbols=wanted.symbols,
            start_ns=wanted.start_ns,
            end_ns=wanted.end_ns,
        )
        files = [
            (partition, part, part.path.stat())
            for partition in found
            if wanted.wants(partition.venue, partition.symbol)
            for part in self._store.files.parts(partition)
        ]
        self._check_size(sum(status.st_size for _, _, status in files))
        return [_Piece(one, part, self._mapped(one, part, status)) for one, part, status in files]

    def _mapped(self, partition: Partition, part: Part, status: os.stat_result) -> pl.DataFrame | None:
        return None if partition.kind is Kind.BARS else self._store.decoded.frame(partition.kind, part, status)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._scan_bytes_most:
            raise InvalidArgument(
                "The range holds too much for one answer: ask for fewer symbols or a shorter time.",
                field="start_time_ns",
                bytes=size_bytes,
                bytes_most=self._scan_bytes_most,
            )


def _read_ticks(pieces: Sequence[_Piece], query: FrameQuery) -> HistoryFrame:
    tables, is_mapped = _ticks(pieces, query), _are_mapped(pieces)
    groups = _by_runs(tables, query) if is_mapped and query.group_by else None
    if groups is not None:
        return _cut(groups.lazy(), query, None)
    return _cut(_answered(pl.concat(tables), query), query, None, engine="in-memory" if is_mapped else "streaming")


def _read_bars(pieces: Sequence[_Piece], query: FrameQuery, fresh: Sequence[Bar]) -> HistoryFrame:
    rows = _bars(pieces, query.selection, fresh).with_columns(_returns())
    if not query.with_covariance:
        return _cut(_answered(rows, query), query, None)
    bars = rows.collect(engine="streaming")
    return _cut(_answered(bars.lazy(), query), query, covariance(bars, query.selection.symbols))


def _bars(pieces: Sequence[_Piece], wanted: Selection, fresh: Sequence[Bar]) -> pl.LazyFrame:
    stored = scanned(Kind.BARS, [piece.part.path for piece in pieces])
    if fresh:
        stored = pl.concat([stored, *_fresh_frames(fresh)], how="diagonal")
    rows = shown(Kind.BARS, _within(stored, wanted, pieces))
    return _ordered(rows, wanted) if fresh or _overlap(pieces) else rows


def _ticks(pieces: Sequence[_Piece], query: FrameQuery) -> list[pl.LazyFrame]:
    """The rows of a question, table after table; neighbouring files that are not decoded are one scan."""
    wanted = query.selection
    tables = []
    for is_scanned, some in groupby(pieces, key=lambda piece: piece.mapped is None):
        group = list(some)
        if is_scanned:
            stored = _within(scanned(wanted.kind, [piece.part.path for piece in group]), wanted, group)
            tables.append(shown(wanted.kind, _likely_only(stored, query)))
        else:
            tables += [_sliced(piece, wanted) for piece in group]
    tables = tables or [shown(wanted.kind, scanned(wanted.kind, ()))]
    return [_ordered(pl.concat(tables), wanted)] if _overlap(pieces) else tables


def _are_mapped(pieces: Sequence[_Piece]) -> bool:
    mapped = [piece.mapped for piece in pieces if piece.mapped is not None]
    return 0 < len(pieces) == len(mapped) and sum(map(len, mapped)) <= _MAPPED_ROWS_MOST


def _sliced(piece: _Piece, wanted: Selection) -> pl.LazyFrame:
    """The mapped rows of a file within the range: their times are sorted, so nothing is read but the two ends."""
    assert piece.mapped is not None
    rows = piece.mapped
    if not _is_inside(piece, wanted):
        times = rows["timestamp_ns"]
        first, end = (times.search_sorted(time_ns, side="left") for time_ns in (wanted.start_ns, wanted.end_ns))
        rows = rows.slice(first, end - first)
    return with_keys(rows, piece.partition)


def _is_inside(piece: _Piece, wanted: Selection) -> bool:
    period = piece.partition.period
    return wanted.start_ns <= period.start_ns and period.end_ns <= wanted.end_ns


def _within(stored: pl.LazyFrame, wanted: Selection, pieces: Sequence[_Piece]) -> pl.LazyFrame:
    """The stored rows within the range."""
    if all(_is_inside(piece, wanted) for piece in pieces):
        return stored
    return stored.filter(pl.col(STORED_COLUMNS[wanted.kind][0]).is_between(wanted.start_ns, wanted.end_ns, "left"))


def _likely_only(stored: pl.LazyFrame, query: FrameQuery) -> pl.LazyFrame:
    """Of ticks, only those that the filter can keep: what is not read costs nothing."""
    conditions = list(likely(query.filter, query.selection.kind)) if query.filter else []
    return stored.filter(conditions) if conditions else stored


def _overlap(pieces: Sequence[_Piece]) -> bool:
    """Whether the rows, file by file, may be out of order or double: several venues, or several files of a day."""
    partitions = [piece.partition for piece in pieces]
    return len({one.venue for one in partitions}) > 1 or len(set(partitions)) < len(partitions)


def _fresh_frames(fresh: Sequence[Bar]) -> list[pl.LazyFrame]:
    keys = dict.fromkeys((bar.venue, bar.symbol, bar.interval) for bar in fresh)
    return [
        bar_frame([bar for bar in fresh if (bar.venue, bar.symbol, bar.interval) == key])
        .lazy()
        .with_columns(pl.lit(key[0]).alias("venue"), pl.lit(key[1]).alias("symbol"), pl.lit(key[2]).alias("interval"))
        for key in keys
    ]


def _ordered(rows: pl.LazyFrame, wanted: Selection) -> pl.LazyFrame:
    """By symbol in the caller's order and then time; of two bars with one start the one that came last."""
    rank = pl.col("symbol").replace_strict(list(wanted.symbols), range(len(wanted.symbols)), return_dtype=pl.UInt32)
    time = "timestamp_ns"
    if wanted.kind is Kind.BARS:
        newest = rows.unique(["venue", "symbol", time], keep="last", maintain_order=True)
        return newest.sort(rank, "venue", time, maintain_order=True)
    order = [rank, pl.col(time)] if len(wanted.symbols) > 1 else [pl.col(time)]
    return rows.sort(order, maintain_order=True)


def _returns() -> pl.Expr:
    """close ÷ the close before − 1 within a symbol of a venue; null in its first row."""
    symbol, venue, close = pl.col("symbol"), pl.col("venue"), pl.col("close")
    goes_on = (symbol == symbol.shift(1)) & (venue == venue.shift(1))
    return pl.when(goes_on).then(close / close.shift(1) - 1.0).alias(RETURNS)


def _answered(rows: pl.LazyFrame, query: FrameQuery) -> pl.LazyFrame:
    rows = _filtered(rows, query)
    if not query.is_folded:
        return rows.select(query.columns)
    folds = [_fold(aggregate) for aggregate in query.aggregates]
    if not query.group_by:
        return rows.select(folds)
    return rows.group_by(query.group_by).agg(folds).sort(query.group_by)


def _filtered(rows: pl.LazyFrame, query: FrameQuery) -> pl.LazyFrame:
    return rows if query.filter is None else rows.filter(expression(query.filter))


def _by_runs(tables: Sequence[pl.LazyFrame], query: FrameQuery) -> pl.DataFrame | None:
    """The groups of mapped ticks, where that is the faster way."""
    needed = dict.fromkeys((*query.group_by, *(fold.column for fold in query.aggregates if fold.column != "*")))
    frames = [_filtered(table, query).select(list(needed)).collect(engine="in-memory") for table in tables]
    groups = folded_by_runs(frames, query.group_by, query.aggregates)
    return None if groups is None else groups.sort(query.group_by)


def _cut(
    answer: pl.LazyFrame, query: FrameQuery, known: Covariance | None, *, engine: EngineType = "streaming"
) -> HistoryFrame:
    frame = answer.head(query.row_limit + 1).collect(engine=engine)
    return HistoryFrame(frame.head(query.row_limit), len(frame) > query.row_limit, known)


def _labelled(frame: pl.DataFrame, wanted: Selection, venues: set[str]) -> pl.DataFrame:
    """Texts of which there are few as numbers of a list: a million of them would take longer than all the rest."""
    labels = {"symbol": wanted.symbols, "venue": sorted(venues), "interval": [one.value for one in Interval]}
    return frame.with_columns(
        pl.col(name).cast(pl.Enum(values)) for name, values in labels.items() if name in frame.columns
    )


def _fold(aggregate: Aggregate) -> pl.Expr:
    if aggregate.column == "*":
        return pl.len().cast(pl.Int64).alias(aggregate.name)
    folded: pl.Expr = getattr(pl.col(aggregate.column), aggregate.function)()
    return (folded.cast(pl.Int64) if aggregate.function == "count" else folded).alias(aggregate.name)


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
