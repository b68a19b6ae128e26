"""The tail of a sample of losses."""

import math

import numpy as np

from services.portfolio.domain.matrices import Floats

_ROUNDING = 1e-9


def conditional_value_at_risk(losses: Floats, beta: float) -> float:
    """Mean of the worst 1 − β of T losses (Rockafellar and Uryasev, 2000); the last one counts as far as it belongs."""
    ordered = np.sort(losses)[::-1]
    tail = (1 - beta) * len(ordered)
    whole = min(math.floor(tail + _ROUNDING), len(ordered))
    part = max(tail - whole, 0.0)
    total = float(ordered[:whole].sum())
    if part > _ROUNDING and whole < len(ordered):
        total += part * float(ordered[whole])
    return total / tail
