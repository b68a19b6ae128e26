"""Between training jobs and their wire form."""

from collections.abc import AsyncIterator, Sequence

import numpy as np

from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.inference.domain.training import (
    DEFAULT_EPOCHS,
    DEFAULT_LEARNING_RATE,
    TrainingJob,
    TrainingPiece,
    TrainingState,
    TrainingWish,
)
from services.inference.domain.training_page import JobPage, JobQuestion
from trading.errors import InvalidArgument

_STATES = {
    TrainingState.QUEUED: pb.TRAINING_STATE_QUEUED,
    TrainingState.RUNNING: pb.TRAINING_STATE_RUNNING,
    TrainingState.SUCCEEDED: pb.TRAINING_STATE_SUCCEEDED,
    TrainingState.FAILED: pb.TRAINING_STATE_FAILED,
    TrainingState.CANCELED: pb.TRAINING_STATE_CANCELED,
}


_STATE_OF = {wire: state for state, wire in _STATES.items()}


def job_message(job: TrainingJob, losses: Sequence[float] | None = None) -> pb.TrainingJob:
    """The wire form of a job; `losses` in place of all of them."""
    return pb.TrainingJob(
        id=job.id,
        model=job.model,
        state=_STATES[job.state],
        epoch=len(job.loss),
        epochs=job.plan.epochs,
        loss=job.loss if losses is None else losses,
        accuracy=job.accuracy,
        version=job.version,
        error=job.error,
        rows=job.rows,
        created_time_ns=job.created_ns,
        started_time_ns=job.started_ns,
        ended_time_ns=job.ended_ns,
        metrics=job.metrics,
    )


def question_of(request: pb.ListTrainingJobsRequest) -> JobQuestion:
    """Which jobs are asked for; raises InvalidArgument for a state that there is not."""
    unknown = [state for state in request.states if state not in _STATE_OF]
    if unknown:
        raise InvalidArgument(f"Expected states of training jobs, was {unknown[0]}.", field="states")
    states = frozenset(_STATE_OF[state] for state in request.states)
    return JobQuestion(request.model, states, request.limit, request.cursor)


def page_message(page: JobPage) -> pb.ListTrainingJobsResponse:
    """The wire form of a page: of each job the newest loss alone, as all of them might not fit into a message."""
    jobs = [job_message(job, job.loss[-1:]) for job in page.jobs]
    return pb.ListTrainingJobsResponse(jobs=jobs, next_cursor=page.next_cursor)


async def pieces_of(requests: AsyncIterator[pb.UploadTrainingSetRequest]) -> AsyncIterator[TrainingPiece]:
    """The pieces of a training set as they come."""
    async for each in requests:
        wish = wish_of(each.job) if each.HasField("job") else None
        yield TrainingPiece(wish, each.features_f64le, each.labels_f64le)


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
