"""One size for all problems: Σ by its mean variance, excess returns by the largest, before any solver sees them.

A solver's tolerances are absolute near zero. On covariances of minutes (10⁻⁷) an unscaled problem is
"solved" far from its optimum, and nothing says so.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import Objective, Problem


@dataclass(frozen=True, slots=True)
class Scaled:
    """A problem in solver's units. Its objective is wᵀΣ̂w / 2 − linearᵀw for all but MAX_SHARPE."""

    variance: float
    """Mean variance of the assets: Σ̂ = Σ / variance."""
    excess: Floats
    """(μ − rf) divided by its largest absolute value."""
    excess_size: float
    """That largest absolute value, or 1 when every excess return is 0."""
    linear: Floats
    """(μ − rf) / (γ · variance) for MAX_UTILITY, else zeros."""

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The scale of a problem; a covariance of zeros keeps its own."""
        variance = float(np.mean(np.diagonal(problem.moments.covariance))) or 1.0
        size = float(np.abs(problem.excess).max()) or 1.0
        linear = np.zeros(problem.size)
        if problem.objective is Objective.MAX_UTILITY:
            linear = problem.excess / (problem.risk_aversion * variance)
        return cls(variance, problem.excess / size, size, linear)
