"""Problems from the wire: every source of moments, and what is refused there."""

import numpy as np
import pytest

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from services.portfolio.domain.estimation.covariance import Estimator, moments_of_returns
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.problem import Bounds, Objective
from services.portfolio.translate.optimisation import problem_of
from trading.errors import InvalidArgument

SYMBOLS = ("A", "B", "C")
RETURNS = np.random.default_rng(1).normal(0.001, 0.01, (30, 3))
COVARIANCE = np.array([[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.16]])


def given(**words: object) -> pb.OptimizeRequest:
    named = {"symbols": SYMBOLS, "expected_returns": [0.1, 0.12, 0.2], "covariance_f64le": COVARIANCE.tobytes()}
    return pb.OptimizeRequest(**(named | words))


def of_returns(**words: object) -> pb.OptimizeRequest:
    return pb.OptimizeRequest(symbols=SYMBOLS, returns_f64le=RETURNS.tobytes(), **words)


@pytest.mark.parametrize(
    ("wire", "estimator"),
    [
        (pb.COVARIANCE_ESTIMATOR_UNSPECIFIED, Estimator.SAMPLE),
        (pb.COVARIANCE_ESTIMATOR_LEDOIT_WOLF, Estimator.LEDOIT_WOLF),
        (pb.COVARIANCE_ESTIMATOR_EWMA, Estimator.EWMA),
    ],
)
def test_returns_become_moments_by_the_estimator_that_is_named(
    wire: pb.CovarianceEstimator.ValueType, estimator: Estimator
) -> None:
    problem = problem_of(of_returns(covariance_estimator=wire, ewma_half_life=10.0))
    expected = moments_of_returns(RETURNS, SYMBOLS, 252, estimator, 10.0)
    assert problem.moments.covariance == pytest.approx(expected.covariance)
    assert problem.returns is None


def test_a_window_that_was_read_stands_for_the_returns_and_cvar_keeps_them() -> None:
    request = pb.OptimizeRequest(symbols=SYMBOLS, window=pb.ReturnsWindow(days=30), objective=pb.OBJECTIVE_MIN_CVAR)
    problem = problem_of(request, RETURNS)
    assert problem.objective is Objective.MIN_CVAR
    assert problem.returns is not None
    assert problem.returns.tolist() == RETURNS.tolist()


def test_a_factor_model_is_its_covariance_and_needs_no_judge() -> None:
    exposures = np.array([[1.0, 0.2], [0.5, 1.0], [0.0, 2.0]])
    factors, residuals = np.array([[0.04, 0.01], [0.01, 0.02]]), np.array([0.01, 0.0, 0.03])
    request = given(
        covariance_f64le=b"",
        exposures_f64le=exposures.tobytes(),
        factor_covariance_f64le=factors.tobytes(),
        residual_variances_f64le=residuals.tobytes(),
    )
    moments = problem_of(request).moments
    assert moments.covariance == pytest.approx(exposures @ factors @ exposures.T + np.diag(residuals))
    assert moments.is_psd_by_construction
    assert moments.model is not None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"residual_variances_f64le": np.array([0.1, -0.1, 0.1]).tobytes()}, "NOT_POSITIVE_SEMIDEFINITE"),
        ({"factor_covariance_f64le": np.array([[1.0, 2.0], [2.0, 1.0]]).tobytes()}, "NOT_POSITIVE_SEMIDEFINITE"),
        ({"factor_covariance_f64le": np.array([[1.0, 2.0], [0.0, 1.0]]).tobytes()}, "NOT_SYMMETRIC"),
        ({"factor_covariance_f64le": np.eye(3).tobytes()}, "SHAPE_MISMATCH"),
        ({"factor_covariance_f64le": np.full((2, 2), np.nan).tobytes()}, "NOT_FINITE"),
        ({"exposures_f64le": np.ones((4, 2)).tobytes()}, "SHAPE_MISMATCH"),
    ],
)
def test_a_factor_model_that_is_none_is_refused(words: dict[str, bytes], code: str) -> None:
    whole = {
        "covariance_f64le": b"",
        "exposures_f64le": np.ones((3, 2)).tobytes(),
        "factor_covariance_f64le": np.eye(2).tobytes(),
    }
    with pytest.raises(Refusal) as refused:
        problem_of(given(**(whole | words)))
    assert refused.value.reason == code


def test_views_replace_expected_returns_by_what_the_market_implies_and_somebody_thinks() -> None:
    view = pb.View(weights={"A": 1.0}, value=0.3, confidence=0.999999999)
    problem = problem_of(given(expected_returns=[], views=[view], market_weights={"A": 1, "B": 1}, risk_aversion=2.0))
    prior = 0.02 + 2.0 * COVARIANCE @ [0.5, 0.5, 0]
    assert problem.moments.expected_returns[0] == pytest.approx(0.3, abs=1e-6)
    assert problem.moments.expected_returns[2] == pytest.approx(prior[2], abs=1e-6)  # C does not move with A


def test_options_and_bounds_arrive() -> None:
    request = given(objective=pb.OBJECTIVE_TARGET_RISK, target_risk=0.3, beta=0.9, turnover_cost=0.01)
    request.risk_budgets["A"] = 2.0
    request.constraints.max_position_size = 0.6
    request.constraints.lower_bounds["A"] = -0.1
    request.constraints.upper_bounds["B"] = 0.2
    problem = problem_of(request)
    assert (problem.target_risk, problem.beta, problem.turnover_cost) == (0.3, 0.9, 0.01)
    assert problem.risk_budgets == {"A": 2.0}
    assert problem.constraints.bounds == {"A": Bounds(-0.1, 0.6), "B": Bounds(0.0, 0.2)}
    assert problem.lower.tolist() == [-0.1, 0.0, 0.0]
    assert problem.upper.tolist() == [0.6, 0.2, 0.6]


@pytest.mark.parametrize(
    "request_",
    [
        given(returns_f64le=RETURNS.tobytes()),
        given(window=pb.ReturnsWindow(days=5)),
        given(exposures_f64le=np.ones((3, 1)).tobytes()),
        of_returns(expected_returns=[0.1, 0.1, 0.1]),
        of_returns(covariance_estimator=99),
        given(objective=99),
    ],
)
def test_two_sources_of_moments_and_unknown_words_are_refused(request_: pb.OptimizeRequest) -> None:
    with pytest.raises(InvalidArgument):
        problem_of(request_)
