"""What a safetensors file says of the model inside it, beside the weights."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from services.inference.domain import drift
from services.inference.domain.architectures import Architecture, Mlp, misfit

FORMAT = 1
LONGEST_WINDOW = 1024
MOST_FEATURES = 1024
MOST_GOLDEN_SAMPLES = 1024
GOLDEN_SAMPLES = 128
"""What our own trainers put into a file: more than a lower precision needs to be judged by."""
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
FeatureName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.]{0,63}$")]
Reals = tuple[float, ...]


class Scaler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(x − mean) / deviation, per feature; x is clipped at mean ± clip·deviation first, when `clip` is given."""

    mean: Reals
    deviation: Reals
    clip: float | None = 5.0


class Platt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """p = 1 / (1 + e^−(slope·logit + intercept))."""

    slope: float
    intercept: float


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from: its data in a sentence and as a SHA-256, the code, and its held-out metrics."""

    training_data: str = ""
    training_data_sha256: str = ""
    code_version: str = ""
    metrics: dict[str, float] = {}


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The metadata of a safetensors file.

    `features` in the order of the columns; `window` rows a sample, 1 for an MLP; the horizon in ns. Raw features
    go in: the scaler is part of the model. `calibration` is None when there is none: then nothing is calibrated.
    `distributions`, by feature, are where the training data lay; without them no drift is told.
    """

    architecture: Architecture
    features: tuple[FeatureName, ...]
    window: int
    horizon_ns: int
    scaler: Scaler | None = None
    calibration: Platt | None = None
    provenance: Provenance = Provenance()
    distributions: dict[str, drift.Distribution] = {}
    format: int = FORMAT

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(F,) of an MLP, (T, F) of a sequence model."""
        flat = isinstance(self.architecture, Mlp)
        return (len(self.features),) if flat else (self.window, len(self.features))


class Golden(NamedTuple):
    """What the maker's own code says of K samples: raw inputs (K, F), or (K, T, F) of a sequence model; logits (K,).

    A file that is loaded must say the same to 10⁻³ (absolute and relative); other precisions are judged by it.
    """

    inputs: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


def faults(spec: ModelSpec) -> list[str]:
    """Everything about a spec that cannot be, each as a sentence; empty when it is sound."""
    found = [misfit(spec.architecture, spec.window), drift.misfit(spec.distributions, spec.features)]
    found += [
        _unless(spec.format == FORMAT, f"Expected format {FORMAT}, was {spec.format}."),
        _unless(0 < len(spec.features) <= MOST_FEATURES, f"Expected 1 to {MOST_FEATURES} features."),
        _unless(len(set(spec.features)) == len(spec.features), "Expected every feature once."),
        _unless(0 < spec.window <= LONGEST_WINDOW, f"Expected a window of 1 to {LONGEST_WINDOW}, was {spec.window}."),
        _unless(spec.horizon_ns > 0, f"Expected horizon_ns above 0, was {spec.horizon_ns}."),
        _unless(_sound(spec.scaler, len(spec.features)), "Expected a finite mean and a deviation above 0 per feature."),
        _unless(
            spec.calibration is None or _finite(*msgspec.structs.astuple(spec.calibration)), "Expected finite Platt."
        ),
        _unless(_finite(*spec.provenance.metrics.values()), "Expected finite metrics."),
    ]
    return [sentence for sentence in found if sentence]


def _sound(scaler: Scaler | None, features: int) -> bool:
    if scaler is None:
        return True
    return (
        len(scaler.mean) == len(scaler.deviation) == features
        and _finite(*scaler.mean, *scaler.deviation)
        and all(each > 0 for each in scaler.deviation)
        and (scaler.clip is None or (_finite(scaler.clip) and scaler.clip > 0))
    )


def _finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))


def _unless(right: bool, sentence: str) -> str | None:
    return None if right else sentence


def reals(values: Sequence[Any]) -> Reals:
    """Numbers of any kind, NumPy's included, as a tuple of floats."""
    return tuple(float(value) for value in values)
