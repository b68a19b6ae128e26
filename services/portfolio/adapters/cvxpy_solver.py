"""Solves a portfolio problem with cvxpy and Clarabel, in factor form; runs inside a solver worker.

Risk is written as ‖Fw‖² with Σ̂ = FᵀF, never as a quadratic form: cvxpy then neither factors Σ again nor
guesses whether it is convex. MAX_SHARPE is solved on y = κw (Charnes and Cooper, 1962): least risk for an
excess return of one, every constraint multiplied by κ.
"""

import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.answer import Solution, fullest, settle
from services.portfolio.domain.optimiser.branch_and_bound import Node, Point, Search
from services.portfolio.domain.optimiser.feasibility import no_positive_excess, unattainable_target, unbounded_sharpe
from services.portfolio.domain.optimiser.problem import BUDGET, Objective, Problem
from services.portfolio.domain.optimiser.proof import Multipliers, gradient_size
from services.portfolio.domain.optimiser.scaling import Scaled
from trading.errors import DeadlineExceeded, Kind, TradingError

cp: Any = cvxpy
"""Untyped here: the library's annotations know half of its own functions."""

ROUTE = "cvxpy/clarabel"
BRANCH_ROUTE = "branch-and-bound/cvxpy/clarabel"
_ATTEMPTS: tuple[tuple[str, dict[str, float]], ...] = (
    (cp.CLARABEL, {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}),
    (cp.CLARABEL, {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}),
    (cp.CLARABEL, {}),
    (cp.PIQP, {"eps_abs": 1e-8, "eps_rel": 1e-8}),
)
"""As tight as the problem lets it be; PIQP is another method for the few that stall."""
_NEGATIVE = 1e-9
"""An eigenvalue this far below zero, beside the largest one, is no rounding."""
_RISKLESS = 1e-10
"""A variance this small beside the mean variance of the assets, at full investment, is none."""
_FAR_FROM_ONE = 10.0
"""An objective this many times larger or smaller than 1 is solved again at its own size: tolerances are absolute."""
_ACCEPTED = (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
_INFEASIBLE = (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE)


def solve(problem: Problem, time_limit_s: float) -> Solution:
    """The best weights and the multipliers that prove them.

    Raises Refusal when Σ is not positive semidefinite or the solver proves that there is no answer,
    DeadlineExceeded when the search found nothing in `time_limit_s`, TradingError of kind INTERNAL when
    the solver gives up.
    """
    if _is_all_cash(problem):
        return Solution(np.zeros(problem.size), _no_prices(problem), "closed-form", "optimal")
    relaxation = Relaxation(problem, factor_of(problem))
    if problem.is_semicontinuous:
        return _search(problem, relaxation, time.monotonic() + time_limit_s)
    point = relaxation.solve(problem.lower, problem.upper)
    if point is None:
        raise relaxation.why_infeasible()
    return _solution(problem, Node(problem.lower, problem.upper, point), ROUTE, relaxation.status, 0.0)


def _is_all_cash(problem: Problem) -> bool:
    """Least variance with cash allowed and nothing that must be held: hold nothing."""
    constraints = problem.constraints
    free = constraints.allow_cash and not problem.lower.any()
    still = constraints.turnover_limit is None or float(np.abs(problem.held).sum()) <= constraints.turnover_limit
    return free and still and problem.objective is Objective.MIN_VARIANCE


def _no_prices(problem: Problem) -> Multipliers:
    return Multipliers(sectors=(0.0,) * len(problem.sector_caps()))


def _search(problem: Problem, relaxation: "Relaxation", ends_at: float) -> Solution:
    least = problem.constraints.min_position_size
    search = Search(relaxation.solve, least, lambda: time.monotonic() >= ends_at)
    best, gap = search.run(problem.upper)
    if best is None and gap:
        raise DeadlineExceeded("No portfolio with these minimum positions was found in time.")
    if best is None:
        raise relaxation.why_infeasible()
    status = relaxation.status if gap == 0.0 else "time_limit"
    return _solution(problem, best, BRANCH_ROUTE, status, gap)


def _solution(problem: Problem, node: Node, route: str, status: str, gap: float) -> Solution:
    lower, upper = node.lower, node.upper
    if problem.is_semicontinuous:
        upper = np.where(node.point.weights > problem.constraints.min_position_size / 2, upper, 0.0)
        lower = np.where(upper > 0, problem.constraints.min_position_size, 0.0)
    weights = settle(problem, node.point.weights, lower, upper)
    if problem.objective is Objective.MAX_SHARPE and problem.constraints.allow_cash:
        weights = fullest(problem, weights)
    return Solution(weights, node.point.multipliers, route, status, gap)


def factor_of(problem: Problem) -> Floats:
    """K×N with FᵀF = Σ / its mean variance; raises Refusal when Σ is not positive semidefinite."""
    variance = Scaled.of(problem).variance
    given = problem.moments.factor
    if given is not None and len(given) <= problem.size:
        return given / math.sqrt(variance)
    covariance = problem.moments.covariance / variance
    try:
        factor: Floats = np.asarray(np.linalg.cholesky(covariance).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        return _spectral_factor(covariance)
    return factor


def _spectral_factor(covariance: Floats) -> Floats:
    """√λ·Qᵀ of the eigenvalues that are not rounding."""
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -_NEGATIVE * max(values[-1], -values[0]):
        raise Refusal(
            "NOT_POSITIVE_SEMIDEFINITE",
            f"The covariance has a negative eigenvalue: {values[0]:.6g} beside a largest of {values[-1]:.6g}.",
            "covariance",
            {"smallest_eigenvalue": float(values[0]), "largest_eigenvalue": float(values[-1]), "of": "normalised"},
        )
    kept = values > np.finfo(float).eps * len(values) * values[-1]
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T if kept.any() else np.zeros((1, len(values)))


@dataclass(frozen=True, slots=True)
class _Prices:
    """The constraints whose multipliers prove the answer; None where the problem has no such constraint."""

    budget: Any
    sectors: Any
    target: Any
    turnover: Any


class Relaxation:
    """The convex problem inside a box, compiled once; the box and the objective's size are parameters."""

    def __init__(self, problem: Problem, factor: Floats) -> None:
        self._problem = problem
        self._scaled = Scaled.of(problem)
        self._factor = factor
        self._weights = cp.Variable(problem.size)
        self._is_sharpe = problem.objective is Objective.MAX_SHARPE
        self._scale: Any = cp.Variable(nonneg=True) if self._is_sharpe else 1.0
        self._lower = cp.Parameter(problem.size)
        self._upper = cp.Parameter(problem.size)
        self._size = cp.Parameter(nonneg=True)
        self._reward_size = cp.Parameter(nonneg=True)
        self.status = "unsolved"
        self._prices, constraints = self._constraints()
        self._program = cp.Problem(cp.Minimize(self._objective()), constraints)

    def _objective(self) -> Any:
        risk = cp.sum_squares(self._factor @ self._weights) / 2 * self._size
        return risk - self._reward_size * (self._scaled.linear @ self._weights)

    def _constraints(self) -> tuple[_Prices, list[Any]]:
        constraints, total = self._problem.constraints, cp.sum(self._weights)
        prices = _Prices(
            total <= self._scale if constraints.allow_cash else total == self._scale,
            self._sector_constraint(),
            self._target_constraint(),
            self._turnover_constraint(),
        )
        rows = [prices.budget, prices.sectors, prices.target, prices.turnover]
        box = [self._weights >= self._lower * self._scale, self._weights <= self._upper * self._scale]
        earns = [self._scaled.excess @ self._weights == 1] if self._is_sharpe else []
        return prices, [row for row in rows if row is not None] + box + earns

    def _sector_constraint(self) -> Any:
        caps = self._problem.sector_caps()
        if not caps:
            return None
        members = np.zeros((len(caps), self._problem.size))
        for row, sector in enumerate(caps):
            members[row, list(sector.members)] = 1.0
        return members @ self._weights <= np.array([sector.cap for sector in caps]) * self._scale

    def _target_constraint(self) -> Any:
        if self._problem.objective is not Objective.TARGET_RETURN:
            return None
        needed = (self._problem.target_return or 0.0) - self._problem.risk_free_rate
        return self._scaled.excess @ self._weights >= needed / self._scaled.excess_size

    def _turnover_constraint(self) -> Any:
        limit = self._problem.constraints.turnover_limit
        if limit is None:
            return None
        return cp.norm1(self._weights - self._problem.held * self._scale) <= limit * self._scale

    def solve(self, lower: Floats, upper: Floats) -> Point | None:
        """The optimum inside a box, or None when there is none."""
        if lower.sum() > BUDGET + 1e-9:
            return None
        self._lower.value, self._upper.value = lower, upper
        first = max(1.0, float(np.abs(self._scaled.linear).max()))
        point = self._solve_at(first)
        if point is not None:
            size = self._own_size(point)
            if not 1 / _FAR_FROM_ONE < size / first < _FAR_FROM_ONE:
                point = self._solve_at(size) or point
        return point

    def _own_size(self, point: Point) -> float:
        """The size of the objective's larger part at a point, refusing a risk that is none."""
        if self._is_sharpe:
            self._refuse_riskless(point)
            return point.objective
        risk = float(np.square(self._factor @ point.weights).sum()) / 2
        return max(risk, abs(float(self._scaled.linear @ point.weights)), _RISKLESS)

    def _refuse_riskless(self, point: Point) -> None:
        weights = point.weights / point.weights.sum()
        if float(np.square(self._factor @ weights).sum()) < _RISKLESS:
            held = [self._problem.symbols[index] for index in np.argsort(-weights)[:3] if weights[index] > _RISKLESS]
            raise unbounded_sharpe(self._problem, " + ".join(held))

    def _solve_at(self, size: float) -> Point | None:
        """Solve with the objective divided by `size`."""
        self._size.value = self._reward_size.value = 1.0 / size
        for solver, tolerances in _ATTEMPTS:
            self.status = self._run(solver, tolerances)
            if self.status == cp.OPTIMAL:
                return self._point()
            if self.status in _INFEASIBLE:
                return None
        if self.status != cp.OPTIMAL_INACCURATE:
            raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", f"The solver ended as {self.status}.", route=ROUTE)
        return self._point()

    def _run(self, solver: str, tolerances: dict[str, float]) -> str:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # the status says it, and the proof judges it
                self._program.solve(solver=solver, **tolerances)
        except cp.SolverError:
            return str(cp.SOLVER_ERROR)
        return str(self._program.status)

    def _point(self) -> Point:
        scale = float(self._scale.value) if self._is_sharpe else 1.0
        solved = np.asarray(self._weights.value, dtype=np.float64)
        risk = self._factor.T @ (self._factor @ solved)
        variance = float(solved @ risk)
        objective = variance / 2 - float(self._scaled.linear @ solved)
        # under MAX_SHARPE the variance is also the multiplier of the excess return, by Euler's theorem
        unit = float(self._size.value) * (variance if self._is_sharpe else 1.0)
        gradient = gradient_size(*self._gradient_parts(risk, scale, variance))
        return Point(objective, solved / scale, self._multipliers(max(unit, _RISKLESS) * gradient))

    def _gradient_parts(self, risk: Floats, scale: float, variance: float) -> tuple[Floats, Floats]:
        if self._is_sharpe:
            return risk / (variance or 1.0), self._scaled.excess
        return risk, self._scaled.linear

    def _multipliers(self, unit: float) -> Multipliers:
        prices = self._prices
        return Multipliers(
            budget=_dual(prices.budget) / unit,
            sectors=() if prices.sectors is None else tuple(np.atleast_1d(prices.sectors.dual_value) / unit),
            target=_dual(prices.target) / unit,
            turnover=_dual(prices.turnover) / unit,
        )

    def why_infeasible(self) -> TradingError:
        """The refusal behind a problem that passed every check on paper and still has no answer."""
        best = self._most_excess()
        if self._problem.objective is Objective.TARGET_RETURN and self._problem.target_return is not None:
            reachable = None if best is None else self._problem.risk_free_rate + best
            return unattainable_target(self._problem.target_return, reachable)
        if self._is_sharpe and best is not None and best <= _RISKLESS:
            return no_positive_excess(self._problem, best)
        names = {"min_position_size": self._problem.constraints.min_position_size, "symbols": self._problem.size}
        return Refusal(
            "INFEASIBLE_MIN_POSITION",
            "No set of positions of the minimum size or more keeps to every constraint.",
            "min_position_size",
            names,
        )

    def _most_excess(self) -> float | None:
        """The most excess return under the convex constraints, by a linear program."""
        weights, problem = cp.Variable(self._problem.size), self._problem
        rows = [weights >= problem.lower, weights <= problem.upper]
        rows.append(cp.sum(weights) <= BUDGET if problem.constraints.allow_cash else cp.sum(weights) == BUDGET)
        rows += [cp.sum(weights[list(sector.members)]) <= sector.cap for sector in problem.sector_caps()]
        if problem.constraints.turnover_limit is not None:
            rows.append(cp.norm1(weights - problem.held) <= problem.constraints.turnover_limit)
        program = cp.Problem(cp.Maximize(problem.excess @ weights), rows)
        program.solve(solver=cp.CLARABEL)
        return float(program.value) if program.status in _ACCEPTED else None


def _dual(constraint: Any) -> float:
    return 0.0 if constraint is None else float(np.asarray(constraint.dual_value).item())
