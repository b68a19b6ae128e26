"""Rows that can be no market are refused by name."""

import math

import numpy as np
import pytest
from builders.inference import some_rows

from services.inference.domain.features import FeatureState
from services.inference.domain.rows import MOST_ROWS, check, next_ticks
from trading.errors import InvalidArgument


def test_a_good_row_passes() -> None:
    check(some_rows(3))
    check(some_rows(0))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[(name, value) for name in ("price", "bid", "ask") for value in (math.nan, math.inf, -1.0, 0.0)],
        *[("volume", value) for value in (math.nan, math.inf, -1.0)],
        ("timestamp_ns", -1),
        ("ask", 99.98),
    ],
)
def test_the_first_bad_value_is_pointed_at(column: str, value: float) -> None:
    rows = some_rows(5)
    getattr(rows, column)[3] = value
    with pytest.raises(InvalidArgument) as refused:
        check(rows)
    assert refused.value.metadata["field"] == f"market_data[3].{column}"


@pytest.mark.parametrize("spread", [0.03, -0.02, math.nan, math.inf])
def test_a_spread_that_is_not_ask_minus_bid_is_refused(spread: float) -> None:
    rows = some_rows(2, spread=np.array([0.02, spread]), spread_given=np.array([True, True]))
    with pytest.raises(InvalidArgument) as refused:
        check(rows)
    assert refused.value.metadata["field"] == "market_data[1].spread"


def test_a_spread_is_checked_only_where_it_is_given() -> None:
    check(some_rows(2, spread=np.array([0.02, 7.0]), spread_given=np.array([True, False])))


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most"):
        check(some_rows(MOST_ROWS + 1))


def test_a_row_borrows_the_displayed_sizes_and_is_one_trade_by_the_tick_rule() -> None:
    state = FeatureState()
    state.step(100.0, 99.0, 101.0, 3.0, 7.0)
    state.trade(100.0, 1.0, 1)
    rows = some_rows(3, price=np.array([99.0, 100.0, 101.0]), volume=np.array([5.0, 0.0, 5.0]))
    ticks = next_ticks(state, rows, np.array([0, 1, 2]))
    assert ticks.bid_size.tolist() == [3.0] * 3
    assert ticks.ask_size.tolist() == [7.0] * 3
    assert ticks.trades.tolist() == [1.0, 0.0, 1.0]
    assert ticks.signs.tolist() == [-1.0, 0.0, 1.0]


def test_before_any_trade_a_row_has_the_last_sign() -> None:
    state = FeatureState()
    state.step(100.0, 99.0, 101.0, 3.0, 7.0)
    assert next_ticks(state, some_rows(1, volume=np.ones(1)), np.array([0])).signs.tolist() == [0.0]
