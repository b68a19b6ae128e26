"""Shapes of training: how far jobs are."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.gateway.schemas.scalars import Nanoseconds

_STATES: dict[pb.TrainingState.ValueType, "State"] = {
    pb.TRAINING_STATE_QUEUED: "queued",
    pb.TRAINING_STATE_RUNNING: "running",
    pb.TRAINING_STATE_SUCCEEDED: "succeeded",
    pb.TRAINING_STATE_FAILED: "failed",
    pb.TRAINING_STATE_CANCELED: "canceled",
}
State = Literal["queued", "running", "succeeded", "failed", "canceled"]
STATES: dict[str, pb.TrainingState.ValueType] = {name: number for number, name in _STATES.items()}


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
    rows: Annotated[int, Field(description="Rows it learns from.")]
    created_time_ns: Nanoseconds
    started_time_ns: Annotated[Nanoseconds | None, Field(description="null while it waits.")]
    ended_time_ns: Annotated[Nanoseconds | None, Field(description="null before its end.")]


class TrainingJobPage(TypedDict):
    """Training jobs, newest first; of each the newest loss alone."""

    training_jobs: list[TrainingJob]
    next_cursor: str | None


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
        "rows": job.rows,
        "created_time_ns": str(job.created_time_ns),
        "started_time_ns": str(job.started_time_ns) if job.started_time_ns else None,
        "ended_time_ns": str(job.ended_time_ns) if job.ended_time_ns else None,
    }
