"""Folding by runs gives what folding row by row gives."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from services.market_data.adapters.run_folds import folded_by_runs
from services.market_data.domain.frame_query import FUNCTIONS, Aggregate

IN_PARTS = ("sum", "mean", "min", "max", "first", "last", "count")
COLUMNS = {"time": pl.Int64, "price": pl.Float64, "side": pl.Int8}
FOLDS = [Aggregate(column, function, f"{column}_{function}") for column in COLUMNS for function in IN_PARTS]
ROWS_EACH = 9


def a_table(keys: list[tuple[float | None, str]]) -> pl.DataFrame:
    """Nine rows for each key, numbered through."""
    rows = [key for key in keys for _ in range(ROWS_EACH)]
    numbers = range(len(rows))
    return pl.DataFrame(
        {
            "bid": pl.Series([bid for bid, _ in rows], dtype=pl.Float64),
            "symbol": pl.Series([symbol for _, symbol in rows], dtype=pl.String),
            "time": pl.Series([10**18 + at * 7 for at in numbers], dtype=pl.Int64),
            "price": pl.Series([at % 13 * 0.5 for at in numbers], dtype=pl.Float64),
            "side": pl.Series([127 - at % 3 for at in numbers], dtype=pl.Int8),
        }
    )


def row_by_row(table: pl.DataFrame, group_by: list[str], folds: list[Aggregate]) -> pl.DataFrame:
    expressions = [
        pl.len().cast(pl.Int64).alias(fold.name)
        if fold.column == "*"
        else getattr(pl.col(fold.column), fold.function)().alias(fold.name)
        for fold in folds
    ]
    return table.group_by(group_by).agg(expressions).sort(group_by)


KEYS = st.lists(st.tuples(st.sampled_from([None, 1.0, 1.01, 2.0]), st.sampled_from("AB")), min_size=1, max_size=12)


@given(
    keys=KEYS, cuts=st.lists(st.integers(0, 100), max_size=3), group_by=st.sampled_from([["bid"], ["symbol", "bid"]])
)
def test_groups_are_the_same(keys: list[tuple[float | None, str]], cuts: list[int], group_by: list[str]) -> None:
    table = a_table(keys)
    borders = [0, *sorted(cut for cut in cuts if cut < len(table)), len(table)]
    tables = [table[start:end] for start, end in pairwise(borders)]
    folds = [*FOLDS, Aggregate("*", "count", "rows")]

    found = folded_by_runs(tables, group_by, folds)

    if found is not None:  # a cut may leave rows that stand alone
        assert_frame_equal(found.sort(group_by), row_by_row(table, group_by, folds), check_dtypes=False)
    assert found is not None or cuts


@pytest.mark.parametrize("group_by", [["bid"], ["symbol"], ["symbol", "bid"]])
def test_runs_of_every_kind_of_key_are_folded(group_by: list[str]) -> None:
    table = a_table([(1.0, "A"), (2.0, "A"), (None, "B"), (1.0, "B")])

    found = folded_by_runs([table], group_by, FOLDS)

    assert found is not None
    assert_frame_equal(found.sort(group_by), row_by_row(table, group_by, FOLDS), check_dtypes=False)


@pytest.mark.parametrize("function", sorted({*FUNCTIONS} - {*IN_PARTS}))
def test_what_does_not_follow_from_parts_is_left_to_others(function: str) -> None:
    assert folded_by_runs([a_table([(1.0, "A")])], ["bid"], [Aggregate("price", function, "x")]) is None


def test_empty_values_are_left_to_others() -> None:
    table = a_table([(1.0, "A")]).with_columns(price=pl.when(pl.col("time") > 10**18).then(pl.col("price")))

    assert folded_by_runs([table], ["bid"], [Aggregate("price", "mean", "x")]) is None


def test_short_runs_are_left_to_others() -> None:
    assert folded_by_runs([a_table([(1.0, "A")] * 4)], ["time"], [Aggregate("*", "count", "x")]) is None


def test_no_rows_are_left_to_others() -> None:
    assert folded_by_runs([a_table([])], ["bid"], FOLDS) is None


def test_texts_can_be_first_and_last() -> None:
    folds = [Aggregate("symbol", function, function) for function in ("first", "last", "count")]

    found = folded_by_runs([a_table([(1.0, "A"), (1.0, "B")])], ["bid"], folds)

    assert found is not None
    assert found.to_dicts() == [{"bid": 1.0, "first": "A", "last": "B", "count": 2 * ROWS_EACH}]
