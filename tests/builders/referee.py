"""A referee for portfolio problems: the textbook program in cvxpy, by Clarabel at the tightest tolerance it solves."""

import warnings
from typing import Any

import cvxpy
import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.definiteness import factor_of
from services.portfolio.domain.optimiser.problem import Objective, Problem

cp: Any = cvxpy
_TOLERANCES = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8)
_NO_ANSWER = (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE, cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE)


class NoVerdict(Exception):
    """The referee could not solve the problem either."""


def referee_weights(problem: Problem) -> Floats | None:
    """The best weights of a convex problem, or None when there are none; raises NoVerdict.

    Σ is divided by its mean variance and μ by its largest excess return, as for us: tolerances are absolute.
    """
    variance = float(np.mean(np.diagonal(problem.moments.covariance))) or 1.0
    factor = factor_of(problem.moments.covariance / variance)
    size = float(np.abs(problem.excess).max()) or 1.0
    weights, is_ratio = cp.Variable(problem.size), problem.objective is Objective.MAX_SHARPE
    scale: Any = cp.Variable(nonneg=True) if is_ratio else 1.0
    rows = _rows(problem, weights, scale)
    trades = cp.norm1(weights - problem.held * scale) if problem.turnover_cost else 0.0
    net = (problem.excess / size) @ weights - problem.turnover_cost / size * trades
    risk = cp.sum_squares(factor @ weights)
    match problem.objective:
        case Objective.MAX_SHARPE:
            goal, rows = cp.Minimize(risk), [*rows, net >= 1]
        case Objective.MAX_UTILITY:
            goal = cp.Minimize(risk / 2 - net * size / (problem.risk_aversion * variance))
        case Objective.TARGET_RETURN:
            rows.append(net >= ((problem.target_return or 0.0) - problem.risk_free_rate) / size)
            goal = cp.Minimize(risk)
        case Objective.TARGET_RISK:
            rows.append(cp.norm(factor @ weights, 2) <= (problem.target_risk or 0.0) / variance**0.5)
            goal = cp.Maximize(net)
        case Objective.MIN_CVAR:
            goal = cp.Minimize(_cvar(problem, weights))
        case _:
            goal = cp.Minimize(risk)
    return _solved(cp.Problem(goal, rows), weights, scale)


def _rows(problem: Problem, weights: Any, scale: Any) -> list[Any]:
    constraints, total = problem.constraints, cp.sum(weights)
    rows = [total <= scale if constraints.allow_cash else total == scale]
    rows += [weights >= problem.lower * scale, weights <= problem.upper * scale]
    rows += [cp.sum(weights[list(sector.members)]) <= sector.cap * scale for sector in problem.sector_caps()]
    if constraints.turnover_limit is not None:
        rows.append(cp.norm1(weights - problem.held * scale) <= constraints.turnover_limit * scale)
    return rows


def _cvar(problem: Problem, weights: Any) -> Any:
    assert problem.returns is not None
    returns = problem.returns / (float(np.sqrt(np.mean(np.square(problem.returns)))) or 1.0)
    threshold = cp.Variable()
    tail = (1 - problem.beta) * len(returns)
    return threshold + cp.sum(cp.pos(-returns @ weights - threshold)) / tail


def _solved(program: Any, weights: Any, scale: Any) -> Floats | None:
    for tolerance in _TOLERANCES:
        words = {"tol_gap_abs": tolerance, "tol_gap_rel": tolerance, "tol_feas": tolerance}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                program.solve(solver=cp.CLARABEL, **words)
        except cp.SolverError:
            continue
        if program.status in _NO_ANSWER:
            return None
        if program.status == cp.OPTIMAL:
            divisor = float(scale.value) if isinstance(scale, cp.Variable) else 1.0
            found: Floats = np.asarray(weights.value, np.float64) / max(divisor, 1e-12)
            return found
    raise NoVerdict(program.status)
