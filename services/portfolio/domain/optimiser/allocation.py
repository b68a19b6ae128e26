"""The portfolios of RISK_PARITY and HRP: rules that share out risk, within bounds, refused where they cannot be.

Risk parity keeps bounds and sector caps; HRP keeps bounds, because a cap on a sector says nothing of the halves of its
tree. Neither knows where the weights come from, so a turnover limit can only be looked at afterwards.
"""

import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.answer import Solution, settle
from services.portfolio.domain.optimiser.bounded_parity import bounded_parity
from services.portfolio.domain.optimiser.hierarchy import hierarchical_risk_parity
from services.portfolio.domain.optimiser.problem import Objective, Problem
from services.portfolio.domain.optimiser.proof import TOLERANCE, Multipliers, largest_violation, normalised
from services.portfolio.domain.optimiser.risk_parity import require_risk, risk_parity
from trading.errors import Kind, TradingError

NEWTON = "newton"
INTERIOR = "newton/interior-point"
HIERARCHY = "hierarchy"


def allocate(problem: Problem) -> Solution:
    """A rule's portfolio; raises Refusal RISKLESS_ASSET, RISKLESS_PORTFOLIO or INFEASIBLE_ALLOCATION."""
    if problem.objective is Objective.HRP:
        require_risk(problem.symbols, problem.moments.covariance, "has no place in a hierarchy of correlations")
        solution = _by_hierarchy(problem)
    else:
        require_risk(problem.symbols, problem.moments.covariance, "can contribute no risk")
        solution = _by_parity(problem)
    _refuse_broken(problem, solution.weights)
    return solution


def _by_hierarchy(problem: Problem) -> Solution:
    lower, upper = np.maximum(problem.lower, 0.0), np.maximum(problem.upper, 0.0)
    weights = hierarchical_risk_parity(problem.moments.covariance, lower, upper)
    return Solution(weights, _no_prices(problem), HIERARCHY, "optimal")


def _by_parity(problem: Problem) -> Solution:
    covariance, budgets = problem.moments.covariance, problem.budgets
    _refuse_unheld(problem)
    weights = risk_parity(covariance, budgets)
    free = Solution(np.zeros(0) if weights is None else weights, _no_prices(problem), NEWTON, "optimal")
    if weights is not None and _keeps(problem, weights):
        return free
    caps = problem.sector_caps()
    if not caps and not (problem.upper < 1).any() and not (problem.lower > 0).any():
        raise Refusal(
            "RISKLESS_PORTFOLIO",
            "A mix of the assets has no risk at all, so there is none to share out.",
            "covariance",
            {"symbols": problem.size},
        )
    found = bounded_parity(covariance, budgets, problem.lower, problem.upper, caps)
    if found is None:
        raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", "The search for risk parity did not settle.", route=INTERIOR)
    weights = settle(problem, found.weights, problem.lower, problem.upper)
    return Solution(weights, normalised(problem, weights, found.multipliers), INTERIOR, "optimal")


def _no_prices(problem: Problem) -> Multipliers:
    return Multipliers(sectors=(0.0,) * len(problem.sector_caps()))


def _keeps(problem: Problem, weights: Floats) -> bool:
    """Whether weights keep bounds and caps."""
    caps = all(float(weights[sector.members].sum()) <= sector.cap + TOLERANCE for sector in problem.sector_caps())
    within = bool(((weights >= problem.lower - TOLERANCE) & (weights <= problem.upper + TOLERANCE)).all())
    return caps and within


def _refuse_unheld(problem: Problem) -> None:
    """Every asset bears a part of the risk, so every one must be allowed some weight."""
    shut = np.flatnonzero(problem.upper <= 0)
    if len(shut):
        symbol = problem.symbols[shut[0]]
        raise _unkept(problem, f"{symbol} may not be held", f"upper_bounds.{symbol}", {"symbol": symbol})
    for sector in problem.sector_caps():
        if sector.cap <= 0:
            raise _unkept(problem, f"{sector.name} may not be held", f"sector_caps.{sector.name}", {"cap": sector.cap})


def _refuse_broken(problem: Problem, weights: Floats) -> None:
    """Name the constraint that the rule knows nothing of and that its portfolio breaks."""
    for sector in problem.sector_caps():
        total = float(weights[sector.members].sum())
        if total > sector.cap + TOLERANCE:
            numbers = {"sector": sector.name, "cap": sector.cap, "sum": total}
            raise _unkept(
                problem,
                f"it gives {sector.name} {total:.6g}, above its cap of {sector.cap}, and a tree of correlations knows "
                "no sectors; bounds of single symbols are kept",
                f"sector_caps.{sector.name}",
                numbers,
            )
    limit = problem.constraints.turnover_limit
    turnover = float(np.abs(weights - problem.held).sum())
    if limit is not None and turnover > limit + TOLERANCE:
        why = f"reaching it takes a turnover of {turnover:.6g}, above the limit of {limit}"
        raise _unkept(problem, why, "turnover_limit", {"turnover_limit": limit, "needed": turnover})
    broken = largest_violation(problem, weights)
    if broken > TOLERANCE:
        raise _unkept(problem, "it is long only and cannot keep these bounds", "lower_bounds", {"violation": broken})


def _unkept(problem: Problem, why: str, constraint: str, numbers: dict[str, object]) -> Refusal:
    message = f"{problem.objective} gives one portfolio of all assets: {why}."
    return Refusal("INFEASIBLE_ALLOCATION", message, constraint, numbers)
