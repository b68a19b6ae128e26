"""Rows that can be no market are refused by name."""

import math

import numpy as np
import pytest
from builders.inference import some_rows, some_ticks, walking_rows
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.feature_series import fold, step_through
from services.inference.domain.features import FEATURES, FeatureState
from services.inference.domain.rows import MOST_ROWS, by_symbol, check, following_ticks, spellings
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


def test_rows_that_came_as_columns_are_pointed_at_there() -> None:
    rows = some_rows(2, price=np.array([1.0, -1.0]), columnar=True)
    with pytest.raises(InvalidArgument) as refused:
        check(rows)
    assert refused.value.metadata["field"] == "price[1]"


def test_rows_are_grouped_by_symbol_whatever_the_spelling_and_put_in_the_order_of_time() -> None:
    rows = some_rows(6, ("BTC/USD", "AAPL", "BTC-USDT"), timestamp_ns=np.array([5, 1, 4, 1, 3, 0]))
    found = {symbol: positions.tolist() for symbol, positions in by_symbol(rows, ["BTC-USDT", "AAPL", "BTC-USDT"])}
    assert found == {"AAPL": [1, 4], "BTC-USDT": [5, 3, 2, 0]}


def test_rows_of_one_time_keep_the_order_in_which_they_came() -> None:
    rows = some_rows(3, timestamp_ns=np.array([7, 7, 1]))
    ((_, positions),) = by_symbol(rows, ["AAPL"])
    assert positions.tolist() == [2, 0, 1]


def test_no_rows_are_no_series() -> None:
    assert list(by_symbol(some_rows(0), [])) == []


def test_a_symbol_that_no_row_has_is_nobodys() -> None:
    rows = some_rows(2, symbols=["NOPE", "AAPL"], symbol=np.array([1, 1]))
    assert spellings(rows) == [None, "AAPL"]
    assert [(symbol, len(positions)) for symbol, positions in by_symbol(rows, [None, "AAPL"])] == [("AAPL", 2)]


def test_a_row_borrows_the_displayed_sizes_and_is_one_trade() -> None:
    state = FeatureState()
    state.step(100.0, 99.0, 101.0, 3.0, 7.0)
    rows = some_rows(3, price=np.array([99.0, 100.0, 101.0]), volume=np.array([5.0, 0.0, 5.0]))
    ticks = following_ticks(state, rows, np.arange(3))
    assert ticks.bid_size.tolist() == [3.0] * 3
    assert ticks.ask_size.tolist() == [7.0] * 3
    assert ticks.trades.tolist() == [1.0, 0.0, 1.0]
    assert ticks.signs.tolist() == [-1.0, 0.0, 1.0]


def test_before_any_trade_a_row_at_the_last_price_has_no_sign() -> None:
    state = FeatureState()
    state.step(100.0, 99.0, 101.0, 3.0, 7.0)
    assert following_ticks(state, some_rows(1, volume=np.ones(1)), np.arange(1)).signs.tolist() == [0.0]


@given(seed=st.integers(0, 10_000), warm=st.integers(0, 40), count=st.integers(1, 150), cut=st.integers(0, 150))
def test_rows_are_what_the_live_path_would_make_of_such_trades_and_quotes(
    seed: int, warm: int, count: int, cut: int
) -> None:
    rows = walking_rows(count, seed=seed)
    state = FeatureState()
    step_through(state, some_ticks(warm, seed), np.empty((warm, len(FEATURES))))
    live, found = state.copy(), np.empty((count, len(FEATURES)))
    for part in np.split(np.arange(count), [min(cut, count)]):
        found[part] = fold(state, following_ticks(state, rows, part))
    for row in range(count):
        price, bid, ask, volume = (float(getattr(rows, name)[row]) for name in ("price", "bid", "ask", "volume"))
        if volume > 0:
            live.trade(price, volume, 0)
        live.step(price, bid, ask, live.bid_size, live.ask_size)
        assert np.abs(found[row] - live.features()).max() < 1e-6
