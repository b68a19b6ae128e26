"""One definition of every feature, in steps and over columns."""

import numpy as np
import polars as pl
import pytest
from builders.inference import a_quote_block, some_ticks
from hypothesis import given
from hypothesis import strategies as st
from servers import SHARED_DATA

from services.inference.domain import feature_series
from services.inference.domain.averages import CHUNK, Averages, padded_count
from services.inference.domain.feature_series import PIECE, Ticks, advance, fold, quote_ticks, two_sided
from services.inference.domain.features import FEATURES, WARM_UP_TICKS, FeatureState

BAC_QUOTES = SHARED_DATA / "bac-quotes-2013-10-07.parquet"
CLOSE = 1e-6


def step_through(state: FeatureState, ticks: Ticks) -> np.ndarray:
    """The features after each tick, one by one."""
    features = np.empty((len(ticks), len(FEATURES)))
    feature_series.step_through(state, ticks, features)
    return features


@given(seed=st.integers(0, 10_000), count=st.integers(1, 300), trades=st.booleans())
def test_columns_and_steps_agree_on_any_ticks(seed: int, count: int, trades: bool) -> None:
    ticks = some_ticks(count, seed, trades=trades)
    assert np.abs(fold(FeatureState(), ticks) - step_through(FeatureState(), ticks)).max() < CLOSE


@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    flips=st.lists(st.booleans(), min_size=7),
)
def test_any_mixture_of_steps_and_columns_gives_the_same_features(
    seed: int, cuts: list[int], flips: list[bool]
) -> None:
    ticks = some_ticks(200, seed)
    state, rows = FeatureState(), []
    edges = sorted({0, 200, *cuts})
    for start, end, by_columns in zip(edges, edges[1:], flips, strict=False):
        part = ticks[start:end]
        rows.append(fold(state, part) if by_columns else step_through(state, part))
    assert np.abs(np.concatenate(rows) - fold(FeatureState(), ticks)).max() < CLOSE


@pytest.mark.skipif(not BAC_QUOTES.exists(), reason="The recorded BAC quotes are not on this machine.")
def test_columns_and_steps_agree_on_recorded_quotes() -> None:
    frame = pl.read_parquet(BAC_QUOTES).head(30_000)
    bid, bid_size, ask, ask_size = (frame[name].to_numpy() for name in ("bid", "bid_size", "ask", "ask_size"))
    block = a_quote_block(bid, ask, bid_sizes=bid_size, ask_sizes=ask_size)
    ticks = quote_ticks(block, two_sided(block))
    features = fold(FeatureState(), ticks)
    assert np.abs(features - step_through(FeatureState(), ticks)).max() < CLOSE
    assert np.isfinite(features).all()


def test_columns_longer_than_a_piece_and_steps_agree() -> None:
    ticks = some_ticks(2 * PIECE + 7)
    one, other = FeatureState(), FeatureState()
    assert np.abs(fold(one, ticks) - step_through(other, ticks)).max() < CLOSE
    assert one.features() == pytest.approx(other.features(), abs=CLOSE)


def test_a_copy_of_a_state_goes_its_own_way() -> None:
    state = FeatureState()
    advance(state, some_ticks(150))
    before, copy = state.features(), state.copy()
    assert copy.features() == before
    step_through(copy, some_ticks(40, seed=9))
    assert state.features() == before
    assert copy.ticks == 190


def test_advancing_is_folding_without_the_rows() -> None:
    one, other = FeatureState(), FeatureState()
    fold(one, some_ticks(100))
    advance(other, some_ticks(100))
    assert one.features() == other.features()


def test_folding_nothing_changes_nothing() -> None:
    state = FeatureState()
    assert fold(state, some_ticks(0)).shape == (0, len(FEATURES))
    advance(state, some_ticks(0))
    assert state.ticks == 0


def test_a_state_is_warm_after_its_slowest_average_has_seen_enough() -> None:
    state = FeatureState()
    advance(state, some_ticks(WARM_UP_TICKS - 1))
    assert not state.warm
    state.quote(100 * 10**9, 10**9, 101 * 10**9, 10**9)
    assert state.warm


def test_a_flat_market_is_calm_and_says_nothing() -> None:
    block = a_quote_block([100.0] * 5_000)
    features = dict(zip(FEATURES, fold(FeatureState(), quote_ticks(block, two_sided(block)))[-1], strict=True))
    flat = {"return_1", "return_8", "return_32", "volatility_32", "z_score_32", "trend_128", "tick_imbalance_32"}
    assert {name: features[name] for name in flat} == pytest.approx(dict.fromkeys(flat, 0.0), abs=CLOSE)
    assert features["rsi_14"] == pytest.approx(0.5)
    assert features["volatility_ratio"] == pytest.approx(1.0)
    assert features["spread"] == pytest.approx(1.0, rel=1e-3)


def test_returns_are_basis_points_of_the_mid() -> None:
    state = FeatureState()
    state.step(100.0, 99.0, 101.0, 1.0, 1.0)
    state.step(101.0, 100.0, 102.0, 1.0, 1.0)
    features = dict(zip(FEATURES, state.features(), strict=True))
    assert features["return_1"] == pytest.approx(1e4 * np.log(1.01))
    assert features["return_32"] == features["return_1"]


def test_a_rising_market_points_every_direction_feature_up() -> None:
    block = a_quote_block(np.linspace(100, 101, 200))
    features = dict(zip(FEATURES, fold(FeatureState(), quote_ticks(block, two_sided(block)))[-1], strict=True))
    rising = ("return_1", "return_8", "return_32", "ema_32_distance", "ema_128_distance", "z_score_32", "trend_128")
    assert all(features[name] > 0 for name in rising)
    assert features["tick_imbalance_32"] == pytest.approx(1.0)
    assert features["rsi_14"] > 0.99


def test_displayed_sizes_stand_in_for_volume_until_the_first_trade() -> None:
    quoted, traded = FeatureState(), FeatureState()
    for state in (quoted, traded):
        state.step(100.0, 99.0, 101.0, 5.0, 5.0)
        state.step(110.0, 109.0, 111.0, 5.0, 5.0)
    traded.trade(110.0, 1_000.0, 1)
    for state in (quoted, traded):
        state.step(110.0, 109.0, 111.0, 5.0, 5.0)
    vwap = FEATURES.index("vwap_32_distance")
    assert traded.features()[vwap] < quoted.features()[vwap], "the big trade draws the average to the newest price"
    assert quoted.features()[FEATURES.index("trades_per_tick_32")] == 0.0
    assert traded.features()[FEATURES.index("trades_per_tick_32")] > 0.0


@pytest.mark.parametrize(
    ("price", "side", "expected"),
    [
        pytest.param(100.4, 0, 1.0, id="above the mid it bought"),
        pytest.param(99.6, 0, -1.0, id="below the mid it sold"),
        pytest.param(99.6, 1, 1.0, id="a told side stands"),
    ],
)
def test_an_aggressor_is_told_by_the_mid_unless_the_venue_tells(price: float, side: int, expected: float) -> None:
    state = FeatureState()
    state.step(100.0, 99.5, 100.5, 1.0, 1.0)
    state.trade(price, 1.0, side)
    assert state.pending_signs == expected


def test_a_trade_at_the_mid_follows_the_tick_rule_and_keeps_the_last_sign() -> None:
    state = FeatureState()
    state.step(100.0, 99.5, 100.5, 1.0, 1.0)
    state.trade(100.0, 1.0, 0)
    assert state.last_trade_sign == 0.0, "nothing tells the first one"
    state.trade(99.5, 1.0, 0)
    state.trade(100.0, 1.0, 0)
    assert state.last_trade_sign == 1.0, "it rose from the trade before"
    state.trade(100.0, 1.0, 0)
    assert state.last_trade_sign == 1.0, "unchanged keeps the sign"


@given(seed=st.integers(0, 1_000), count=st.integers(1, 5_000), alpha=st.floats(0.01, 0.99))
def test_chunked_averages_equal_the_recursion(seed: int, count: int, alpha: float) -> None:
    random = np.random.default_rng(seed)
    values, expected = np.zeros((2, padded_count(count))), random.standard_normal(2)
    values[:, :count] = random.standard_normal((2, count))
    given, averages = values.copy(), np.empty_like(values)
    Averages([alpha, 0.5])(values, expected, averages)
    assert values.shape[1] % CHUNK == 0
    for column in range(count):
        expected = expected + np.array([alpha, 0.5]) * (given[:, column] - expected)
        assert np.allclose(averages[:, column], expected, atol=1e-9)
