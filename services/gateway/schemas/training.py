"""Shapes of training: rows to learn from, and how far a job is."""

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from fleet.rpc import MAX_MESSAGE_BYTES
from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.gateway.schemas.scalars import Finite, Request
from trading.errors import InvalidArgument

MOST_EPOCHS = 10_000
_ROOM_FOR_THE_REST = 64 * 1024
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_ROWS: dict[str, Any] = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "minItems": 1}
_STATES: dict[int, "State"] = {
    pb.TRAINING_STATE_QUEUED: "queued",
    pb.TRAINING_STATE_RUNNING: "running",
    pb.TRAINING_STATE_SUCCEEDED: "succeeded",
    pb.TRAINING_STATE_FAILED: "failed",
    pb.TRAINING_STATE_CANCELED: "canceled",
}
State = Literal["queued", "running", "succeeded", "failed", "canceled"]


class TrainRequest(Request):
    """Rows in the order of time, oldest first, and a label for each; read into columns, not number by number."""

    features: Annotated[list[Any], Field(min_length=1), WithJsonSchema(_ROWS)]
    labels: Annotated[list[Any], Field(min_length=1), WithJsonSchema(_NUMBERS)]
    epochs: int = Field(10, ge=1, le=MOST_EPOCHS)
    learning_rate: Finite = Field(0.001, gt=0)

    def message(self, model: str) -> pb.TrainModelRequest:
        """The fleet's message; raises InvalidArgument with a reason for what is no table of numbers."""
        rows = _table(self.features)
        labels = _column(self.labels)
        if len(rows) != len(labels):
            raise InvalidArgument(
                f"Expected one label for each of {len(rows)} rows, was {len(labels)}.",
                reason="LABELS_LENGTH",
                field="labels",
            )
        if rows.nbytes + labels.nbytes > MAX_MESSAGE_BYTES - _ROOM_FOR_THE_REST:
            raise InvalidArgument(
                f"Expected at most {MAX_MESSAGE_BYTES} bytes of rows and labels, was {rows.nbytes + labels.nbytes}.",
                reason="TRAINING_SET_TOO_LARGE",
                field="features",
            )
        return pb.TrainModelRequest(
            model=model,
            features_f64le=rows.tobytes(),
            labels=labels.tolist(),
            epochs=self.epochs,
            learning_rate=self.learning_rate,
        )


class TrainingJobCreated(TypedDict):
    """A queued job."""

    job_id: str


class TrainingJob(TypedDict):
    """How far a job is; `loss` is the mean log loss of each epoch, `accuracy` the share of right signs held out."""

    id: str
    state: State
    epoch: int
    loss: list[float]
    accuracy: float | None
    epochs: int
    model: str
    version: str | None
    error: str | None
    metrics: dict[str, float]


def training_job_view(job: pb.TrainingJob) -> TrainingJob:
    """A job as JSON."""
    return {
        "id": job.id,
        "state": _STATES[job.state],
        "epoch": job.epoch,
        "loss": list(job.loss),
        "accuracy": job.accuracy if job.HasField("accuracy") else None,
        "epochs": job.epochs,
        "model": job.model,
        "version": job.version or None,
        "error": job.error or None,
        "metrics": dict(job.metrics),
    }


def _table(rows: list[Any]) -> npt.NDArray[np.float64]:
    lengths = [len(row) if isinstance(row, list) else -1 for row in rows]
    odd = next((place for place, length in enumerate(lengths) if length != lengths[0] or length <= 0), None)
    if odd is not None:
        expected = f"{lengths[0]} numbers as in features[0]" if lengths[0] > 0 else "a row of numbers"
        raise InvalidArgument(
            f"Expected {expected} in features[{odd}].", reason="FEATURES_NOT_RECTANGULAR", field=f"features[{odd}]"
        )
    return _numbers(rows, "features")


def _column(labels: list[Any]) -> npt.NDArray[np.float64]:
    found = _numbers(labels, "labels")
    if found.ndim != 1:
        raise InvalidArgument("Expected labels that are numbers.", reason="NOT_NUMBERS", field="labels")
    return found


def _numbers(values: list[Any], field: str) -> npt.NDArray[np.float64]:
    try:
        found = np.array(values)
    except ValueError as error:
        raise InvalidArgument(f"Expected {field} that are numbers.", reason="NOT_NUMBERS", field=field) from error
    if found.dtype.kind not in "fiu":
        raise InvalidArgument(f"Expected {field} that are numbers.", reason="NOT_NUMBERS", field=field)
    return found.astype("<f8")
