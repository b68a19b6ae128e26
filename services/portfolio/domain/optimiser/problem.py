"""An optimisation problem over N symbols, in the words of the trade."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import (
    Floats,
    Refusal,
    require_finite,
    require_length,
    require_square,
    require_unique,
    symmetric,
)

BUDGET = 1.0
_BAND = 64
"""Rows that are hashed at a time: other threads run meanwhile, and each time costs a wait for them."""


class Objective(StrEnum):
    """What the weights strive for."""

    MIN_VARIANCE = "MIN_VARIANCE"
    MAX_SHARPE = "MAX_SHARPE"
    MAX_UTILITY = "MAX_UTILITY"
    TARGET_RETURN = "TARGET_RETURN"
    TARGET_RISK = "TARGET_RISK"
    MIN_CVAR = "MIN_CVAR"
    RISK_PARITY = "RISK_PARITY"
    HRP = "HRP"


QUADRATIC = frozenset({Objective.MIN_VARIANCE, Objective.MAX_SHARPE, Objective.MAX_UTILITY, Objective.TARGET_RETURN})
"""Objectives that a quadratic program answers."""
ALLOCATIONS = frozenset({Objective.RISK_PARITY, Objective.HRP})
"""Rules that share risk out, fully invested, without an optimum of return or risk."""


class Bounds(NamedTuple):
    """Least and largest weight of one asset; below zero is a short position."""

    lower: float
    upper: float


class MinPositionKind(StrEnum):
    """What the smallest position means: zero or at least the minimum, or the minimum of every asset."""

    SEMICONTINUOUS = "SEMICONTINUOUS"
    HARD = "HARD"


@dataclass(frozen=True, slots=True)
class Constraints:
    """Bounds of the weights, as fractions of the budget; None means no limit."""

    max_position_size: float = 1.0
    min_position_size: float = 0.0
    min_position_kind: MinPositionKind = MinPositionKind.SEMICONTINUOUS
    sectors: Mapping[str, str] = field(default_factory=dict)
    sector_caps: Mapping[str, float] = field(default_factory=dict)
    turnover_limit: float | None = None
    allow_cash: bool = False
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Bounds of single symbols, instead of the two sizes above."""


class FactorModel(NamedTuple):
    """Σ = BᵀB + diag(d) with B of K×N, K much smaller than N, and d ≥ 0."""

    loadings: Floats
    specific: Floats


class Moments(NamedTuple):
    """μ and Σ of one period length; a Σ that was made as a Gram matrix, or of a factor model, cannot be indefinite."""

    expected_returns: Floats
    covariance: Floats
    is_gram: bool = False
    model: FactorModel | None = None

    @property
    def is_psd_by_construction(self) -> bool:
        """Nobody needs to judge Σ."""
        return self.is_gram or self.model is not None

    def times(self, weights: Floats) -> Floats:
        """Σw."""
        return times(self.covariance, weights)


def times(covariance: Floats, weights: Floats) -> Floats:
    """Σw, reading only the rows of the assets that are held: Σ is symmetric, and its rows lie together."""
    held = np.flatnonzero(weights)
    product: Floats = covariance @ weights if 2 * len(held) > len(weights) else weights[held] @ covariance[held]
    return product


class SectorCap(NamedTuple):
    """The members of a capped sector, by their positions among the symbols."""

    name: str
    cap: float
    members: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Problem:
    """μ, Σ and the risk-free rate share one period; `current` holds w₀, zeros when nothing is held."""

    symbols: tuple[str, ...]
    moments: Moments
    objective: Objective
    risk_free_rate: float
    risk_aversion: float
    target_return: float | None
    constraints: Constraints
    current: Floats | None = None
    target_risk: float | None = None
    """Largest standard deviation, for TARGET_RISK."""
    beta: float = 0.95
    """Confidence of MIN_CVAR: the tail is the worst 1 − β of the returns."""
    turnover_cost: float = 0.0
    """What trading a weight of 1 costs, as a fraction of equity."""
    returns: Floats | None = None
    """T×N simple returns per period, for MIN_CVAR."""
    risk_budgets: Mapping[str, float] = field(default_factory=dict)
    """Part of the risk of each symbol, in any unit, for RISK_PARITY; the same part for all when empty."""
    _sector_caps: tuple[SectorCap, ...] | None = field(default=None, init=False, repr=False, compare=False)
    """Found once: every step of an answer asks for them, and looking up a thousand sectors takes its time."""

    @property
    def size(self) -> int:
        return len(self.symbols)

    @property
    def excess(self) -> Floats:
        """μ − rf: what a weight earns beyond the same weight of cash."""
        return self.moments.expected_returns - self.risk_free_rate

    @property
    def is_semicontinuous(self) -> bool:
        """Weights may be zero or at least the minimum, so that the feasible set has holes."""
        return self.constraints.min_position_size > 0 and (
            self.constraints.min_position_kind is MinPositionKind.SEMICONTINUOUS
        )

    @property
    def lower(self) -> Floats:
        """Least weight of each asset in the convex relaxation."""
        common = 0.0 if self.is_semicontinuous else self.constraints.min_position_size
        return self._bounds(common, 0)

    @property
    def upper(self) -> Floats:
        """Largest weight of each asset."""
        return self._bounds(self.constraints.max_position_size, 1)

    def _bounds(self, common: float, side: int) -> Floats:
        values = np.full(self.size, common)
        own = self.constraints.bounds
        if own:
            for index, symbol in enumerate(self.symbols):
                if symbol in own:
                    values[index] = own[symbol][side]
        return values

    @property
    def trades_matter(self) -> bool:
        """Turnover is bounded or costs something."""
        return self.constraints.turnover_limit is not None or self.turnover_cost > 0

    @property
    def budgets(self) -> Floats:
        """The risk budgets as a vector that sums to 1."""
        parts = np.array([self.risk_budgets.get(symbol, 0.0 if self.risk_budgets else 1.0) for symbol in self.symbols])
        budgets: Floats = parts / parts.sum()
        return budgets

    @property
    def held(self) -> Floats:
        """w₀ as a vector."""
        return np.zeros(self.size) if self.current is None else self.current

    def sector_caps(self) -> tuple[SectorCap, ...]:
        """The capped sectors with their members, by name."""
        if self._sector_caps is None:
            object.__setattr__(self, "_sector_caps", self._capped_sectors())
        return self._sector_caps or ()

    def _capped_sectors(self) -> tuple[SectorCap, ...]:
        caps = self.constraints.sector_caps
        if not caps:
            return ()
        members: dict[str, list[int]] = {name: [] for name in caps}
        sectors = self.constraints.sectors
        for index, symbol in enumerate(self.symbols):
            found = members.get(sectors.get(symbol, ""))
            if found is not None:
                found.append(index)
        return tuple(SectorCap(name, caps[name], np.array(members[name], np.intp)) for name in sorted(caps))


Recall = Callable[[Floats], Floats | None]
"""Finds a covariance of the same bytes that was judged before."""


def recall_nothing(_: Floats) -> Floats | None:
    """The memory of one who never saw a covariance before."""
    return None


def given_moments(
    expected_returns: Floats,
    covariance: Floats,
    symbols: Sequence[str],
    recall: Recall = recall_nothing,
) -> Moments:
    """μ and Σ as the caller sent them, judged; mirrored entries that differ by rounding are averaged.

    A Σ that `recall` knows is not judged again.
    """
    require_unique(symbols)
    require_length("expected_returns", expected_returns, len(symbols))
    require_square("covariance", covariance, len(symbols))
    require_finite("expected_returns", expected_returns)
    known = recall(covariance)
    if known is not None:
        return Moments(expected_returns, known)
    require_finite("covariance", covariance)
    return Moments(expected_returns, symmetric(symbols, covariance))


def factor_moments(expected_returns: Floats, model: FactorModel, symbols: Sequence[str]) -> Moments:
    """μ, and the Σ of a factor model; raises Refusal for wrong shapes, values that are not finite or below 0."""
    require_unique(symbols)
    require_length("expected_returns", expected_returns, len(symbols))
    require_length("residual_variances", model.specific, len(symbols))
    require_finite("expected_returns", expected_returns)
    require_finite("exposures", model.loadings)
    require_finite("residual_variances", model.specific)
    if float(model.specific.min()) < 0:
        index = int(model.specific.argmin())
        numbers = {"symbol": symbols[index], "variance": float(model.specific[index])}
        raise Refusal("NOT_POSITIVE_SEMIDEFINITE", "A residual variance is negative.", "residual_variances", numbers)
    covariance: Floats = model.loadings.T @ model.loadings
    covariance[np.diag_indices(len(symbols))] += model.specific
    return Moments(expected_returns, covariance, model=model)


class Fingerprints(NamedTuple):
    """SHA-256 of a question and of its covariance alone, hex."""

    problem: str
    covariance: str


def fingerprint_of(covariance: Floats) -> str:
    """SHA-256, hex, of Σ's upper triangle: row by row, each from its diagonal to its end, little-endian float64."""
    digest = hashlib.sha256()
    for first in range(0, len(covariance), _BAND):
        band = [covariance[row, row:] for row in range(first, min(first + _BAND, len(covariance)))]
        digest.update(np.ascontiguousarray(np.concatenate(band), "<f8").data)
    return digest.hexdigest()


def fingerprints(problem: Problem, covariance: str | None = None) -> Fingerprints:
    """SHA-256 of everything that decides the answer: the same question, the same fingerprint.

    `covariance` is the covariance's own, where it is known.
    """
    covariance = covariance or fingerprint_of(problem.moments.covariance)
    constraints = problem.constraints
    words = {
        "symbols": problem.symbols,
        "objective": problem.objective,
        "risk_free_rate": problem.risk_free_rate,
        "risk_aversion": problem.risk_aversion,
        "target_return": problem.target_return,
        "max_position_size": constraints.max_position_size,
        "min_position_size": constraints.min_position_size,
        "min_position_kind": constraints.min_position_kind,
        "sectors": {symbol: constraints.sectors.get(symbol, "") for symbol in problem.symbols},
        "sector_caps": dict(constraints.sector_caps),
        "turnover_limit": constraints.turnover_limit,
        "allow_cash": constraints.allow_cash,
        "current": None if problem.current is None else problem.current.tolist(),
        "bounds": {symbol: tuple(bounds) for symbol, bounds in constraints.bounds.items()},
        "target_risk": problem.target_risk,
        "beta": problem.beta,
        "turnover_cost": problem.turnover_cost,
        "risk_budgets": dict(problem.risk_budgets),
    }
    digest = hashlib.sha256(json.dumps(words | {"covariance": covariance}, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(problem.moments.expected_returns, "<f8").data)
    if problem.returns is not None:
        digest.update(np.ascontiguousarray(problem.returns, "<f8").data)
    return Fingerprints(digest.hexdigest(), covariance)
