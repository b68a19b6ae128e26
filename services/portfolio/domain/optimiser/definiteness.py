"""Whether a covariance is positive semidefinite, and its factors."""

import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal

_NEGATIVE = 1e-9
"""An eigenvalue this far below zero, beside the largest one, is no rounding."""
_POWER_STEPS = 12
JUDGED_AT_ONCE = 200
"""A covariance of so few assets is judged before its problem is solved: it takes less than a millisecond or two."""


def refuse_indefinite(covariance: Floats) -> None:
    """Raise Refusal NOT_POSITIVE_SEMIDEFINITE with the eigenvalues that prove it.

    A Cholesky factorisation of Σ with its diagonal raised by the tolerance says yes in N³/3; only where it fails
    are eigenvalues computed.
    """
    variance = float(np.mean(np.diagonal(covariance)))
    if variance <= 0:
        _refuse_spectrum(covariance)
        return
    normalised = covariance / variance
    lifted = normalised.copy()
    lifted[np.diag_indices_from(lifted)] += _NEGATIVE * _largest_eigenvalue(normalised)
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        _refuse_spectrum(normalised)


def _largest_eigenvalue(matrix: Floats) -> float:
    """At most the largest eigenvalue, and close to it: by power iteration from the row sums."""
    vector = np.ones(len(matrix))
    for _ in range(_POWER_STEPS):
        image = matrix @ vector
        length = float(np.linalg.norm(image))
        if length == 0:
            return 0.0
        vector = image / length
    return max(float(vector @ (matrix @ vector)), 0.0)


def _refuse_spectrum(covariance: Floats) -> None:
    values: Floats = np.asarray(np.linalg.eigvalsh(covariance), dtype=np.float64)
    if values[0] < -_NEGATIVE * max(values[-1], -values[0]):
        raise _indefinite(values)


def _indefinite(values: Floats) -> Refusal:
    return Refusal(
        "NOT_POSITIVE_SEMIDEFINITE",
        f"The covariance has a negative eigenvalue: {values[0]:.6g} beside a largest of {values[-1]:.6g}.",
        "covariance",
        {"smallest_eigenvalue": float(values[0]), "largest_eigenvalue": float(values[-1]), "of": "normalised"},
    )


def factor_of(covariance: Floats) -> Floats:
    """K×N with FᵀF = Σ, rows of rounding left out; raises Refusal when Σ is not positive semidefinite."""
    try:
        factor: Floats = np.asarray(np.linalg.cholesky(covariance).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        return _spectral_factor(covariance)
    return factor


def _spectral_factor(covariance: Floats) -> Floats:
    """√λ·Qᵀ of the eigenvalues that are not rounding."""
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -_NEGATIVE * max(values[-1], -values[0]):
        raise _indefinite(values)
    kept = values > np.finfo(float).eps * len(values) * values[-1]
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T if kept.any() else np.zeros((1, len(values)))
