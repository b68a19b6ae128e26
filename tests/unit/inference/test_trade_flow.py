"""Trades reach the same tick, with the same sign, over columns and one by one."""

import numpy as np
import polars as pl
import pytest
from builders.inference import a_quote_block, a_walk, some_ticks
from hypothesis import given
from hypothesis import strategies as st
from servers import SHARED_DATA

from services.inference.domain.feature_series import Ticks, fold, quote_ticks, step_through, two_sided
from services.inference.domain.features import FEATURES, FeatureState
from services.inference.domain.trade_flow import Prints, trade_signs, with_trades, without_trades

BAC_QUOTES, BAC_TRADES = (SHARED_DATA / f"bac-{kind}-2013-10-07.parquet" for kind in ("quotes", "trades"))


def some_prints(count: int, seed: int) -> Prints:
    random = np.random.default_rng(seed)
    return Prints(
        np.sort(random.integers(-5, 205, count)) * 10,
        np.round(a_walk(200, seed)[random.integers(0, 200, count)] + random.integers(-1, 2, count) * 0.01, 2),
        random.integers(1, 10, count) * 100.0,
        random.integers(-1, 2, count) * random.integers(0, 2, count),
    )


def replay(ticks: Ticks, time_ns: np.ndarray, trades: Prints) -> np.ndarray:
    """Quotes and trades in their order through one state; a trade at a tick's time comes after it."""
    state, rows = FeatureState(), []
    position = 0
    for row, now_ns in enumerate(time_ns):
        while position < len(trades) and trades.time_ns[position] < now_ns:
            state.trade(float(trades.price[position]), float(trades.size[position]), int(trades.side[position]))
            position += 1
        state.step(*(float(getattr(ticks, name)[row]) for name in ("price", "bid", "ask", "bid_size", "ask_size")))
        rows.append(state.features())
    return np.array(rows)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_columns_and_events_agree_on_any_trades(seed: int, count: int) -> None:
    ticks, time_ns = without_trades(some_ticks(200, seed)), np.arange(200) * 10
    trades = some_prints(count, seed)
    by_columns = fold(FeatureState(), with_trades(ticks, time_ns, trades))
    assert np.abs(by_columns - replay(ticks, time_ns, trades)).max() < 1e-6


@pytest.mark.skipif(not BAC_TRADES.exists(), reason="The recorded BAC quotes and trades are not on this machine.")
def test_columns_and_events_agree_on_recorded_quotes_and_trades() -> None:
    quotes, prints = pl.read_parquet(BAC_QUOTES).slice(100_000, 20_000), pl.read_parquet(BAC_TRADES)
    time_ns = quotes["timestamp_ns"].to_numpy()
    prints = prints.filter(pl.col("timestamp_ns").is_between(int(time_ns[0]), int(time_ns[-1])))
    bid, bid_size, ask, ask_size = (quotes[name].to_numpy() for name in ("bid", "bid_size", "ask", "ask_size"))
    block = a_quote_block(bid, ask, bid_sizes=bid_size, ask_sizes=ask_size)
    whole = two_sided(block)
    trades = Prints(
        prints["timestamp_ns"].to_numpy(),
        prints["price"].to_numpy(),
        prints["size"].to_numpy(),
        np.zeros(len(prints), np.int64),
    )
    ticks = quote_ticks(block, whole)
    features = fold(FeatureState(), with_trades(ticks, time_ns[whole], trades))
    assert len(trades) > 1_000
    assert np.abs(features - replay(ticks, time_ns[whole], trades)).max() < 1e-6


def test_trades_that_wait_for_a_tick_count_with_the_first_of_a_column() -> None:
    by_columns, by_steps = FeatureState(), FeatureState()
    for state in (by_columns, by_steps):
        fold(state, without_trades(some_ticks(50)))
        state.trade(100.0, 300.0, 1)
        state.trade(100.0, 200.0, -1)
        state.trade(100.0, 200.0, -1)
    later = without_trades(some_ticks(70, seed=2))
    features = np.empty((70, len(FEATURES)))
    step_through(by_steps, later, features)
    assert np.abs(fold(by_columns, later) - features).max() < 1e-6


def test_volume_number_and_signs_land_on_the_next_tick() -> None:
    ticks = without_trades(some_ticks(3))
    trades = Prints(
        np.array([5, 10, 11, 99]), np.full(4, 100.0), np.array([1.0, 2.0, 4.0, 8.0]), np.array([1, 1, -1, 1])
    )
    merged = with_trades(ticks, np.array([0, 10, 20]), trades)
    assert merged.volume.tolist() == [0.0, 1.0, 6.0], "the one at 99 is after the last tick"
    assert merged.trades.tolist() == [0.0, 1.0, 2.0]
    assert merged.signs.tolist() == [0.0, 1.0, 0.0]


def test_a_trade_without_a_mid_follows_the_tick_rule() -> None:
    trades = Prints(np.arange(3), np.array([10.0, 11.0, 11.0]), np.ones(3), np.zeros(3, np.int64))
    assert trade_signs(trades, np.full(3, np.nan)).tolist() == [0.0, 1.0, 1.0]
