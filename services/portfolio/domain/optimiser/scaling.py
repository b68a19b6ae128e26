"""One size for all problems: Σ by its mean variance, excess returns by the largest, before any solver sees them.

A solver's tolerances are absolute near zero. On covariances of minutes (10⁻⁷) an unscaled problem is
"solved" far from its optimum, and nothing says so.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import Objective, Problem

_EARNS = frozenset({Objective.MAX_SHARPE, Objective.TARGET_RETURN, Objective.TARGET_RISK})
"""Objectives that weigh the return itself, so that what trading costs is taken from it."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """A problem in solver's units; `program` says what is minimised."""

    variance: float
    """Mean variance of the assets: Σ̂ = Σ / variance."""
    excess: Floats
    """(μ − rf) divided by its largest absolute value."""
    excess_size: float
    """That largest absolute value, or 1 when every excess return is 0."""
    linear: Floats
    """(μ − rf) / (γ · variance) for MAX_UTILITY, else zeros."""
    penalty: float
    """Price of turnover in the objective of MAX_UTILITY."""
    cost: float
    """Price of turnover in units of `excess`, where it is taken from the return."""
    returns_size: float
    """Root mean square of MIN_CVAR's returns: R̂ = R / returns_size."""

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The scale of a problem; a covariance of zeros keeps its own."""
        variance = float(np.mean(np.diagonal(problem.moments.covariance))) or 1.0
        excess = problem.excess
        size = float(np.abs(excess).max()) or 1.0
        linear = np.zeros(problem.size)
        if problem.objective is Objective.MAX_UTILITY:
            linear = excess / (problem.risk_aversion * variance)
        cost = problem.turnover_cost / size if problem.objective in _EARNS else 0.0
        return cls(variance, excess / size, size, linear, _penalty(problem, variance), cost, _returns_size(problem))

    def target_of(self, problem: Problem) -> float | None:
        """The least net excess return of TARGET_RETURN, in units of `excess`."""
        if problem.objective is not Objective.TARGET_RETURN or problem.target_return is None:
            return None
        return (problem.target_return - problem.risk_free_rate) / self.excess_size

    def risk_limit_of(self, problem: Problem) -> float | None:
        """The largest deviation of TARGET_RISK, beside the root of the mean variance."""
        if problem.objective is not Objective.TARGET_RISK or problem.target_risk is None:
            return None
        return float(problem.target_risk / self.variance**0.5)

    def returns_of(self, problem: Problem) -> Floats | None:
        """R̂ of MIN_CVAR."""
        if problem.objective is not Objective.MIN_CVAR or problem.returns is None:
            return None
        returns: Floats = problem.returns / self.returns_size
        return returns


def _returns_size(problem: Problem) -> float:
    if problem.objective is not Objective.MIN_CVAR or problem.returns is None:
        return 1.0
    return float(np.sqrt(np.mean(np.square(problem.returns)))) or 1.0


def _penalty(problem: Problem, variance: float) -> float:
    if problem.objective is not Objective.MAX_UTILITY:
        return 0.0
    return problem.turnover_cost / (problem.risk_aversion * variance)
