"""The tensors of a model: what goes in, what comes out, and which of it a caller asked for."""

from collections.abc import Sequence

import numpy as np

from services.inference.domain.model import Floats, ModelCard, opinions
from services.inference.domain.tensors import (
    Array,
    Float32s,
    Tensor,
    TensorFault,
    TensorRefused,
    TensorSpec,
    float32_of,
)
from trading.errors import InvalidArgument

FEATURES, LOGIT, PREDICTION, CONFIDENCE = "features", "logit", "prediction", "confidence"
OUTPUTS = (
    TensorSpec(LOGIT, "FP32", (-1, 1)),
    TensorSpec(PREDICTION, "FP64", (-1, 1)),
    TensorSpec(CONFIDENCE, "FP64", (-1, 1)),
)
"""What every model gives, a row for each sample: its log odds of "up", 2p − 1, and max(p, 1 − p)."""
_NAMES = tuple(spec.name for spec in OUTPUTS)


def input_of(card: ModelCard) -> TensorSpec:
    """What a model takes: raw features, a row for each sample."""
    return TensorSpec(FEATURES, "FP32", (-1, len(card.features)))


def samples_of(card: ModelCard, inputs: Sequence[Tensor], rows_max: int) -> Float32s:
    """The samples among the inputs; raises TensorRefused or InvalidArgument."""
    names = [tensor.name for tensor in inputs]
    strange = next((name for name in names if name != FEATURES), None)
    if strange is not None or len(names) != 1:
        raise TensorRefused(
            TensorFault.NAME,
            f"Expected exactly one input, {FEATURES!r}, of {card.name!r}, was {names}.",
            tensor=FEATURES if strange is None else strange,
        )
    samples = float32_of(inputs[0], input_of(card))
    if len(samples) > rows_max:
        raise InvalidArgument(
            f"Expected at most {rows_max} rows, was {len(samples)}.", reason="TOO_MANY_ROWS", field="inputs.features"
        )
    return samples


def check_asked(names: Sequence[str]) -> tuple[str, ...]:
    """The outputs that a caller asks for, all of them when none is named; raises TensorRefused."""
    for name in names:
        if name not in _NAMES or names.count(name) > 1:
            raise TensorRefused(
                TensorFault.NAME, f"Expected each output once, of {', '.join(_NAMES)}; was {name!r}.", tensor=name
            )
    return tuple(names) or _NAMES


def outputs_of(card: ModelCard, logits: Floats, names: Sequence[str]) -> list[Tensor]:
    """The asked outputs of (N,) log odds, as columns; raises ModelFault when a logit is no finite number."""
    predictions, confidence = opinions(card, logits)
    columns: dict[str, Array] = {LOGIT: logits.astype(np.float32), PREDICTION: predictions, CONFIDENCE: confidence}
    datatypes = {spec.name: spec.datatype for spec in OUTPUTS}
    return [Tensor(name, datatypes[name], columns[name].reshape(-1, 1)) for name in names]
