"""Predictions are judged by the mid when their horizon has passed, as in training, in bounded memory."""

from itertools import pairwise

import numpy as np
import pytest
from builders.inference import NOON_NS, SECOND_NS, a_quote_block, a_walk, nanos
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.outcomes import Outcomes

HORIZON_NS = SECOND_NS // 2
MARKET = ("paper", "AAPL")


def some_outcomes(**changes: object) -> Outcomes:
    given: dict[str, object] = {"window": 100, "waiting": 100, "calibrated": True}
    return Outcomes(HORIZON_NS, **(given | changes))


def test_nothing_is_known_before_a_horizon_has_passed() -> None:
    outcomes = some_outcomes()
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([101.0], start_ns=NOON_NS + HORIZON_NS), 0, 100.0)
    found = outcomes.summary()
    assert (found.outcomes, found.brier, found.base_rate_brier, found.hit_rate) == (0, None, None, None)


@pytest.mark.parametrize(
    ("mid_then", "brier", "hits"),
    [(101.0, 0.01, 1.0), (99.0, 0.81, 0.0), (100.0, 0.16, 0.5)],
    ids=["up", "down", "same"],
)
def test_the_mid_before_the_first_later_tick_decides(mid_then: float, brier: float, hits: float) -> None:
    outcomes = some_outcomes()
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([500.0], start_ns=NOON_NS + SECOND_NS), 0, mid_then)
    found = outcomes.summary()
    assert found.outcomes == 1
    assert found.brier == pytest.approx(brier)
    assert found.hit_rate == hits
    assert found.base_rate_brier == 0.0, "one outcome is its own base rate"


def test_within_a_block_the_last_tick_at_the_horizon_decides() -> None:
    outcomes = some_outcomes()
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    block = a_quote_block([90.0, 90.0, 110.0, 0.0, 90.0], start_ns=NOON_NS + HORIZON_NS - 100, step_ns=50)
    outcomes.settle(block, 4, 90.0)
    assert outcomes.summary().hit_rate == 1.0, "the third tick is at the horizon, the fourth is no market"


def test_other_symbols_decide_nothing() -> None:
    outcomes = some_outcomes()
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([1.0], symbol="BTC-USDT", start_ns=NOON_NS + SECOND_NS), 0, 1.0)
    assert outcomes.summary().outcomes == 0


def test_without_calibration_there_is_a_hit_rate_and_no_brier() -> None:
    outcomes = some_outcomes(calibrated=False)
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([1.0], start_ns=NOON_NS + SECOND_NS), 0, 101.0)
    assert (outcomes.summary().brier, outcomes.summary().hit_rate) == (None, 1.0)


def test_only_the_newest_outcomes_count() -> None:
    outcomes = some_outcomes(window=2)
    for second, up in enumerate((0.0, 1.0, 1.0)):
        outcomes.add(MARKET, NOON_NS + second * SECOND_NS, 100.0, up)
        outcomes.settle(a_quote_block([1.0], start_ns=NOON_NS + (second + 1) * SECOND_NS), 0, 101.0)
    assert outcomes.summary().outcomes == 2
    assert outcomes.summary().brier == 0.0


def test_no_more_wait_than_may() -> None:
    outcomes = some_outcomes(waiting=3)
    for number in range(5):
        outcomes.add(MARKET, NOON_NS + number, 100.0, 0.9)
    outcomes.settle(a_quote_block([1.0], start_ns=NOON_NS + SECOND_NS), 0, 101.0)
    assert (outcomes.summary().outcomes, outcomes.skipped) == (3, 2)


def test_when_a_replay_begins_anew_what_waits_is_forgotten() -> None:
    outcomes = some_outcomes()
    outcomes.add(MARKET, NOON_NS + 60 * SECOND_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([1.0], start_ns=NOON_NS), 0, 101.0)
    outcomes.add(MARKET, NOON_NS, 100.0, 0.9)
    outcomes.settle(a_quote_block([1.0], start_ns=NOON_NS + SECOND_NS), 0, 101.0)
    assert outcomes.summary().outcomes == 1


@given(seed=st.integers(0, 1_000), cuts=st.lists(st.integers(1, 199), max_size=20))
def test_any_blocks_give_the_labels_of_training(seed: int, cuts: list[int]) -> None:
    """Against searchsorted over the whole series, as `samples.sample` labels it."""
    random = np.random.default_rng(seed)
    bids = a_walk(200, seed, volatility=5e-5)
    time_ns = NOON_NS + np.cumsum(random.integers(0, 3, 200)) * (SECOND_NS // 8)
    edges = sorted({0, 200, *cuts})
    outcomes, mid = some_outcomes(window=1_000, waiting=1_000), bids + 0.005
    before = 0.0
    expected: list[float] = []
    for start, end in pairwise(edges):
        block = a_quote_block(bids[start:end])
        block.event_time_ns[:] = time_ns[start:end]
        outcomes.settle(block, end - start - 1, before)
        before = float(nanos(bids[end - 1 : end])[0] / 1e9 + nanos(bids[end - 1 : end] + 0.01)[0] / 1e9) * 0.5
        outcomes.add(MARKET, int(time_ns[end - 1]), before, 1.0)
        if time_ns[end - 1] + HORIZON_NS < time_ns[-1]:
            later = mid[np.searchsorted(time_ns, time_ns[end - 1] + HORIZON_NS, side="right") - 1]
            expected.append((np.sign(round(later - mid[end - 1], 6)) + 1) / 2)
    found = outcomes.summary()
    assert found.outcomes == len(expected)
    assert found.hit_rate == (pytest.approx(np.mean(expected)) if expected else None)
