"""Which solver answers which problem; runs inside a solver worker.

| problem | route |
|---|---|
| variance, Sharpe, utility, target return | column-generation/piqp |
| the same over a factor model, without trades | piqp-sparse/factor |
| CVaR | column-generation/highs |
| target risk | column-generation/cvxpy/clarabel |
| any of these with zero-or-at-least-the-minimum | branch-and-bound/ before the route |
| risk parity, HRP | newton, newton/interior-point within constraints, hierarchy |
| nothing to decide | closed-form |
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from services.portfolio.adapters import piqp_master
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.allocation import allocate
from services.portfolio.domain.optimiser.answer import Solution, fullest, settle
from services.portfolio.domain.optimiser.branch_and_bound import Node, Point, Search
from services.portfolio.domain.optimiser.column_generation import ColumnGeneration, Master
from services.portfolio.domain.optimiser.definiteness import JUDGED_AT_ONCE, refuse_indefinite
from services.portfolio.domain.optimiser.feasibility import (
    no_positive_excess,
    unattainable_risk,
    unattainable_target,
    unbounded_sharpe,
)
from services.portfolio.domain.optimiser.problem import ALLOCATIONS, BUDGET, QUADRATIC, Objective, Problem
from services.portfolio.domain.optimiser.program import Program
from services.portfolio.domain.optimiser.proof import TOLERANCE, Multipliers, normalised
from trading.errors import DeadlineExceeded, Kind, TradingError

PIQP = "column-generation/piqp"
FACTOR = "piqp-sparse/factor"
HIGHS = "column-generation/highs"
CONIC = "column-generation/cvxpy/clarabel"
BRANCH = "branch-and-bound/"
"""Before the route that solves its relaxations."""
CLOSED_FORM = "closed-form"
_PRICE_OF_LEAST_RISK = 1e10
"""Of a risk that nothing is below, in returns: so much that the return does not count beside it."""
_RISKLESS = 1e-10
"""A variance this small beside the mean variance of the assets, at full investment, is none."""


def solve(problem: Problem, time_limit_s: float, warm: WarmStarts) -> Solution:
    """The best weights and the multipliers that prove them.

    Raises Refusal when Σ is not positive semidefinite or the solver proves that there is no answer,
    DeadlineExceeded when the search found nothing in `time_limit_s`, TradingError of kind INTERNAL when
    the solver gives up.
    """
    _master(problem)  # cvxpy takes seconds to import once, and a search is not to lose them
    ends_at = time.monotonic() + time_limit_s
    if problem.size <= JUDGED_AT_ONCE and not problem.moments.is_psd_by_construction:
        refuse_indefinite(problem.moments.covariance)
    try:
        return _Solving(problem, warm, ends_at).solution()
    except TradingError as error:
        if error.kind is Kind.INTERNAL and not problem.moments.is_psd_by_construction:
            refuse_indefinite(problem.moments.covariance)
        raise


@dataclass(slots=True)
class _Solving:
    """One problem on its way to a solution."""

    problem: Problem
    warm: WarmStarts
    ends_at: float

    def solution(self) -> Solution:
        problem = self.problem
        if _is_all_cash(problem):
            return Solution(np.zeros(problem.size), _no_prices(problem), CLOSED_FORM, "optimal")
        if problem.objective in ALLOCATIONS:
            return allocate(problem)
        if problem.objective is Objective.TARGET_RISK:
            safest = self._safest()
            if safest is not None and not problem.is_semicontinuous:
                return safest
        if problem.is_semicontinuous:
            return self._searched()
        if problem.objective in QUADRATIC and problem.moments.model is not None and not problem.trades_matter:
            return self._over_factors()
        return self._generated(*_master(problem))

    def _generated(self, master: Master, route: str) -> Solution:
        columns = self._columns(master)
        point = columns.solve(self.problem.lower, self.problem.upper)
        if point is None:
            raise why_infeasible(self.problem)
        self._refuse_riskless(point)
        self.warm.keep(self.problem, columns)
        return _finished(self.problem, Node(self.problem.lower, self.problem.upper, point), route, "optimal", 0.0)

    def _columns(self, master: Master) -> ColumnGeneration:
        columns = ColumnGeneration(self.problem, Program.of(self.problem), master)
        self.warm.begin(self.problem, columns)
        return columns

    def _over_factors(self) -> Solution:
        from services.portfolio.adapters import piqp_factor

        problem, model = self.problem, self.problem.moments.model
        assert model is not None
        point = piqp_factor.solve(Program.of(problem), model)
        if point is None:
            raise why_infeasible(problem)
        self._refuse_riskless(point)
        return _finished(problem, Node(problem.lower, problem.upper, point), FACTOR, "optimal", 0.0)

    def _safest(self) -> Solution | None:
        """The safest portfolio says whether the target can be reached, and is a start; the answer, if only it fits."""
        problem = self.problem
        safest = replace(problem, objective=Objective.MIN_VARIANCE, turnover_cost=0.0)
        if _is_all_cash(safest):
            return None
        columns = ColumnGeneration(safest, Program.of(safest), piqp_master.solve)
        point = columns.solve(safest.lower, safest.upper)
        if point is None:
            raise why_infeasible(safest)
        risk = float(point.weights @ problem.moments.times(point.weights)) ** 0.5
        if risk > (problem.target_risk or 0.0) * (1 + TOLERANCE):
            raise unattainable_risk(problem.target_risk or 0.0, risk)
        self.warm.support(problem, columns)
        if risk < (problem.target_risk or 0.0) * (1 - TOLERANCE):
            return None
        priced = replace(point.multipliers.divided_by(1 / _PRICE_OF_LEAST_RISK), risk=_PRICE_OF_LEAST_RISK)
        only = Node(problem.lower, problem.upper, point._replace(multipliers=priced))
        return _finished(problem, only, PIQP, "optimal", 0.0)

    def _searched(self) -> Solution:
        problem = self.problem
        least = problem.constraints.min_position_size
        master, route = _master(problem)
        columns = self._columns(master)

        def relax(lower: Floats, upper: Floats) -> Point | None:
            if lower.sum() > BUDGET + TOLERANCE:
                return None
            point = columns.solve(lower, upper)
            if point is not None:
                self._refuse_riskless(point)
            return point

        search = Search(relax, least, lambda: time.monotonic() >= self.ends_at)
        best, gap = search.run(problem.upper)
        if best is None and gap:
            raise DeadlineExceeded("No portfolio with these minimum positions was found in time.")
        if best is None:
            raise why_infeasible(problem)
        return _finished(problem, best, BRANCH + route, "optimal" if gap == 0.0 else "time_limit", gap)

    def _refuse_riskless(self, point: Point) -> None:
        if self.problem.objective is not Objective.MAX_SHARPE:
            return
        total = float(point.weights.sum())
        variance = float(np.mean(np.diagonal(self.problem.moments.covariance))) or 1.0
        held = np.flatnonzero(np.abs(point.weights) > _RISKLESS)
        weights = point.weights[held]
        part = float(weights @ self.problem.moments.covariance[np.ix_(held, held)] @ weights)
        if part < _RISKLESS * variance * (total * total or 1.0):
            names = [self.problem.symbols[held[index]] for index in np.argsort(-weights)[:3]]
            raise unbounded_sharpe(self.problem, " + ".join(names))


def _master(problem: Problem) -> tuple[Master, str]:
    """What solves the chosen assets of a problem, or of a relaxation of it, and the name of that route."""
    match problem.objective:
        case Objective.MIN_CVAR:
            from services.portfolio.adapters import highs_master

            return highs_master.solve, HIGHS
        case Objective.TARGET_RISK:
            from services.portfolio.adapters import conic_master  # cvxpy takes its time to import

            return conic_master.solve, CONIC
    return piqp_master.solve, PIQP


def _is_all_cash(problem: Problem) -> bool:
    """Least variance with cash allowed and nothing that must be held: hold nothing."""
    constraints = problem.constraints
    free = constraints.allow_cash and not (problem.lower > 0).any() and not (problem.upper < 0).any()
    still = constraints.turnover_limit is None or float(np.abs(problem.held).sum()) <= constraints.turnover_limit
    return free and still and problem.objective is Objective.MIN_VARIANCE


def _no_prices(problem: Problem) -> Multipliers:
    return Multipliers(sectors=(0.0,) * len(problem.sector_caps()))


def _finished(problem: Problem, node: Node, route: str, status: str, gap: float) -> Solution:
    lower, upper = node.lower, node.upper
    if problem.is_semicontinuous:
        upper = np.where(node.point.weights > problem.constraints.min_position_size / 2, upper, 0.0)
        lower = np.where(upper > 0, np.maximum(problem.lower, problem.constraints.min_position_size), 0.0)
    weights = settle(problem, node.point.weights, lower, upper)
    if problem.objective is Objective.MAX_SHARPE and problem.constraints.allow_cash and not problem.turnover_cost:
        weights = fullest(problem, weights)
    return Solution(weights, normalised(problem, weights, node.point.multipliers), route, status, gap)


def why_infeasible(problem: Problem) -> TradingError:
    """The refusal behind a problem that passed every check on paper and still has no answer."""
    from services.portfolio.adapters.highs_master import most_excess

    best = most_excess(problem)
    if problem.objective is Objective.TARGET_RETURN and problem.target_return is not None:
        reachable = None if best is None else problem.risk_free_rate + best
        return unattainable_target(problem.target_return, reachable)
    if problem.objective is Objective.MAX_SHARPE and best is not None and best <= _RISKLESS:
        return no_positive_excess(problem, best)
    if not problem.is_semicontinuous:
        return Refusal(
            "INFEASIBLE_CONSTRAINTS",
            "No portfolio keeps all constraints at once.",
            "constraints",
            {"symbols": problem.size, "turnover_limit": problem.constraints.turnover_limit},
        )
    names = {"min_position_size": problem.constraints.min_position_size, "symbols": problem.size}
    return Refusal(
        "INFEASIBLE_MIN_POSITION",
        "No set of positions of the minimum size or more keeps to every constraint.",
        "min_position_size",
        names,
    )
