"""Risk parity: the one long portfolio in which every asset contributes the same risk.

With y = w / s it is the minimum of ½ yᵀΣ̂y − Σ ln yᵢ (Spinu, 2013): at the optimum yᵢ(Σ̂y)ᵢ = 1 for every i. The function
is self-concordant, so that Newton's method with the damping 1 / (1 + λ) converges from anywhere.
"""

import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal

_STEPS_MOST = 200
_PRECISE = 1e-13
_DAMPED_ABOVE = 0.25


def risk_parity(covariance: Floats) -> Floats:
    """Weights of N assets that sum to 1.

    Raises Refusal RISKLESS_ASSET for an asset without variance: no weight of it contributes any risk.
    """
    variances = np.diagonal(covariance)
    riskless = np.flatnonzero(variances <= 0)
    if len(riskless):
        raise Refusal(
            "RISKLESS_ASSET",
            "An asset without variance can contribute no risk.",
            "covariance",
            {"first_at": int(riskless[0]), "count": len(riskless)},
        )
    deviations = np.sqrt(variances)
    correlation = covariance / np.outer(deviations, deviations)
    weights = _balanced(correlation) / deviations
    parity: Floats = weights / weights.sum()
    return parity


def _balanced(correlation: Floats) -> Floats:
    """The minimum of ½ yᵀCy − Σ ln yᵢ."""
    size = len(correlation)
    y = np.full(size, 1.0 / max(float(correlation.sum()) / size, 1.0 / size) ** 0.5)
    for _ in range(_STEPS_MOST):
        slope = correlation @ y - 1.0 / y
        curvature = correlation.copy()
        curvature[np.diag_indices(size)] += 1.0 / np.square(y)
        step = np.linalg.solve(curvature, slope)
        decrement = float(slope @ step) ** 0.5 if slope @ step > 0 else 0.0
        damping = 1.0 / (1.0 + decrement) if decrement > _DAMPED_ABOVE else 1.0
        y = y - damping * step
        if decrement < _PRECISE * size**0.5:
            break
    return y
