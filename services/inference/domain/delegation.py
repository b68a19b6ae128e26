"""A version that another server runs: what its manifest says, what the server must offer, and whom to ask instead."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model import Floats, ModelCard
from services.inference.domain.tensors import DATATYPES
from trading.errors import FailedPrecondition

LOGIT = "logit"


class Delegation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a version runs, by gRPC in the Open Inference Protocol.

    `model` and `version` as the server knows them, empty meaning the same name and the server's choice; the deadline of
    a request in ms; the most rows in one call; `fallback` is a version of ours that answers when the server does not.
    """

    endpoint: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$")]
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 100
    model: Annotated[str, msgspec.Meta(max_length=256)] = ""
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""
    rows: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 4096
    fallback: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Offered(NamedTuple):
    """A tensor as a foreign server describes it."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Ends(NamedTuple):
    """The names of what goes to a foreign server and of what comes back."""

    samples: str
    logit: str


def ends_of(card: ModelCard, inputs: Sequence[Offered], outputs: Sequence[Offered]) -> Ends:
    """Which of a server's tensors are samples and logit; raises FailedPrecondition when it runs something else.

    One float32 input of the model's shape; the output called logit, or the only one there is, of real numbers.
    """
    wanted = (-1, *card.sample_shape)
    named = [output for output in outputs if output.name == LOGIT] or (list(outputs) if len(outputs) == 1 else [])
    fits = (
        len(inputs) == 1
        and inputs[0].datatype == "FP32"
        and len(inputs[0].shape) == len(wanted)
        and all(was in (-1, size) for was, size in zip(inputs[0].shape[1:], wanted[1:], strict=True))
        and len(named) == 1
        and named[0].datatype in ("FP32", "FP64", "FP16")
    )
    if not fits:
        raise FailedPrecondition(
            f"Expected one FP32 input of {list(wanted)} and one output, or one called {LOGIT!r}; "
            f"was {[tuple(each) for each in (*inputs, *outputs)][:6]}.",
            reason="DELEGATE_MISFIT",
            model=card.name,
        )
    return Ends(inputs[0].name, named[0].name)


def logits_in(raw: bytes, datatype: str, rows: int) -> Floats:
    """The logits that came back, one for each row; raises FailedPrecondition when there are more or fewer."""
    kind = DATATYPES.get(datatype)
    if kind is None or len(raw) != rows * kind.itemsize:
        raise FailedPrecondition(
            f"Expected {rows} numbers, was {len(raw)} bytes of {datatype!r}.", reason="DELEGATE_MISFIT"
        )
    return np.frombuffer(raw, kind).astype(np.float64)


def check_fallback(card: ModelCard, fallback: ModelCard) -> None:
    """Raise ModelRefused unless another version can answer in the place of this one."""
    same = ("features", "horizon_ns", "sample_shape")
    differs = [name for name in same if getattr(card, name) != getattr(fallback, name)]
    if (card.calibration is None) != (fallback.calibration is None):
        differs.append("calibration")
    if differs:
        raise ModelRefused(
            Refusal.MANIFEST,
            f"Version {fallback.version} cannot stand in for {card.version}: {', '.join(differs)} differ.",
            model=card.name,
            version=card.version,
        )


def recalibrated(logits: Floats, spoken: Calibration | None, heard: Calibration | None) -> Floats:
    """Logits of a model calibrated one way, so that whoever calibrates them another way finds the same probability."""
    if spoken is None or heard is None or heard.slope == 0:
        return logits
    return (spoken.slope * logits + spoken.intercept - heard.intercept) / heard.slope
