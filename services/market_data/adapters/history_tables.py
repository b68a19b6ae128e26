"""The stored files as the tables that a reader sees: lazily scanned, with prices as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from services.market_data.adapters.history_files import HistoryFiles
from services.market_data.adapters.tick_frames import PATH_SCHEMA, SCHEMAS
from services.market_data.domain.history import SHOWN_COLUMNS, STORED_COLUMNS, Kind, Partition
from trading.market import Interval

_ONE = 1e9
_VALUES: dict[Kind, list[str]] = {
    kind: [name for name in columns if name not in PATH_SCHEMA] for kind, columns in SHOWN_COLUMNS.items()
}


@dataclass(frozen=True, slots=True)
class Covariance:
    """N×N float64 of the symbols in their order."""

    symbols: tuple[str, ...]
    matrix: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class HistoryFrame:
    """A table, whether the limit cut rows off, and the covariance of its bars where it was asked for."""

    frame: pl.DataFrame
    truncated: bool
    covariance: Covariance | None = None


def scanned(kind: Kind, paths: Sequence[Path]) -> pl.LazyFrame:
    """The files in their order with the keys of their paths as columns; an empty table when there are none."""
    keys = {name: dtype for name, dtype in PATH_SCHEMA.items() if kind is Kind.BARS or name != "interval"}
    if not paths:
        return pl.LazyFrame(schema={**SCHEMAS[kind], **keys})
    return pl.scan_parquet(
        list(paths), glob=False, hive_partitioning=True, hive_schema=keys, try_parse_hive_dates=False
    )


def shown(kind: Kind, stored: pl.LazyFrame) -> pl.LazyFrame:
    """Stored rows as a reader sees them."""
    return stored.select(_shown_column(kind, name) for name in SHOWN_COLUMNS[kind])


def values(kind: Kind, stored: pl.LazyFrame) -> pl.LazyFrame:
    """Stored rows as a reader sees them, without the columns that are the same in all rows of a partition."""
    return stored.select(_shown_column(kind, name) for name in _VALUES[kind])


def value_schema(kind: Kind) -> pl.Schema:
    """The columns of `values` and their types."""
    return values(kind, pl.LazyFrame(schema=SCHEMAS[kind])).collect_schema()


def with_keys(frame: pl.DataFrame, partition: Partition) -> pl.LazyFrame:
    """The values of a partition of ticks with its keys, as a reader sees them."""
    keys = (pl.lit(getattr(partition, name)).alias(name) for name in ("symbol", "venue"))
    return frame.lazy().select(*keys, pl.all())


def tables(files: HistoryFiles) -> dict[str, pl.LazyFrame]:
    """Every table over everything that is stored; also `bars_1m` and so on, as `interval` is a word of SQL."""
    found = {kind.value: _table(files, kind) for kind in Kind}
    for interval in Interval:
        found[f"bars_{interval}"] = _table(files, Kind.BARS, interval)
    return found


def _table(files: HistoryFiles, kind: Kind, interval: Interval | None = None) -> pl.LazyFrame:
    parts = [files.parts(partition) for partition in files.partitions(kind, interval=interval)]
    if kind is not Kind.BARS:
        return shown(kind, scanned(kind, [part.path for found in parts for part in found]))
    alone = scanned(kind, [found[0].path for found in parts if len(found) == 1])
    several = scanned(kind, [part.path for found in parts if len(found) > 1 for part in found])
    newest = several.unique(["interval", "venue", "symbol", "timestamp_ns"], keep="last", maintain_order=True)
    return shown(kind, pl.concat([alone, newest]))


def _shown_column(kind: Kind, name: str) -> pl.Expr:
    time = STORED_COLUMNS[kind][0]
    match name:
        case "timestamp_ns":
            return pl.col(time).alias(name)
        case "side":
            return pl.col("side_sign").alias(name)
        case "bid" | "ask":  # 0 stands for an empty side
            return pl.when(pl.col(f"{name}_nanos") > 0).then(_number(f"{name}_nanos")).alias(name)
        case _ if f"{name}_nanos" in STORED_COLUMNS[kind]:
            return _number(f"{name}_nanos").alias(name)
    return pl.col(name)


def _number(name: str) -> pl.Expr:
    """Nanos as the nearest number.

    Polars divides by a constant through its reciprocal, which misses the nearest float; by a column it truly divides.
    """
    nanos = pl.col(name)
    return nanos / (nanos * 0 + _ONE)
