"""Risk parity: every asset contributes its budget of the risk, the same one unless budgets are given.

With y = w / s it is the minimum of ½ yᵀΣ̂y − Σ bᵢ ln yᵢ (Spinu, 2013): at the optimum yᵢ(Σ̂y)ᵢ = bᵢ for every i. Divided
by the least budget the function is self-concordant, so that Newton's method with the damping 1 / (1 + λ) converges
from anywhere. Where that portfolio breaks a bound, `bounded_parity` looks for the nearest one that does not.
"""

import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal

_STEPS_MOST = 500
_PRECISE = 1e-13
_DAMPED_ABOVE = 0.25
_NO_RISK = 1e-12
"""A variance this small, beside that of the same weights without correlation, is rounding."""


def require_risk(symbols: tuple[str, ...], covariance: Floats, why: str) -> None:
    """Raise Refusal RISKLESS_ASSET, with `why`, for an asset without variance."""
    riskless = np.flatnonzero(np.diagonal(covariance) <= 0)
    if len(riskless):
        names = [symbols[index] for index in riskless]
        numbers = {"symbols": names[:20], "count": len(names)}
        raise Refusal("RISKLESS_ASSET", f"{', '.join(names[:5])} without variance {why}.", "covariance", numbers)


def risk_parity(covariance: Floats, budgets: Floats) -> Floats | None:
    """Weights that sum to 1, for N positive budgets and variances; None when a mix of the assets has no risk at all."""
    deviations = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(deviations, deviations)
    y = _balanced(correlation, budgets * len(budgets) / budgets.sum())
    if y is None:
        return None
    weights = y / deviations
    parity: Floats = weights / weights.sum()
    return parity


def _balanced(correlation: Floats, budgets: Floats) -> Floats | None:
    """The minimum of ½ yᵀCy − Σ bᵢ ln yᵢ, None when it has no bound."""
    size, least = len(correlation), float(budgets.min())
    y: Floats = np.sqrt(budgets) * size**0.5 / max(float(correlation.sum()), 1.0) ** 0.5
    for _ in range(_STEPS_MOST):
        along = correlation @ y
        if float(y @ along) <= _NO_RISK * float(y @ y):
            return None
        slope = along - budgets / y
        curvature = correlation.copy()
        curvature[np.diag_indices(size)] += budgets / np.square(y)
        step = np.linalg.solve(curvature, slope)
        decrement = float(slope @ step) ** 0.5 if slope @ step > 0 else 0.0
        damping = 1.0 / (1.0 + decrement / least**0.5) if decrement > _DAMPED_ABOVE * least**0.5 else 1.0
        y = y - damping * step
        if decrement < _PRECISE * size**0.5:
            return y
    return y
