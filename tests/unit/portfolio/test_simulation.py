"""Simulated losses, against what is known of their distributions and against a path by path recomputation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.risk_inputs import Exposures
from services.portfolio.domain.simulation import Method, Plan, quantile_error, require_plan, simulate
from trading.errors import InvalidArgument

PLENTY = 10**9


def some_history(days: int = 252, symbols: int = 3, seed: int = 4) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0.0005, 0.01, (days, symbols)) + random.normal(0, 0.008, (days, 1))


def some_exposures(*values: float) -> Exposures:
    return Exposures(tuple(f"S{index}" for index in range(len(values))), np.array(values))


HELD = some_exposures(60_000.0, -20_000.0, 10_000.0)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("days", [1, 10])
def test_a_seed_means_the_same_paths(method: Method, days: int) -> None:
    plan = Plan(method, days, 500, seed=7)
    assert simulate(HELD, some_history(), plan) == simulate(HELD, some_history(), plan)
    assert simulate(HELD, some_history(), plan) != simulate(HELD, some_history(), replace(plan, seed=8))


def test_one_day_of_bootstrap_draws_the_days_of_history_and_nothing_else() -> None:
    history = some_history(30)
    found = simulate(HELD, history, Plan(paths=200_000, seed=1))
    days = np.sort(history @ HELD.values)
    assert np.abs(days - found.percentiles[0]).min() < 1e-9  # each path is one day of history
    assert found.mean == pytest.approx(days.mean(), abs=4 * days.std() / math.sqrt(200_000))
    assert found.loss_probability == pytest.approx(np.mean(days < 0), abs=0.01)
    assert found.var_95 == pytest.approx(-days[1], abs=1e-9)  # 5 % lies within the second of 30 days


@pytest.mark.parametrize("method", [Method.GAUSSIAN, Method.STUDENT_T])
def test_a_day_keeps_the_mean_and_the_covariance_of_history(method: Method) -> None:
    history = some_history()
    found = simulate(HELD, history, Plan(method, paths=400_000, seed=3, degrees_of_freedom=8))
    values = HELD.values
    deviation = math.sqrt(values @ np.cov(history.T) @ values)
    assert found.mean == pytest.approx(history.mean(axis=0) @ values, abs=5 * deviation / math.sqrt(400_000))
    assert found.deviation == pytest.approx(deviation, rel=0.01)


def test_normal_losses_have_the_quantiles_of_a_normal_distribution() -> None:
    history = some_history()
    found = simulate(HELD, history, Plan(Method.GAUSSIAN, paths=400_000, seed=3))
    mean, deviation = history.mean(axis=0) @ HELD.values, math.sqrt(HELD.values @ np.cov(history.T) @ HELD.values)
    assert found.var_95 == pytest.approx(stats.norm.ppf(0.95) * deviation - mean, abs=4 * found.var_95_error)
    assert found.cvar_95 == pytest.approx(stats.norm.pdf(stats.norm.ppf(0.95)) / 0.05 * deviation - mean, rel=0.01)
    assert found.var_99 == pytest.approx(stats.norm.ppf(0.99) * deviation - mean, rel=0.02)
    assert found.cvar_99 > found.var_99 > found.var_95


def test_student_losses_have_fatter_tails_than_normal_ones_of_the_same_deviation() -> None:
    plan = Plan(Method.GAUSSIAN, paths=200_000, seed=3)
    normal = simulate(HELD, some_history(), plan)
    student = simulate(HELD, some_history(), replace(plan, method=Method.STUDENT_T, degrees_of_freedom=4))
    expected = stats.t.ppf(0.99, 4) / math.sqrt(2) / stats.norm.ppf(0.99)  # a t of 4 degrees has the variance 2
    assert student.var_99 / normal.var_99 == pytest.approx(expected, rel=0.05)


def test_positions_are_held_over_the_horizon_and_grow_by_compounding() -> None:
    history = np.full((30, 1), 0.01)
    found = simulate(some_exposures(1000.0), history, Plan(horizon_days=10, paths=100))
    assert found.percentiles == pytest.approx([1000 * (1.01**10 - 1)] * 7)
    assert (found.loss_probability, found.value) == (0.0, 1000.0)


def test_blocks_follow_one_another_as_history_did() -> None:
    """With blocks far longer than the horizon, a path is a stretch of history, rarely anything else."""
    history = np.arange(1, 51, dtype=float).reshape(-1, 1) / 1000
    found = simulate(some_exposures(1.0), history, Plan(horizon_days=3, paths=2000, block_days=1e9, seed=2))
    stretches = [np.prod(1 + np.take(history, range(start, start + 3), mode="wrap")) - 1 for start in range(50)]
    assert found.percentiles[3] == pytest.approx(np.percentile(stretches, 50), abs=2e-3)
    lengths = [min(abs(value - found.percentiles[k]) for value in stretches) for k in (0, 1, 5, 6)]
    assert max(lengths) < 1e-6


def test_single_days_lose_the_memory_that_blocks_keep() -> None:
    """A market that trends: ten up, ten down. Blocks of ten keep the trend, blocks of a day forget it."""
    history = np.array([[0.01]] * 10 + [[-0.01]] * 10)
    plan = Plan(horizon_days=10, paths=20_000, seed=5)
    kept = simulate(some_exposures(1.0), history, replace(plan, block_days=10))
    forgotten = simulate(some_exposures(1.0), history, replace(plan, block_days=1))
    assert forgotten.deviation == pytest.approx(0.01 * math.sqrt(10), rel=0.05)
    assert kept.deviation > 1.5 * forgotten.deviation


def test_a_covariance_without_full_rank_is_no_trouble() -> None:
    history = np.column_stack([some_history(5, 4), np.zeros(5)])
    found = simulate(some_exposures(1, 1, 1, 1, 1), history, Plan(Method.GAUSSIAN, paths=50_000, seed=1))
    deviation = math.sqrt(np.ones(5) @ np.cov(history.T) @ np.ones(5))
    assert found.deviation == pytest.approx(deviation, rel=0.02)


def test_many_paths_are_simulated_piece_by_piece() -> None:
    """More returns than one piece holds: 300,000 × 10 > 2,000,000."""
    values = np.ones(10)
    history = some_history(100, 10)
    found = simulate(some_exposures(*values), history, Plan(Method.GAUSSIAN, paths=300_000))
    assert found.deviation == pytest.approx(math.sqrt(values @ np.cov(history.T) @ values), rel=0.01)


def test_the_standard_error_is_how_far_the_value_at_risk_varies_from_seed_to_seed() -> None:
    plan = Plan(Method.GAUSSIAN, paths=2000)
    runs = [simulate(HELD, some_history(), replace(plan, seed=seed)) for seed in range(200)]
    spread = np.std([run.var_95 for run in runs], ddof=1)
    assert np.mean([run.var_95_error for run in runs]) == pytest.approx(spread, rel=0.2)


def test_the_standard_error_is_the_textbooks_for_a_uniform_distribution() -> None:
    values = np.random.default_rng(1).random(100_000)
    assert quantile_error(values, 0.05) == pytest.approx(math.sqrt(0.05 * 0.95 / 100_000), rel=0.1)
    assert quantile_error(np.arange(3.0), 0.05) >= 0


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"horizon_days": 0}, "horizon_days"),
        ({"horizon_days": 253}, "horizon_days"),
        ({"paths": 99}, "paths"),
        ({"paths": 1_000_001}, "paths"),
        ({"block_days": 0.5}, "block_days"),
        ({"block_days": math.nan}, "block_days"),
        ({"method": Method.STUDENT_T, "degrees_of_freedom": 2.0}, "degrees_of_freedom"),
        ({"method": Method.STUDENT_T, "degrees_of_freedom": math.inf}, "degrees_of_freedom"),
    ],
)
def test_a_plan_out_of_bounds_is_refused_by_its_field(words: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        require_plan(replace(Plan(), **words), 3, PLENTY)  # type: ignore[arg-type]
    assert refused.value.metadata["field"] == field


def test_a_simulation_beyond_the_bound_says_how_large_it_would_be() -> None:
    require_plan(Plan(paths=1000, horizon_days=10), 100, 1_000_000)
    with pytest.raises(InvalidArgument) as refused:
        require_plan(Plan(paths=1000, horizon_days=10), 101, 1_000_000)
    assert refused.value.reason == "SIMULATION_TOO_LARGE"
    assert refused.value.metadata["was"] == 1_010_000


def test_returns_of_another_shape_or_not_finite_are_refused() -> None:
    for returns in (some_history(30, 2), np.full((30, 3), np.nan), np.ones((1, 3))):
        with pytest.raises(Refusal):
            simulate(HELD, returns, Plan())
