"""The solver's answers, against arithmetic by hand and against trying every choice."""

from itertools import product

import numpy as np
import polars
import pytest
from builders.portfolio import a_problem, some_moments
from scipy.optimize import minimize
from servers import SHARED_DATA

from services.portfolio.adapters import piqp_master, solver_routes
from services.portfolio.adapters.solver_routes import BRANCH, PIQP
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.answer import Answer, Solution, answer_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import (
    QUADRATIC,
    Constraints,
    MinPositionKind,
    Objective,
    Problem,
)
from trading.errors import DeadlineExceeded, TradingError

EQUITIES = SHARED_DATA / "us-equities-daily-adjusted.parquet"
SECTORS = {f"S{index}": "ABC"[index % 3] for index in range(12)}
CAPS = {"A": 0.4, "B": 0.35, "C": 0.4}


def solve(problem: Problem, time_limit_s: float) -> Solution:
    return solver_routes.solve(problem, time_limit_s, WarmStarts())


def answer(problem: Problem, time_limit_s: float = 20.0) -> Answer:
    refuse_infeasible(problem)
    found = answer_of(problem, solve(problem, time_limit_s))
    assert found.max_violation <= 1e-8
    return found


def test_two_uncorrelated_assets_are_held_in_inverse_proportion_to_their_variances() -> None:
    found = answer(a_problem([0.1, 0.1], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE))
    assert found.allocations == {"S0": pytest.approx(0.8, abs=1e-7), "S1": pytest.approx(0.2, abs=1e-7)}
    assert found.solution.route == PIQP


def test_the_tangency_portfolio_is_the_inverse_covariance_times_the_excess_return() -> None:
    expected, covariance = np.array([0.1, 0.12, 0.15]), np.array([[0.04, 0.01, 0], [0.01, 0.06, 0.02], [0, 0.02, 0.09]])
    wanted = np.linalg.solve(covariance, expected - 0.02)
    found = answer(a_problem(expected, covariance))
    assert list(found.allocations.values()) == pytest.approx(list(wanted / wanted.sum()), abs=1e-8)


def test_utility_without_a_bound_in_the_way_holds_excess_over_risk_and_the_rest_in_cash() -> None:
    found = answer(a_problem([0.06, 0.1], np.diag([0.04, 0.16]), Objective.MAX_UTILITY, allow_cash=True))
    assert list(found.allocations.values()) == pytest.approx([0.04 / 0.2, 0.08 / 0.8], abs=1e-8)
    assert found.cash == pytest.approx(0.7, abs=1e-8)


def test_a_target_is_reached_with_the_least_variance() -> None:
    found = answer(a_problem([0.05, 0.15], np.diag([0.01, 0.16]), Objective.TARGET_RETURN, target_return=0.1))
    assert list(found.allocations.values()) == pytest.approx([0.5, 0.5], abs=1e-8)
    assert "target_return" in found.binding_constraints


def test_least_variance_with_cash_is_cash() -> None:
    found = answer(a_problem(objective=Objective.MIN_VARIANCE, allow_cash=True))
    assert (found.cash, found.solution.route) == (1.0, "closed-form")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("objective", sorted(QUADRATIC))
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"max_position_size": 0.15},
        {"sectors": SECTORS, "sector_caps": CAPS, "max_position_size": 0.3},
        {"min_position_size": 0.03, "min_position_kind": MinPositionKind.HARD},
        {"turnover_limit": 0.4, "current": np.full(12, 1 / 12)},
        {"allow_cash": True, "max_position_size": 0.2},
    ],
)
def test_answers_are_proven_at_every_scale(scale: float, objective: Objective, words: dict[str, object]) -> None:
    target = {"target_return": 0.1 * scale} if objective is Objective.TARGET_RETURN else {}
    problem = a_problem(
        count=12, seed=3, scale=scale, objective=objective, risk_free_rate=0.02 * scale, **target, **words
    )
    found = answer(problem)
    assert found.kkt_residual < 1e-6
    assert found.solution.gap == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_no_other_method_finds_a_better_sharpe_ratio(seed: int) -> None:
    problem = a_problem(count=12, seed=seed, sectors=SECTORS, sector_caps=CAPS, max_position_size=0.3)
    found = answer(problem)
    excess, covariance = problem.excess, problem.moments.covariance
    rows = [{"type": "eq", "fun": lambda w: w.sum() - 1}] + [
        {"type": "ineq", "fun": lambda w, cap=cap: cap.cap - w[list(cap.members)].sum()}
        for cap in problem.sector_caps()
    ]
    rival = minimize(
        lambda w: -(excess @ w) / np.sqrt(w @ covariance @ w),
        np.full(12, 1 / 12), bounds=[(0, 0.3)] * 12, constraints=rows, method="SLSQP", options={"ftol": 1e-14},
    )  # fmt: skip
    assert found.sharpe_ratio >= -rival.fun - 1e-7


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("objective", [Objective.MIN_VARIANCE, Objective.MAX_SHARPE, Objective.MAX_UTILITY])
def test_minimum_positions_are_as_good_as_trying_every_choice(seed: int, objective: Objective) -> None:
    words = {"count": 5, "seed": seed, "objective": objective, "max_position_size": 0.5}
    found = answer(a_problem(min_position_size=0.18, **words))
    assert found.solution.route == BRANCH + PIQP
    sign = 1 if objective is Objective.MIN_VARIANCE else -1
    expected, covariance = some_moments(5, seed)
    values = []
    for chosen in product((False, True), repeat=5):
        held = np.flatnonzero(chosen)
        if 2 <= len(held) <= 5:
            part = a_problem(
                expected[held], covariance[np.ix_(held, held)], objective, max_position_size=0.5,
                min_position_size=0.18, min_position_kind=MinPositionKind.HARD,
            )  # fmt: skip
            values.append(sign * answer_of(part, solve(part, 5.0)).objective_value)
    assert sign * found.objective_value == pytest.approx(min(values), rel=1e-6)
    held = [weight for weight in found.allocations.values() if weight > 0]
    assert min(held) >= 0.18 - 1e-9


def test_a_search_without_time_and_without_an_answer_says_so() -> None:
    with pytest.raises(DeadlineExceeded):
        solve(a_problem(count=12, min_position_size=0.11, max_position_size=0.12), 0.0)


def test_returns_with_fewer_periods_than_symbols_are_solved_through_their_own_factor() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.02, (10, 30))
    symbols = tuple(f"S{index}" for index in range(30))
    moments = moments_of_returns(returns, symbols, 252)
    words = {"risk_free_rate": 0.0, "risk_aversion": 5.0, "target_return": None}
    problem = Problem(symbols, moments, Objective.MIN_VARIANCE, constraints=Constraints(max_position_size=0.2), **words)
    found = answer(problem)
    assert found.kkt_residual < 1e-6


def test_a_singular_covariance_is_solved_through_its_spectrum() -> None:
    loadings = np.random.default_rng(4).normal(0.2, 0.1, (8, 2))
    problem = a_problem(np.linspace(0.05, 0.12, 8), loadings @ loadings.T, Objective.MIN_VARIANCE)
    assert answer(problem).kkt_residual < 1e-5


def test_a_covariance_of_zeros_has_no_risk() -> None:
    assert answer(a_problem([0.1, 0.2], np.zeros((2, 2)), Objective.MIN_VARIANCE)).risk == 0.0


def test_a_covariance_with_a_negative_eigenvalue_is_refused_with_its_numbers() -> None:
    with pytest.raises(Refusal) as refused:
        solve(a_problem([0.1, 0.2], [[0.04, 0.05], [0.05, 0.04]]), 5.0)
    assert refused.value.reason == "NOT_POSITIVE_SEMIDEFINITE"
    assert refused.value.numbers["smallest_eigenvalue"] == pytest.approx(-0.25)


def test_a_riskless_mix_above_the_risk_free_rate_has_no_bounded_sharpe_ratio() -> None:
    with pytest.raises(Refusal) as refused:
        solve(a_problem([0.1, 0.08], [[0.04, -0.04], [-0.04, 0.04]]), 5.0)
    assert refused.value.reason == "UNBOUNDED_SHARPE"
    assert refused.value.numbers["riskless"] == "S0 + S1"


def test_a_target_out_of_reach_of_the_turnover_limit_says_what_can_be_reached() -> None:
    problem = a_problem(
        [0.05, 0.15], np.eye(2) * 0.04, Objective.TARGET_RETURN,
        target_return=0.14, turnover_limit=0.2, current=np.array([1.0, 0.0]),
    )  # fmt: skip
    refuse_infeasible(problem)
    with pytest.raises(Refusal) as refused:
        solve(problem, 5.0)
    assert refused.value.reason == "TARGET_RETURN_UNATTAINABLE"
    assert refused.value.numbers["attainable"] == pytest.approx(0.06, abs=1e-6)


def test_no_excess_return_within_the_turnover_limit_is_refused() -> None:
    problem = a_problem([0.01, 0.15], np.eye(2) * 0.04, turnover_limit=0.1, current=np.array([1.0, 0.0]))
    with pytest.raises(Refusal) as refused:
        solve(problem, 5.0)
    assert refused.value.reason == "NO_POSITIVE_EXCESS_RETURN"


def test_minimum_positions_that_miss_a_target_are_refused_as_the_target() -> None:
    problem = a_problem(
        [0.02, 0.02, 0.14], np.eye(3) * 0.04, Objective.TARGET_RETURN,
        target_return=0.1, min_position_size=0.45, max_position_size=0.6,
    )  # fmt: skip
    with pytest.raises(Refusal) as refused:
        solve(problem, 5.0)
    assert refused.value.reason == "TARGET_RETURN_UNATTAINABLE"


def test_a_solver_that_gives_up_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piqp_master, "_TOLERANCES", (0.0,))
    with pytest.raises(TradingError) as failed:
        solve(a_problem(objective=Objective.MIN_VARIANCE), 5.0)
    assert failed.value.reason == "SOLVER_FAILED"


@pytest.mark.skipif(not EQUITIES.exists(), reason="The shared market data is not on this machine.")
@pytest.mark.parametrize("objective", [Objective.MIN_VARIANCE, Objective.MAX_SHARPE, Objective.MAX_UTILITY])
@pytest.mark.parametrize("words", [{"max_position_size": 0.3}, {"max_position_size": 0.4, "min_position_size": 0.1}])
def test_real_equities_are_solved_and_proven(objective: Objective, words: dict[str, float]) -> None:
    table = polars.read_parquet(EQUITIES).pivot(on="symbol", index="date", values="close").drop_nulls().sort("date")
    closes = table.drop("date").to_numpy().astype(float)
    symbols = tuple(name for name in table.columns if name != "date")
    moments = moments_of_returns(closes[1:] / closes[:-1] - 1, symbols, 252)
    problem = Problem(symbols, moments, objective, 0.02, 5.0, None, Constraints(**words))
    found = answer(problem)
    assert found.kkt_residual < 1e-6
    assert 0.05 < found.risk < 0.5


def test_costs_that_eat_every_excess_return_are_refused_as_that() -> None:
    with pytest.raises(Refusal) as refused:
        answer(a_problem([0.1, 0.12], np.eye(2) * 0.04, turnover_cost=0.5, current=np.zeros(2)))
    assert refused.value.reason == "NO_POSITIVE_EXCESS_RETURN"
    assert refused.value.numbers["attainable_excess"] == pytest.approx(0.1 - 0.5)
    assert refused.value.numbers["turnover_cost"] == 0.5
    assert "what its trades cost" in refused.value.message


def test_a_target_that_costs_keep_out_of_reach_says_what_is_left() -> None:
    problem = a_problem(
        [0.05, 0.15], np.eye(2) * 0.04, Objective.TARGET_RETURN,
        target_return=0.14, turnover_cost=0.02, current=np.array([1.0, 0.0]),
    )  # fmt: skip
    refuse_infeasible(problem)
    with pytest.raises(Refusal) as refused:
        solve(problem, 5.0)
    assert refused.value.numbers["attainable"] == pytest.approx(0.15 - 2 * 0.02, abs=1e-9)


def test_a_last_digit_opens_no_position() -> None:
    problem = a_problem([0.1, 0.1, 0.01], [[0.04, 0.01, 0], [0.01, 0.09, 0], [0, 0, 0.01]])
    assert answer(problem).allocations["S2"] == 0.0


def test_nothing_may_be_held_and_cash_is_the_answer() -> None:
    words = {"max_position_size": 0.0, "allow_cash": True}
    found = answer(a_problem(count=3, objective=Objective.TARGET_RISK, target_risk=0.1, **words))
    assert (found.cash, found.risk, found.kkt_residual < 1e-9) == (1.0, 0.0, True)
