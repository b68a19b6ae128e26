"""The tensors of a model: what goes in, what comes out, and which of it a caller asked for.

A model of features says a logit; beside it stands what the house makes of a logit. A model of tensors, whose card
names no features, gives what its graph gives.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from services.inference.domain.model import Floats, ModelCard, TensorSpec, opinions
from services.inference.domain.tensors import (
    Array,
    Float32s,
    Tensor,
    TensorFault,
    TensorRefused,
    datatype_of,
    float32_of,
)
from trading.errors import InvalidArgument

OPINIONS = (TensorSpec("prediction", "float64", (-1, 1)), TensorSpec("confidence", "float64", (-1, 1)))
"""2p − 1 and max(p, 1 − p) of each sample, beside its log odds of "up"."""


def outputs_of(card: ModelCard, outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """All that a model gives: what its graph does and, of a model of features, the opinions made of that."""
    given = tuple(outputs)
    if not card.features:
        return given
    taken = {spec.name for spec in given}
    return (*given, *(spec for spec in OPINIONS if spec.name not in taken))


def inputs_by_name(card: ModelCard, given: Sequence[Tensor], wanted: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """The inputs, each of which must come exactly once; raises TensorRefused."""
    expected = [spec.name for spec in wanted]
    names = [tensor.name for tensor in given]
    if sorted(names) != sorted(expected):
        strange = next((name for name in names if name not in expected or names.count(name) > 1), expected[0])
        raise TensorRefused(
            TensorFault.NAME, f"Expected each input of {card.name!r} once, {expected}, was {names}.", tensor=strange
        )
    return {tensor.name: tensor for tensor in given}


def samples_of(tensor: Tensor, spec: TensorSpec, rows_max: int) -> Float32s:
    """The samples of a model of features; raises TensorRefused or InvalidArgument."""
    samples = float32_of(tensor, spec)
    if len(samples) > rows_max:
        raise InvalidArgument(
            f"Expected at most {rows_max} rows, was {len(samples)}.",
            reason="TOO_MANY_ROWS",
            field=f"inputs.{spec.name}",
        )
    return samples


def check_asked(names: Sequence[str], offered: Sequence[TensorSpec]) -> tuple[str, ...]:
    """The outputs that a caller asks for, all of them when none is named; raises TensorRefused."""
    known = tuple(spec.name for spec in offered)
    for name in names:
        if name not in known or names.count(name) > 1:
            raise TensorRefused(
                TensorFault.NAME, f"Expected each output once, of {', '.join(known)}; was {name!r}.", tensor=name
            )
    return tuple(names) or known


def opinions_of(card: ModelCard, logits: Floats, logit: TensorSpec, names: Sequence[str]) -> list[Tensor]:
    """The asked outputs of (N,) log odds, as columns; raises ModelFault when a logit is no finite number."""
    predictions, confidence = opinions(card, logits)
    columns: dict[str, Array] = {"prediction": predictions, "confidence": confidence}
    columns[logit.name] = logits.astype(np.float32)
    return [named(name, columns[name].reshape(-1, 1)) for name in names]


def rows_in(arrays: Mapping[str, Array]) -> int:
    """How many samples a request has, by the first dimension of its first tensor."""
    first = next(iter(arrays.values()), None)
    return len(first) if first is not None and first.ndim else 0


def named(name: str, array: Array) -> Tensor:
    """A tensor of the datatype that the array has."""
    return Tensor(name, datatype_of(array.dtype.name), array)
