"""Platt scaling: turns a model's logit into a probability that means what it says."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NEWTON_STEPS = 50
_TOLERANCE = 1e-10
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """p = 1 / (1 + e^−(slope·logit + intercept))."""

    slope: float
    intercept: float

    def probability(self, logit: float) -> float:
        """The calibrated probability of "up"."""
        exponent = -(self.slope * logit + self.intercept)
        return 1 / (1 + math.exp(exponent if exponent < _LARGEST_EXPONENT else _LARGEST_EXPONENT))

    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The same over a column."""
        exponents = -(self.slope * logits.astype(np.float64) + self.intercept)
        return 1 / (1 + np.exp(np.minimum(exponents, _LARGEST_EXPONENT)))


def fit(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.floating]) -> Calibration:
    """Fit slope and intercept by Newton's method on the log loss; labels in 0..1, ½ for neither.

    Logits must come from data that the model has not been trained on (Platt 1999). A model whose order is
    worse than chance gets slope 0: its confidence is then the base rate's. As Platt did, labels are drawn in by what a
    uniform prior over the rate would add, so that few rows that a model happens to order perfectly prove nothing.
    """
    labels = _drawn_in(labels)
    design = np.stack((logits.astype(np.float64), np.ones(len(logits))), axis=1)
    solution = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(design, labels, solution)
        solution += step
        if np.abs(step).max() < _TOLERANCE:
            break
    slope, intercept = map(float, solution)
    return Calibration(slope, intercept) if slope > 0 else Calibration(0.0, _log_odds(float(labels.mean())))


def _drawn_in(labels: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """0 becomes 1/(N₀ + 2), 1 becomes (N₁ + 1)/(N₁ + 2)."""
    ups = float(labels.sum())
    low, high = 1 / (len(labels) - ups + 2), (ups + 1) / (ups + 2)
    return low + (high - low) * labels.astype(np.float64)


def _newton_step(
    design: npt.NDArray[np.float64], labels: npt.NDArray[np.floating], solution: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    probability = 1 / (1 + np.exp(-(design @ solution)))
    gradient = design.T @ (labels - probability)
    weighted = design * (probability * (1 - probability))[:, None]
    return np.asarray(np.linalg.lstsq(design.T @ weighted, gradient, rcond=None)[0], np.float64)


def _log_odds(rate: float) -> float:
    bounded = min(max(rate, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))
