"""Between training jobs and their wire form."""

import numpy as np

from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.inference.domain.training import (
    DEFAULT_EPOCHS,
    DEFAULT_LEARNING_RATE,
    TrainingJob,
    TrainingState,
    TrainingWish,
)

_STATES = {
    TrainingState.QUEUED: pb.TRAINING_STATE_QUEUED,
    TrainingState.RUNNING: pb.TRAINING_STATE_RUNNING,
    TrainingState.SUCCEEDED: pb.TRAINING_STATE_SUCCEEDED,
    TrainingState.FAILED: pb.TRAINING_STATE_FAILED,
    TrainingState.CANCELED: pb.TRAINING_STATE_CANCELED,
}


def job_message(job: TrainingJob) -> pb.TrainingJob:
    """The wire form of a job."""
    return pb.TrainingJob(
        id=job.id,
        model=job.model,
        state=_STATES[job.state],
        epoch=len(job.loss),
        epochs=job.plan.epochs,
        loss=job.loss,
        accuracy=job.accuracy,
        version=job.version,
        error=job.error,
        rows=job.rows,
        created_time_ns=job.created_ns,
        started_time_ns=job.started_ns,
        ended_time_ns=job.ended_ns,
        metrics=job.metrics,
    )


def wish_of(request: pb.TrainModelRequest) -> TrainingWish:
    """What a request asks for; nothing is judged here."""
    return TrainingWish(
        model=request.model,
        features_f64le=request.features_f64le,
        labels=np.array(request.labels, np.float64),
        epochs=request.epochs if request.HasField("epochs") else DEFAULT_EPOCHS,
        learning_rate=request.learning_rate if request.HasField("learning_rate") else DEFAULT_LEARNING_RATE,
        seed=request.seed,
        architecture=request.architecture,
    )
