"""Reads each stored series and has it judged."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import polars as pl

from services.market_data.adapters.history_tables import scanned, shown
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.domain.history import Kind, Partition
from services.market_data.domain.quality import Quality, judge_bars, judge_ticks

Series = tuple[Kind, str, str, str]
"""Kind, interval (empty for ticks), venue and symbol."""


def series_of(partition: Partition) -> Series:
    """The series that a partition is a piece of."""
    return partition.kind, partition.interval or "", partition.venue, partition.symbol


def judged(
    store: ParquetStore, kinds: Sequence[Kind], symbols: Sequence[str] | None
) -> Iterator[tuple[Series, Quality]]:
    """Every series of these kinds and symbols with what was found in it; a series is read by itself."""
    for kind in kinds:
        found = sorted(store.files.partitions(kind, symbols=symbols), key=series_of)
        for series, partitions in groupby(found, key=series_of):
            yield series, _judge(store, list(partitions))


def _judge(store: ParquetStore, partitions: Sequence[Partition]) -> Quality:
    first = partitions[0]
    paths = [part.path for partition in sorted(partitions) for part in store.files.parts(partition)]
    table = shown(first.kind, scanned(first.kind, paths)).collect().sort("timestamp_ns", maintain_order=True)
    times_ns = table["timestamp_ns"].to_numpy()
    if first.interval is not None:
        prices = [table[name].to_numpy() for name in ("open", "high", "low", "close")]
        return judge_bars(times_ns, prices, first.interval)
    if first.kind is Kind.QUOTES:
        bid, ask = table["bid"].fill_null(strategy="forward"), table["ask"].fill_null(strategy="forward")
        crossed = int((table["bid"] > table["ask"]).sum())
        return judge_ticks(times_ns, ((bid + ask) / 2).fill_null(float("nan")).to_numpy(), crossed, 0)
    named = table.filter(pl.col("trade_id") != "").select("trade_id", "timestamp_ns")
    double = len(named) - named.n_unique() if len(named) else 0
    return judge_ticks(times_ns, table["price"].to_numpy(), int((table["price"] <= 0).sum()), double)
