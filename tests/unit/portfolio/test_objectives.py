"""The objectives beside mean and variance, each by the route that it must take, against arithmetic and the referee."""

from dataclasses import replace

import numpy as np
import pytest
from builders.portfolio import a_problem, names, some_moments
from builders.referee import referee_weights

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.answer import Answer, answer_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import (
    Bounds,
    FactorModel,
    MinPositionKind,
    Objective,
    Problem,
    factor_moments,
)
from services.portfolio.domain.optimiser.tail import conditional_value_at_risk
from services.portfolio.usecases.optimize import proven_answer
from trading.errors import InvalidArgument

SECTORS = {f"S{index}": "ABC"[index % 3] for index in range(200)}
CAPS = {"A": 0.4, "B": 0.35, "C": 0.4}


def answer(problem: Problem) -> Answer:
    refuse_infeasible(problem)
    return proven_answer(problem, solver_routes.solve(problem, 20.0, WarmStarts()))


def weights_of(found: Answer) -> Floats:
    return np.array(list(found.allocations.values()))


def some_returns(periods: int, count: int, seed: int = 3) -> Floats:
    random = np.random.default_rng(seed)
    return random.normal(0.0005, 0.01, (periods, 1)) + random.normal(0.0003, 0.015, (periods, count))


def a_cvar_problem(periods: int = 60, count: int = 10, beta: float = 0.9, **words: object) -> Problem:
    returns = some_returns(periods, count)
    problem = a_problem(objective=Objective.MIN_CVAR, count=count, returns=returns, beta=beta, **words)
    return replace(problem, moments=moments_of_returns(returns, names(count), 252))


def test_the_tail_is_the_mean_of_the_worst_losses_and_a_part_of_the_next() -> None:
    losses = np.array([1.0, 5.0, 3.0, 2.0])
    assert conditional_value_at_risk(losses, 0.75) == 5.0
    assert conditional_value_at_risk(losses, 0.5) == 4.0
    assert conditional_value_at_risk(losses, 0.625) == pytest.approx((5 + 3 * 0.5) / 1.5)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"max_position_size": 0.2},
        {"sectors": SECTORS, "sector_caps": CAPS, "allow_cash": True},
        {"turnover_limit": 0.3, "current": np.full(10, 0.1)},
        {"min_position_size": 0.04, "min_position_kind": MinPositionKind.HARD},
        {"bounds": {"S0": Bounds(-0.2, 0.1), "S1": Bounds(0.05, 0.3)}},
    ],
)
def test_the_least_cvar_is_the_referees(words: dict[str, object]) -> None:
    problem = a_cvar_problem(**words)
    found = answer(problem)
    assert found.solution.route == solver_routes.HIGHS
    theirs = referee_weights(problem)
    assert theirs is not None
    other = conditional_value_at_risk(-(problem.returns @ theirs), problem.beta)  # type: ignore[operator]
    assert found.cvar == pytest.approx(other, rel=1e-7)
    assert found.objective_value == found.cvar
    assert found.kkt_residual < 1e-8


def test_the_least_cvar_of_many_assets_is_found_through_few() -> None:
    problem = a_cvar_problem(100, 300, 0.95, max_position_size=0.05)
    found, theirs = answer(problem), referee_weights(problem)
    assert theirs is not None
    other = conditional_value_at_risk(-(problem.returns @ theirs), problem.beta)  # type: ignore[operator]
    assert found.cvar == pytest.approx(other, rel=1e-7)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (12, {}),
        (12, {"max_position_size": 0.2, "sectors": SECTORS, "sector_caps": CAPS}),
        (12, {"turnover_limit": 0.6, "current": np.full(12, 1 / 12)}),
        (12, {"turnover_cost": 0.02, "current": np.full(12, 1 / 12)}),
        (12, {"allow_cash": True, "bounds": {"S0": Bounds(-0.3, 0.2)}}),
        (160, {"max_position_size": 0.05}),
    ],
)
def test_the_most_return_within_a_risk_is_the_referees(count: int, words: dict[str, object]) -> None:
    problem = a_problem(count=count, seed=2, objective=Objective.TARGET_RISK, target_risk=0.24, **words)
    found, theirs = answer(problem), referee_weights(problem)
    assert found.solution.route == solver_routes.CONIC
    assert theirs is not None
    other = answer_of(problem, replace(found.solution, weights=theirs))
    assert found.objective_value >= other.objective_value - 1e-7
    assert found.risk <= 0.24 * (1 + 1e-8)
    if found.objective_value < problem.moments.expected_returns.max() - 1e-6:
        assert "target_risk" in found.binding_constraints or problem.trades_matter


def test_the_least_risk_there_is_as_a_target_is_the_safest_portfolio() -> None:
    safest = answer(a_problem(count=12, seed=2, objective=Objective.MIN_VARIANCE))
    found = answer(a_problem(count=12, seed=2, objective=Objective.TARGET_RISK, target_risk=safest.risk))
    assert weights_of(found) == pytest.approx(weights_of(safest), abs=1e-7)
    assert "target_risk" in found.binding_constraints


def test_a_risk_below_the_least_there_is_is_refused_with_that_least() -> None:
    problem = a_problem([0.1, 0.1], np.diag([0.04, 0.04]), Objective.TARGET_RISK, target_risk=0.1)
    with pytest.raises(Refusal) as refused:
        answer(problem)
    assert refused.value.reason == "TARGET_RISK_UNATTAINABLE"
    assert refused.value.numbers["attainable"] == pytest.approx(0.02**0.5)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Objective.MAX_SHARPE, {}),
        (Objective.MAX_SHARPE, {"allow_cash": True, "max_position_size": 0.1}),
        (Objective.MIN_VARIANCE, {"sectors": SECTORS, "sector_caps": CAPS}),
        (Objective.MAX_UTILITY, {"allow_cash": True}),
        (Objective.TARGET_RETURN, {"target_return": 0.1, "bounds": {"S0": Bounds(-0.1, 0.2), "S1": Bounds(0.02, 0.2)}}),
    ],
)
def test_a_factor_model_is_solved_by_itself_and_gives_the_same(objective: Objective, words: dict[str, object]) -> None:
    random = np.random.default_rng(8)
    model = FactorModel(random.normal(0.15, 0.08, (4, 40)), random.uniform(0.01, 0.06, 40))
    expected = random.uniform(0.03, 0.18, 40)
    dense = a_problem(expected, model.loadings.T @ model.loadings + np.diag(model.specific), objective, **words)
    sparse = replace(dense, moments=factor_moments(expected, model, names(40)))
    ours, others = answer(sparse), answer(dense)
    assert ours.solution.route == solver_routes.FACTOR
    assert others.solution.route == solver_routes.PIQP
    assert ours.objective_value == pytest.approx(others.objective_value, rel=1e-8)


def test_a_factor_model_whose_trades_matter_goes_by_its_covariance() -> None:
    random = np.random.default_rng(8)
    moments = factor_moments(np.full(6, 0.1), FactorModel(random.normal(0, 0.2, (2, 6)), np.full(6, 0.01)), names(6))
    problem = replace(a_problem(count=6, turnover_limit=0.4, current=np.full(6, 1 / 6)), moments=moments)
    assert answer(problem).solution.route == solver_routes.PIQP


def test_bounds_of_single_assets_are_kept_short_ones_too() -> None:
    problem = a_problem(
        count=6, objective=Objective.MAX_UTILITY, bounds={"S1": Bounds(-0.5, 0.1), "S4": Bounds(0.2, 0.3)}
    )
    found = answer(problem)
    assert -0.5 <= found.allocations["S1"] <= 0.1
    assert 0.2 - 1e-12 <= found.allocations["S4"] <= 0.3
    theirs = referee_weights(problem)
    assert theirs is not None
    assert weights_of(found) == pytest.approx(theirs, abs=1e-5)


def test_what_trading_costs_is_taken_from_the_return_and_keeps_positions_where_they_are() -> None:
    expected, covariance = some_moments(8, 1)
    held = np.full(8, 1 / 8)
    dear = a_problem(expected, covariance, Objective.MAX_UTILITY, current=held, turnover_cost=0.5)
    assert weights_of(answer(dear)) == pytest.approx(held, abs=1e-8)
    found = answer(replace(dear, turnover_cost=0.01))
    assert found.turnover is not None
    assert found.turnover > 0.01
    gross = expected @ weights_of(found)
    assert found.expected_return == pytest.approx(gross - 0.01 * found.turnover)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Objective.TARGET_RETURN, {}),
        (Objective.TARGET_RISK, {}),
        (Objective.MIN_CVAR, {}),
        (Objective.MIN_VARIANCE, {"turnover_cost": 0.1}),
        (Objective.MAX_SHARPE, {"turnover_cost": -0.1}),
        (Objective.MAX_SHARPE, {"beta": 1.0}),
        (Objective.HRP, {"allow_cash": True}),
        (Objective.RISK_PARITY, {"min_position_size": 0.1}),
        (Objective.TARGET_RISK, {"target_risk": 0.0, "allow_cash": True}),
        (Objective.MAX_SHARPE, {"bounds": {"X": Bounds(0.0, 1.0)}}),
        (Objective.MAX_SHARPE, {"bounds": {"S0": Bounds(-0.1, 1.0)}, "min_position_size": 0.1}),
    ],
)
def test_options_that_make_no_sense_are_refused(objective: Objective, words: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        refuse_infeasible(a_problem(count=4, objective=objective, **words))


def test_crossed_bounds_are_refused_by_the_symbol() -> None:
    with pytest.raises(Refusal) as refused:
        refuse_infeasible(a_problem(count=4, bounds={"S2": Bounds(0.4, 0.3)}))
    assert (refused.value.reason, refused.value.constraint) == ("INFEASIBLE_MIN_POSITION", "bounds.S2")


def test_the_seeds_own_example_is_infeasible_and_says_how_to_make_it_feasible() -> None:
    with pytest.raises(Refusal) as refused:
        answer(a_problem(count=3, max_position_size=0.3))
    assert refused.value.reason == "INFEASIBLE_BUDGET"
    assert refused.value.numbers["attainable"] == pytest.approx(0.9)
    assert "allow_cash" in refused.value.message
    assert answer(a_problem(count=3, max_position_size=0.3, allow_cash=True)).cash >= 0.1 - 1e-9


def test_a_second_answer_begins_where_the_first_ended() -> None:
    problem, warm = a_problem(count=300, max_position_size=0.05), WarmStarts()
    first = solver_routes.solve(problem, 5.0, warm)
    assert solver_routes.solve(problem, 5.0, warm).weights == pytest.approx(first.weights, abs=1e-8)


def test_only_the_newest_starts_are_kept() -> None:
    warm = WarmStarts(most=1)
    for seed in (1, 2):
        solver_routes.solve(a_problem(count=5, seed=seed), 5.0, warm)
    assert len(warm) == 1
