"""A problem in solver's units: arrays over all N assets, sizes near one, every bound where a master finds it.

With Σ̂ = Σ / variance and e = (μ − rf) / excess_size, all objectives but MAX_SHARPE minimise

    ½ wᵀΣ̂w − linearᵀw + penalty · Σ|w − w₀|

MAX_SHARPE maximises (eᵀw − cost · Σ|w − w₀|) / √(wᵀΣ̂w), TARGET_RISK its numerator with wᵀΣ̂w within a limit,
and MIN_CVAR minimises the mean of the worst losses −R̂w, with R̂ = R / returns_size.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.feasibility import richest
from services.portfolio.domain.optimiser.problem import Objective, Problem, times
from services.portfolio.domain.optimiser.proof import Multipliers
from services.portfolio.domain.optimiser.scaling import Scaled

Indices = npt.NDArray[np.intp]
NO_SECTOR = -1
_IMPROVES = 2e-9
"""A slope this small, beside the size of the gradient at the portfolio, improves nothing."""
_FLAT = 1e-15
_LEAST_SIZE = 1e-7
"""A smaller objective, beside the mean variance, is hardly one: that of a portfolio without risk."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a master needs, for all N assets or, after `take`, for some of them."""

    covariance: Floats
    """Σ as it was given; `variance` divides it where it is read, because a scaled copy would cost as much again."""
    variance: float
    excess: Floats
    linear: Floats
    lower: Floats
    upper: Floats
    rest: Floats
    """Where an asset stays that no master looks at: its point nearest to 0, or to w₀ where trades matter."""
    sector_of: Indices
    caps: Floats
    held: Floats
    limit: float | None
    penalty: float
    cost: float
    target: float | None
    """Least eᵀw − cost · Σ|w − w₀|, for TARGET_RETURN."""
    reach: float
    """The most eᵀw that box, budget and caps allow: what MAX_SHARPE's excess return is measured in."""
    is_ratio: bool
    allows_cash: bool
    trades_matter: bool
    risk_limit: float | None
    """Largest √(wᵀΣ̂w), for TARGET_RISK."""
    returns: Floats | None
    """R̂ of T×N, for MIN_CVAR."""
    beta: float

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The program of a quadratic problem."""
        scaled, caps = Scaled.of(problem), problem.sector_caps()
        sector_of = np.full(problem.size, NO_SECTOR, dtype=np.intp)
        for row, sector in enumerate(caps):
            sector_of[sector.members] = row
        lower, upper = problem.lower, problem.upper
        is_ratio = problem.objective is Objective.MAX_SHARPE
        reach = float(scaled.excess @ richest(problem, caps)) if is_ratio else 1.0
        return cls(
            covariance=problem.moments.covariance,
            variance=scaled.variance,
            excess=scaled.excess,
            linear=scaled.linear,
            lower=lower,
            upper=upper,
            rest=np.clip(problem.held if problem.trades_matter else np.zeros(problem.size), lower, upper),
            sector_of=sector_of,
            caps=np.array([sector.cap for sector in caps]),
            held=problem.held,
            limit=problem.constraints.turnover_limit,
            penalty=scaled.penalty,
            cost=scaled.cost,
            target=scaled.target_of(problem),
            reach=reach if reach > 0 else 1.0,
            is_ratio=is_ratio,
            allows_cash=problem.constraints.allow_cash,
            trades_matter=problem.trades_matter,
            risk_limit=scaled.risk_limit_of(problem),
            returns=scaled.returns_of(problem),
            beta=problem.beta,
        )

    @property
    def size(self) -> int:
        return len(self.excess)

    def turnover(self, weights: Floats) -> float:
        """Σ|w − w₀|."""
        return float(np.abs(weights - self.held).sum())

    def net(self, weights: Floats) -> float:
        """eᵀw − cost · Σ|w − w₀|."""
        reward = float(self.excess @ weights)
        return reward - self.cost * self.turnover(weights) if self.cost else reward

    def times(self, weights: Floats) -> Floats:
        """Σ̂w."""
        return times(self.covariance, weights) / self.variance

    def sector_sums(self, weights: Floats) -> Floats:
        """What each capped sector holds."""
        capped = self.sector_of != NO_SECTOR
        return np.bincount(self.sector_of[capped], weights[capped], len(self.caps)).astype(np.float64)

    def along(self, weights: Floats, multipliers: Multipliers) -> Floats:
        """What a gradient is made of: Σ̂w, or of MIN_CVAR the losses of the assets in the tail, −R̂ᵀπ."""
        if self.returns is None:
            return self.times(weights)
        assert multipliers.tail is not None
        falls: Floats = -(multipliers.tail @ self.returns)
        return falls

    def objective(self, weights: Floats, along: Floats) -> float:
        """What is minimised, at weights with their `along`; of MAX_SHARPE half the squared inverse ratio."""
        if self.risk_limit is not None:
            return -self.net(weights)
        product = float(weights @ along)
        if self.returns is not None:
            return product
        if self.is_ratio:
            net = self.net(weights)
            return product / (2 * net * net) if net > 0 else float("inf")
        trades = self.penalty * self.turnover(weights) if self.penalty else 0.0
        return product / 2 - float(self.linear @ weights) + trades

    def objective_size(self, weights: Floats, along: Floats) -> float:
        """The larger part of a quadratic objective as a master sees it: for a tolerance to mean the same everywhere."""
        if self.risk_limit is not None or self.returns is not None:
            return 1.0
        variance = float(weights @ along)
        if self.is_ratio:
            net = self.net(weights) / self.reach
            size = variance / (2 * net * net) if net > 0 else 1.0
        else:
            size = max(variance / 2, abs(float(self.linear @ weights)))
        return max(size, _LEAST_SIZE)

    def gradient(self, weights: Floats, along: Floats, multipliers: Multipliers) -> tuple[Floats, Floats]:
        """Risk's and reward's part of the gradient; the first minus the second is it."""
        if self.risk_limit is not None:
            return multipliers.risk * along, self.excess
        if self.is_ratio:
            return along * (self.net(weights) / (float(weights @ along) or 1.0)), self.excess
        return along, self.linear

    def least_gain(self, weights: Floats, along: Floats, multipliers: Multipliers) -> float:
        """The slope at these weights below which a direction improves nothing."""
        risky, reward = self.gradient(weights, along, multipliers)
        steepness = float(np.abs(weights) @ (np.abs(risky) + np.abs(reward)))
        return _IMPROVES * max(steepness, _FLAT)

    def directions(
        self, weights: Floats, along: Floats, multipliers: Multipliers, standing: Floats
    ) -> tuple[Floats, Floats]:
        """The Lagrangian's slope for each asset when its weight rises, and when it falls: below 0 improves it.

        `standing` is where each asset stands when its turnover is looked at, mostly its weight.
        """
        risky, reward = self.gradient(weights, along, multipliers)
        slope = risky - reward + multipliers.budget
        if multipliers.target:
            slope -= multipliers.target * self.excess
        if len(self.caps):
            prices = np.append(multipliers.sectors, 0.0)  # the last one for assets of no capped sector
            slope += prices[self.sector_of]
        price = self.price(multipliers)
        if not price:
            return slope, -slope
        rises = np.where(standing >= self.held, price, -price)
        falls = np.where(standing <= self.held, price, -price)
        return slope + rises, falls - slope

    def price(self, multipliers: Multipliers) -> float:
        """What one more unit of turnover costs in the Lagrangian."""
        earns = self.is_ratio or self.risk_limit is not None
        in_reward = self.cost * ((1.0 if earns else 0.0) + multipliers.target)
        return multipliers.turnover + self.penalty + in_reward
