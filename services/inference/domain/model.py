"""What is known of a model, and how its logit becomes an opinion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.inference.domain.calibration import Calibration
from services.inference.domain.drift import Distributions
from services.inference.domain.errors import ModelFault
from trading.errors import InvalidArgument

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The facts of one version of a model, as its manifest states them; the horizon in ns."""

    name: str
    version: str
    sha256: str
    features: tuple[str, ...]
    horizon_ns: int
    calibration: Calibration | None
    training_data: str
    metrics: Mapping[str, float]
    code_version: str
    distributions: Distributions = field(default_factory=dict)
    """Where each feature lay in the training data; empty when the maker did not say."""
    architecture: str = "onnx"
    """The kind of network, or onnx for a graph of somebody else's."""
    window: int = 1
    """Feature rows of one sample; above 1 for a sequence model."""
    precision: str = "fp32"
    weight_bytes: int = 0
    activations: int = 0
    """The most numbers that one sample has between two steps of the computation; 0 when unknown."""
    training_data_sha256: str = ""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(F,), or (T, F) of a sequence model."""
        flat = self.window == 1 and self.architecture in ("mlp", "onnx")
        return (len(self.features),) if flat else (self.window, len(self.features))


@dataclass(frozen=True, slots=True)
class Running:
    """How a loaded model runs: `device` is the provider that really does, cpu or cuda."""

    device: str
    load_ms: float
    run_ns: int
    """Median time of one row, measured at load."""
    inline: bool
    """It runs on the event loop itself, being faster than a hand-over to a thread."""
    device_note: str = ""
    """Why it does not run on the device that was asked for; empty when it does."""


class TensorSpec(NamedTuple):
    """A tensor that a model takes or gives: a NumPy kind, and its shape with −1 for a size that each run chooses."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Opinion(NamedTuple):
    """`prediction` in −1..1 and `confidence` in 0.5..1; for a calibrated model 2p − 1 and max(p, 1 − p)."""

    prediction: float
    confidence: float


UNDECIDED = Opinion(0.0, 0.5)
"""What is said of a symbol whose features are not warm."""


def expect_features(card: ModelCard) -> None:
    """Raise InvalidArgument for a model that reads no features of ours: it can be asked in tensors alone."""
    if not card.features:
        raise InvalidArgument(
            f"{card.name!r} takes tensors, not market data: ask it by the Open Inference Protocol.",
            reason="MODEL_TAKES_TENSORS",
            field="model",
        )


def opinion(card: ModelCard, logit: float) -> Opinion:
    """What a logit says; without a calibration it is a score whose confidence is unknown, said as 0.5.

    Raises ModelFault when it is no finite number.
    """
    if not math.isfinite(logit):
        raise ModelFault(card.name)
    if card.calibration is None:
        return Opinion(math.tanh(logit / 2), 0.5)
    up = card.calibration.probability(logit)
    return Opinion(2 * up - 1, up if up > 0.5 else 1 - up)


def opinions(card: ModelCard, logits: Floats) -> tuple[Floats, Floats]:
    """`opinion` over a column: predictions and confidence."""
    if not np.isfinite(logits).all():
        raise ModelFault(card.name)
    if card.calibration is None:
        return np.tanh(logits / 2), np.full(len(logits), 0.5)
    up = card.calibration.probabilities(logits)
    return 2 * up - 1, np.maximum(up, 1 - up)
