"""Thousands of drawn problems, ours against the referee's answer: duplicates, T < N, every scale, no variance."""

import numpy as np
import pytest
from builders.portfolio import names
from builders.referee import NoVerdict, referee_weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.answer import Solution, answer_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import (
    QUADRATIC,
    Bounds,
    Constraints,
    MinPositionKind,
    Moments,
    Objective,
    Problem,
)
from services.portfolio.domain.optimiser.proof import Multipliers, largest_violation
from services.portfolio.usecases.optimize import proven_answer

RELATIVE = 1e-7
_FEW, _MANY = 25, 2000
_SMALL = st.integers(2, 10)
_SIZES = st.one_of(st.integers(2, 30), st.integers(121, 180))
"""The large ones are solved through a part of their assets."""


@st.composite
def problems(draw: st.DrawFn, sizes: st.SearchStrategy[int] = _SIZES) -> Problem:
    """A convex problem that may be infeasible; its returns come from a seed, its structure is drawn."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(sizes)
    periods = draw(st.integers(max(count // 2, 3), 3 * count + 20))
    scale = 10.0 ** draw(st.integers(-6, 3))
    returns = _returns(draw, random, count, periods) * scale**0.5
    objective = draw(st.sampled_from(sorted(QUADRATIC)))
    moments = moments_of_returns(returns, names(count), 1.0)
    size = float(np.abs(moments.expected_returns).max())
    risk_free = draw(st.sampled_from([0.0, -0.5, 0.3])) * size
    held = random.dirichlet(np.ones(count)) if draw(st.booleans()) else None
    spread = np.quantile(moments.expected_returns, draw(st.floats(0.1, 0.9)))
    return Problem(
        names(count),
        Moments(moments.expected_returns, moments.covariance, is_gram=True),
        objective,
        risk_free,
        draw(st.sampled_from([0.5, 5.0, 50.0])),
        float(spread) if objective is Objective.TARGET_RETURN else None,
        _constraints(draw, random, count),
        held,
        turnover_cost=0.0 if objective is Objective.MIN_VARIANCE else draw(st.sampled_from([0.0, 0.0, 0.05])) * size,
    )


def _returns(draw: st.DrawFn, random: np.random.Generator, count: int, periods: int) -> Floats:
    loadings = random.normal(0.5, 0.5, (3, count))
    returns = random.normal(0.02, 1.0, (periods, 3)) @ loadings + random.normal(0, 1, (periods, count))
    returns += random.normal(0.05, 0.2, count)
    returns *= random.uniform(0.2, 3.0, count)
    if draw(st.booleans()):
        returns[:, -1] = returns[:, 0]  # the same asset twice
    if draw(st.integers(0, 4)) == 0:
        returns[:, count // 2] = returns[0, count // 2]  # never moves
    return returns


def _constraints(draw: st.DrawFn, random: np.random.Generator, count: int) -> Constraints:
    sectors = {symbol: "ABC"[place % 3] for place, symbol in enumerate(names(count))}
    has_caps = draw(st.booleans()) and count >= 3
    bounds = {}
    if draw(st.integers(0, 3)) == 0:
        chosen = random.choice(count, min(3, count), replace=False)
        bounds = {
            f"S{index}": Bounds(float(random.uniform(-0.2, 0.05)), float(random.uniform(0.1, 0.4))) for index in chosen
        }
    return Constraints(
        max_position_size=draw(st.sampled_from([1.0, 0.5, max(3.0 / count, 0.05)])),
        min_position_size=draw(st.sampled_from([0.0, 0.0, 0.3 / count])),
        min_position_kind=MinPositionKind.HARD,
        sectors=sectors,
        sector_caps={"A": 0.4, "B": 0.3, "C": draw(st.sampled_from([0.5, 0.2]))} if has_caps else {},
        turnover_limit=draw(st.sampled_from([None, None, 0.3, 1.0])),
        allow_cash=draw(st.booleans()),
        bounds=bounds,
    )


def judge(problem: Problem) -> None:
    """Ours is feasible, proven, and no worse than the referee's; a refusal of ours is one of the referee's."""
    try:
        refuse_infeasible(problem)
        ours = solver_routes.solve(problem, 30.0, WarmStarts())
    except Refusal as refusal:
        _agree_on_refusal(problem, refusal)
        return
    found = proven_answer(problem, ours)
    assert found.max_violation <= 1e-8
    try:
        theirs = referee_weights(problem)
    except NoVerdict:
        return  # ours is proven by its multipliers all the same
    assert theirs is not None, f"The referee finds no portfolio; ours breaks {found.max_violation:.3g}."
    if largest_violation(problem, theirs) > 1e-7:
        return  # it bought its objective with a constraint
    other = answer_of(problem, Solution(theirs, Multipliers(sectors=(0.0,) * len(problem.sector_caps())), "", ""))
    sign = 1.0 if problem.objective in {Objective.MIN_VARIANCE, Objective.TARGET_RETURN} else -1.0
    unit = float(np.mean(np.diagonal(problem.moments.covariance)))
    floor = 1e-4 * (unit if sign > 0 else (1.0 if problem.objective is Objective.MAX_SHARPE else unit))
    excess = sign * (found.objective_value - other.objective_value) / max(abs(other.objective_value), floor)
    assert excess <= RELATIVE, f"{excess:.3g} worse than the referee, kkt {found.kkt_residual:.3g}"


def _agree_on_refusal(problem: Problem, refusal: Refusal) -> None:
    """What we refuse must have no answer, or no bounded one."""
    try:
        theirs = referee_weights(problem)
    except NoVerdict:
        return
    if theirs is None:
        return
    if refusal.reason == "UNBOUNDED_SHARPE":
        unit = float(np.mean(np.diagonal(problem.moments.covariance)))
        assert float(theirs @ problem.moments.covariance @ theirs) <= 1e-8 * unit
        return
    broken = largest_violation(problem, theirs)
    if refusal.reason == "NO_POSITIVE_EXCESS_RETURN":
        return
    assert broken > 1e-9, f"{refusal.reason}, and yet the referee's portfolio breaks only {broken:.3g}"


@settings(max_examples=_FEW, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(problems(_SMALL))
def test_drawn_problems_are_answered_no_worse_than_by_the_referee(problem: Problem) -> None:
    judge(problem)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=_MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_two_thousand_drawn_problems_are_answered_no_worse_than_by_the_referee(problem: Problem) -> None:
    judge(problem)
