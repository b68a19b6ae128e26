"""Moments from returns, and expected returns from opinions."""

import numpy as np
import pytest
from builders.portfolio import names, some_moments

from services.portfolio.domain.estimation.black_litterman import View, expected_returns
from services.portfolio.domain.estimation.covariance import Estimator, ewma, ledoit_wolf, moments_of_returns
from services.portfolio.domain.matrices import Floats, Refusal
from trading.errors import InvalidArgument


def some_returns(periods: int, count: int) -> Floats:
    return np.random.default_rng(5).normal(0.001, 0.01, (periods, count)) * np.linspace(0.5, 2, count)


def test_sample_moments_are_the_mean_and_the_unbiased_covariance_of_a_year() -> None:
    returns = some_returns(40, 3)
    moments = moments_of_returns(returns, names(3), 252)
    assert moments.expected_returns == pytest.approx(returns.mean(axis=0) * 252)
    assert moments.covariance == pytest.approx(np.cov(returns.T, ddof=1) * 252)
    assert moments.is_psd_by_construction


def long_form_ledoit_wolf(returns: Floats) -> tuple[Floats, float]:
    """The definition, with its N×N matrices one by one."""
    periods, count = returns.shape
    centred = returns - returns.mean(axis=0)
    sample = centred.T @ centred / periods
    target = np.trace(sample) / count * np.eye(count)
    spread = np.sum((sample - target) ** 2)
    noise = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in centred) / periods**2
    shrinkage = min(noise, spread) / spread
    return shrinkage * target + (1 - shrinkage) * sample, shrinkage


@pytest.mark.parametrize(("periods", "count"), [(60, 8), (12, 30), (10, 10)])
def test_ledoit_wolf_by_the_small_gram_matrix_is_the_definition(periods: int, count: int) -> None:
    returns = some_returns(periods, count)
    covariance, shrinkage = ledoit_wolf(returns)
    expected, expected_shrinkage = long_form_ledoit_wolf(returns)
    assert shrinkage == pytest.approx(expected_shrinkage, rel=1e-10)
    assert covariance == pytest.approx(expected, rel=1e-10, abs=1e-16)


def test_ledoit_wolf_of_equal_assets_without_noise_shrinks_nothing() -> None:
    covariance, shrinkage = ledoit_wolf(np.array([[1.0], [-1.0], [1.0], [-1.0]]))
    assert (covariance[0, 0], shrinkage) == (1.0, 0.0)


def test_ewma_counts_a_return_half_after_its_half_life() -> None:
    returns = np.array([[0.1], [0.0], [0.3]])
    parts = np.array([0.25, 0.5, 1.0]) / 1.75
    mean = parts @ returns[:, 0]
    assert ewma(returns, 1.0)[0, 0] == pytest.approx(parts @ (returns[:, 0] - mean) ** 2)


def test_ewma_with_an_endless_half_life_is_the_plain_covariance() -> None:
    returns = some_returns(50, 4)
    assert ewma(returns, 1e9) == pytest.approx(np.cov(returns.T, ddof=0), rel=1e-6)


@pytest.mark.parametrize("estimator", Estimator)
def test_every_estimator_gives_a_year(estimator: Estimator) -> None:
    returns = some_returns(50, 4)
    year, day = (moments_of_returns(returns, names(4), periods, estimator, 20.0) for periods in (252, 1))
    assert year.covariance == pytest.approx(day.covariance * 252)


@pytest.mark.parametrize("words", [{"periods_per_year": 0.0}, {"half_life": -1.0}, {"periods_per_year": float("nan")}])
def test_periods_and_half_lives_must_be_positive(words: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        moments_of_returns(some_returns(5, 2), names(2), **({"periods_per_year": 252.0} | words))


def test_a_view_held_with_certainty_becomes_true() -> None:
    _, covariance = some_moments(4)
    views = [View({"S0": 1.0, "S1": -1.0}, 0.07, 1 - 1e-12)]
    posterior = expected_returns(names(4), covariance, {}, views, 0.02, 5.0)
    assert posterior[0] - posterior[1] == pytest.approx(0.07, abs=1e-9)


def test_a_view_nobody_believes_leaves_what_the_market_implies() -> None:
    _, covariance = some_moments(3)
    posterior = expected_returns(names(3), covariance, {"S0": 3, "S2": 1}, [View({"S1": 1.0}, 9.0, 1e-12)], 0.02, 2.5)
    assert posterior == pytest.approx(0.02 + 2.5 * covariance @ [0.75, 0, 0.25], abs=1e-9)


def test_half_a_belief_moves_half_the_way() -> None:
    _, covariance = some_moments(3)
    prior = 0.02 + 5.0 * covariance @ np.full(3, 1 / 3)
    posterior = expected_returns(names(3), covariance, {}, [View({"S1": 1.0}, prior[1] + 0.1, 0.5)], 0.02, 5.0)
    assert posterior[1] == pytest.approx(prior[1] + 0.05)


@pytest.mark.parametrize(
    ("market", "view"),
    [
        ({}, View({"X": 1.0}, 0.1, 0.5)),
        ({}, View({"S0": 0.0}, 0.1, 0.5)),
        ({}, View({"S0": 1.0}, 0.1, 1.0)),
        ({}, View({"S0": 1.0}, float("inf"), 0.5)),
        ({}, View({"S0": float("nan")}, 0.1, 0.5)),
        ({"S0": -1.0, "S1": 2.0}, View({"S0": 1.0}, 0.1, 0.5)),
        ({"S0": 0.0}, View({"S0": 1.0}, 0.1, 0.5)),
    ],
)
def test_views_that_make_no_sense_are_refused(market: dict[str, float], view: View) -> None:
    _, covariance = some_moments(3)
    with pytest.raises((InvalidArgument, Refusal)):
        expected_returns(names(3), covariance, market, [view], 0.02, 5.0)


def test_a_view_on_what_has_no_risk_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        expected_returns(names(2), np.diag([0.0, 0.04]), {}, [View({"S0": 1.0}, 0.1, 0.5)], 0.02, 5.0)
