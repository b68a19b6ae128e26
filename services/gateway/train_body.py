"""A training set from JSON to columns of bytes; pure, so that any process can do it."""

import re
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from services.gateway.typed_body import no_json, said_of, shapes_of
from trading.errors import InvalidArgument

MOST_EPOCHS = 10_000
_PLACE = re.compile(r"\[(\d+)\]")
_NOT_NUMBERS, _NOT_RECTANGULAR = "NOT_NUMBERS", "FEATURES_NOT_RECTANGULAR"

Epochs = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": MOST_EPOCHS})]
Rate = Annotated[float, msgspec.Meta(extra_json_schema={"exclusiveMinimum": 0, "maximum": 1})]
"""Their bounds are judged by hand: what is outside them has a name of its own."""


class TrainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rows in the order of time, oldest first, and a label in 0..1 for each."""

    features: list[list[float]]
    labels: list[float]
    epochs: Epochs = 10
    learning_rate: Rate = 0.001


class Read(NamedTuple):
    """What became of a body: little-endian float64 columns, or what is wrong with it, by reason and place."""

    features: bytes = b""
    labels: bytes = b""
    epochs: int = 0
    learning_rate: float = 0.0
    malformed: str = ""
    wrong: str = ""
    reason: str = ""
    field: str = ""


_DECODER = msgspec.json.Decoder(TrainRequest)


def shapes() -> dict[str, Any]:
    """The JSON schema of the body, by name."""
    return shapes_of(TrainRequest)


@no_json(lambda why: Read(malformed=why))
def read(body: bytes) -> Read:
    """Read rows and labels; nothing is raised."""
    try:
        asked = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        msgspec.json.decode(body)  # what comes after the wrong value may not even be JSON
        return _refused(error)
    return _misfit(asked) or Read(
        np.array(asked.features, "<f8").tobytes(),
        np.array(asked.labels, "<f8").tobytes(),
        asked.epochs,
        asked.learning_rate,
    )


def _misfit(asked: TrainRequest) -> Read | None:
    columns = len(asked.features[0]) if asked.features else 0
    odd = next((row for row, each in enumerate(asked.features) if len(each) != columns or not each), None)
    if odd is not None:
        expected = f"{columns} numbers as in features[0]" if columns else "a row of numbers"
        return Read(wrong=f"Expected {expected} in features[{odd}].", reason=_NOT_RECTANGULAR, field=f"features.{odd}")
    if len(asked.features) != len(asked.labels):
        was = f"Expected one label for each of {len(asked.features)} rows, was {len(asked.labels)}."
        return Read(wrong=was, reason="LABELS_LENGTH", field="labels")
    if not 1 <= asked.epochs <= MOST_EPOCHS:
        was = f"Expected 1 to {MOST_EPOCHS} epochs, was {asked.epochs}."
        return Read(wrong=was, reason="EPOCHS_OUT_OF_RANGE", field="epochs")
    return None


def _refused(error: msgspec.ValidationError) -> Read:
    said, field = said_of(error)
    return Read(wrong=said, reason=_reason(said, field), field=field)


def _reason(said: str, field: str) -> str:
    if field.startswith("features.") and "Expected `array`" in said:
        return _NOT_RECTANGULAR
    return _NOT_NUMBERS if field.startswith(("features.", "labels.")) else ""


def pointed(error: InvalidArgument) -> InvalidArgument:
    """An error of the service about a place in the rows, pointing at where that is in the body."""
    field = str(error.metadata.get("field", ""))
    place = _PLACE.sub(r".\1", field)
    return InvalidArgument(error.message, reason=error.reason, **error.metadata | {"field": place}) if field else error
