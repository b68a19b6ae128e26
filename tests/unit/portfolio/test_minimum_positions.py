"""Positions of zero or at least a minimum where CVaR or risk decides, against trying every choice."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from builders.portfolio import a_problem, names
from builders.referee import referee_weights

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.answer import Answer
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import Bounds, Objective, Problem
from services.portfolio.domain.optimiser.tail import conditional_value_at_risk
from services.portfolio.usecases.optimize import proven_answer

LEAST, MOST, COUNT = 0.2, 0.5, 5


def answer(problem: Problem) -> Answer:
    refuse_infeasible(problem)
    return proven_answer(problem, solver_routes.solve(problem, 20.0, WarmStarts()))


def a_cvar_problem(seed: int, **words: object) -> Problem:
    random = np.random.default_rng(seed)
    returns = random.normal(0.0005, 0.01, (40, 1)) + random.normal(0.0003, 0.015, (40, COUNT))
    problem = a_problem(objective=Objective.MIN_CVAR, count=COUNT, returns=returns, beta=0.9, **words)
    return replace(problem, moments=moments_of_returns(returns, names(COUNT), 252))


def a_risk_problem(seed: int, **words: object) -> Problem:
    return a_problem(objective=Objective.TARGET_RISK, count=COUNT, seed=seed, target_risk=0.28, **words)


def loss(problem: Problem, weights: np.ndarray) -> float:
    """What is minimised."""
    if problem.objective is Objective.TARGET_RISK:
        return -float(problem.moments.expected_returns @ weights)
    return conditional_value_at_risk(-(problem.returns @ weights), problem.beta)  # type: ignore[operator]


def best_of_all_choices(problem: Problem) -> float:
    found = []
    for chosen in product((False, True), repeat=COUNT):
        if not 1 / MOST <= sum(chosen) <= 1 / LEAST:
            continue
        boxes = {
            symbol: Bounds(LEAST, MOST) if held else Bounds(0, 0)
            for symbol, held in zip(names(COUNT), chosen, strict=True)
        }
        convex = replace(problem, constraints=replace(problem.constraints, bounds=boxes, min_position_size=0.0))
        weights = referee_weights(convex)
        if weights is not None:
            found.append(loss(problem, weights))
    return min(found)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("a_problem_of", "route"),
    [(a_cvar_problem, solver_routes.HIGHS), (a_risk_problem, solver_routes.CONIC)],
)
def test_no_choice_of_positions_is_better(a_problem_of: object, route: str, seed: int) -> None:
    problem = a_problem_of(seed, min_position_size=LEAST, max_position_size=MOST)  # type: ignore[operator]
    found = answer(problem)
    assert (found.solution.route, found.solution.status) == (solver_routes.BRANCH + route, "optimal")
    weights = np.array(list(found.allocations.values()))
    assert loss(problem, weights) == pytest.approx(best_of_all_choices(problem), rel=1e-6)
    assert min(weights[weights > 0]) >= LEAST - 1e-9


def test_a_risk_that_no_set_of_positions_keeps_is_refused_and_one_that_no_weights_keep_by_its_own_name() -> None:
    # the mix of least risk holds a tenth of S1, which a minimum of 0.3 does not allow
    expected, covariance = [0.1, 0.1, 0.1], np.diag([0.01, 0.09, 0.01])
    least = 1 / np.sqrt(np.sum(1 / np.diag(covariance)))
    words = {"min_position_size": 0.3, "max_position_size": 0.6}
    held = a_problem(expected, covariance, Objective.TARGET_RISK, target_risk=least * 1.0001, **words)
    with pytest.raises(Refusal) as refused:
        answer(held)
    assert refused.value.reason == "INFEASIBLE_MIN_POSITION"
    with pytest.raises(Refusal) as refused:
        answer(replace(held, target_risk=least * 0.99))
    assert refused.value.reason == "TARGET_RISK_UNATTAINABLE"
