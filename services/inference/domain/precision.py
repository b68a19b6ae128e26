"""Whether a model may run at a lower precision: judged by what it then says of its golden samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.calibration import Calibration

MOST_FLIPS = 0.01
MOST_SHIFT = 0.01
FEWEST_SAMPLES = 100
"""One flip among fewer is already more than MOST_FLIPS."""

Logits = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`flips`: share of samples whose logit changed its sign; `shift`: mean |Δp|, p being calibrated where it can."""

    samples: int
    flips: float
    shift: float

    @property
    def agrees(self) -> bool:
        """Close enough to say the same."""
        return self.samples >= FEWEST_SAMPLES and self.flips <= MOST_FLIPS and self.shift <= MOST_SHIFT

    def __str__(self) -> str:
        return f"{self.flips:.2%} of {self.samples} signs differ, mean |Δp| is {self.shift:.4f}"


def compare(exact: Logits, lower: Logits, calibration: Calibration | None) -> Comparison:
    """What a lower precision makes of the same samples."""
    scale = calibration or Calibration(1.0, 0.0)
    shift = np.abs(scale.probabilities(lower) - scale.probabilities(exact)).mean() if len(exact) else 0.0
    flips = (np.signbit(lower) != np.signbit(exact)).mean() if len(exact) else 0.0
    return Comparison(len(exact), float(flips), float(shift))
