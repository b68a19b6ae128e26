"""Moments of T×N simple returns, scaled to a year: the mean, and three covariances."""

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from services.portfolio.domain.matrices import Floats, require_finite, require_observations, require_unique
from services.portfolio.domain.optimiser.problem import Moments
from trading.errors import InvalidArgument

HALF_LIFE = 63.0
"""Periods after which a return counts half, when nothing is said."""


class Estimator(StrEnum):
    """How returns become a covariance."""

    SAMPLE = "SAMPLE"
    LEDOIT_WOLF = "LEDOIT_WOLF"
    EWMA = "EWMA"


def moments_of_returns(
    returns: Floats,
    symbols: Sequence[str],
    periods_per_year: float,
    estimator: Estimator = Estimator.SAMPLE,
    half_life: float = HALF_LIFE,
) -> Moments:
    """Mean and covariance of T×N returns, times `periods_per_year`; Σ is positive semidefinite by construction.

    Raises Refusal for a wrong shape, a symbol twice or values that are not finite, InvalidArgument for a
    number of periods or a half-life that is not positive.
    """
    require_unique(symbols)
    require_observations(returns, len(symbols))
    require_finite("returns", returns)
    for name, value in (("periods_per_year", periods_per_year), ("ewma_half_life", half_life)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidArgument(f"Expected a positive {name}.", field=name, was=value)
    mean: Floats = returns.mean(axis=0)
    match estimator:
        case Estimator.SAMPLE:
            covariance = _gram(returns - mean) / (len(returns) - 1)
        case Estimator.LEDOIT_WOLF:
            covariance = ledoit_wolf(returns)[0]
        case Estimator.EWMA:
            covariance = ewma(returns, half_life)
    covariance *= periods_per_year
    return Moments(mean * periods_per_year, covariance, is_gram=True)


def ledoit_wolf(returns: Floats) -> tuple[Floats, float]:
    """The sample covariance (ddof 0) shrunk towards a multiple of the identity, and by how much, 0..1.

    Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices". Both sums over
    N×N products are had from smaller things: Σ(xₜxₜᵀ)² from the lengths of the rows, and ‖XᵀX‖ from ‖XXᵀ‖, which is
    T×T, where there are fewer periods than assets.
    """
    periods, count = returns.shape
    centred = returns - returns.mean(axis=0)
    gram = _gram(centred)
    small = gram if count <= periods else _gram(np.ascontiguousarray(centred.T))
    length = np.einsum("ti,ti->t", centred, centred)
    mean_variance = float(length.sum()) / periods / count
    product = float(np.vdot(small, small)) / periods**2
    spread = product - count * mean_variance**2
    noise = (float(length @ length) / periods - product) / periods
    shrinkage = min(max(noise, 0.0), spread) / spread if spread > 0 else 0.0
    gram *= (1.0 - shrinkage) / periods
    gram[np.diag_indices(count)] += shrinkage * mean_variance
    return gram, shrinkage


def ewma(returns: Floats, half_life: float) -> Floats:
    """Σ pₜ(xₜ − m)(xₜ − m)ᵀ around the weighted mean m, with pₜ halving every `half_life` periods into the past."""
    ages = np.arange(len(returns) - 1, -1, -1.0)
    parts = 0.5 ** (ages / half_life)
    parts /= parts.sum()
    centred = returns - parts @ returns
    return _gram(centred * np.sqrt(parts)[:, None])


def _gram(rows: Floats) -> Floats:
    """XᵀX."""
    product: Floats = rows.T @ rows
    return product
