"""Groups by what stands still for long, such as a bid: each run of equal keys is folded first, then the few runs.

A group-by spends its time on finding the group of every row. Prices, symbols and sides of ticks come in runs (the bids
of a real day of 476,854 quotes in 381), and a run is found by comparing neighbours.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from services.market_data.domain.frame_query import Aggregate

_RUN_ROWS_LEAST = 8
_REDUCERS = {"sum": np.add, "mean": np.add, "min": np.minimum, "max": np.maximum}
_IN_PARTS = frozenset({*_REDUCERS, "first", "last", "count"})
"""Functions of a whole that follow from those of its parts."""
_COUNT = "*count"
"""The name of a run's length; none of a column."""


def folded_by_runs(
    tables: Sequence[pl.DataFrame], group_by: Sequence[str], aggregates: Sequence[Aggregate]
) -> pl.DataFrame | None:
    """The groups of tables that follow one another, in any order of groups; None when it is not to be had so.

    That is when a function does not follow from its parts, a folded column has empty values, or the runs are short. A
    sum of floats is the sum of its runs' sums: it may differ in the last digits from one that adds row by row.
    """
    found = []
    for table in tables:
        if not len(table):
            continue
        runs = _runs(table.rechunk(), group_by, aggregates)
        if runs is None:
            return None
        found.append(runs)
    if not found:
        return None
    return pl.concat(found).group_by(group_by).agg(_whole(f"{at}", fold) for at, fold in enumerate(aggregates))


def _runs(rows: pl.DataFrame, group_by: Sequence[str], aggregates: Sequence[Aggregate]) -> pl.DataFrame | None:
    """One row for each run: its keys, its length, and of each aggregate the part."""
    if not all(_is_in_parts(rows, fold) for fold in aggregates):
        return None
    starts = _starts([rows[name] for name in group_by])
    if len(starts) > max(len(rows) // _RUN_ROWS_LEAST, 1):
        return None
    keys = {name: rows[name].gather(starts) for name in group_by}
    parts = {
        f"{at}": _of_runs(rows[fold.column], fold, starts)
        for at, fold in enumerate(aggregates)
        if fold.function != "count"
    }
    return pl.DataFrame(keys | parts | {_COUNT: np.diff(starts, append=len(rows))})


def _is_in_parts(rows: pl.DataFrame, fold: Aggregate) -> bool:
    if fold.column == "*":
        return True
    column = rows[fold.column]
    is_number = column.dtype.is_numeric() or fold.function not in _REDUCERS
    return fold.function in _IN_PARTS and is_number and column.null_count() == 0


def _starts(keys: Sequence[pl.Series]) -> npt.NDArray[np.int64]:
    """The first row of each run."""
    changes = reduce(or_, map(_changes, keys))
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _changes(key: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each row but the first differs from the one before it."""
    if key.dtype.is_numeric() and key.null_count() == 0:
        numbers = key.to_numpy()
        return np.asarray(numbers[1:] != numbers[:-1])
    return key.slice(1).ne_missing(key.slice(0, len(key) - 1)).to_numpy()


def _of_runs(column: pl.Series, fold: Aggregate, starts: npt.NDArray[np.int64]) -> pl.Series | npt.NDArray[Any]:
    if fold.function in ("first", "last"):
        return column.gather(starts if fold.function == "first" else [*(starts[1:] - 1), len(column) - 1])
    numbers = column.to_numpy()
    if fold.function == "mean":
        numbers = numbers.astype(np.float64, copy=False)
    wide = np.int64 if fold.function == "sum" and column.dtype.is_integer() else numbers.dtype
    found: npt.NDArray[Any] = _REDUCERS[fold.function].reduceat(numbers, starts, dtype=wide)
    return found


def _whole(part: str, fold: Aggregate) -> pl.Expr:
    match fold.function:
        case "count":
            return pl.col(_COUNT).sum().alias(fold.name)
        case "mean":
            return (pl.col(part).sum() / pl.col(_COUNT).sum()).alias(fold.name)
    whole: pl.Expr = getattr(pl.col(part), fold.function)()
    return whole.alias(fold.name)
