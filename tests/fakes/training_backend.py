"""A training service whose jobs a test sets."""

from collections.abc import AsyncIterator

from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.inference.v1 import training_service_pb2 as pb
from neuraltrader.inference.v1 import training_service_pb2_grpc as training_grpc
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, UnknownModel

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeTraining(training_grpc.TrainingServiceServicer):
    """One running job, of a model that can be trained beside one that cannot."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.job = pb.TrainingJob(
            id="job-1", model="momentum-v1", state=pb.TRAINING_STATE_RUNNING, epoch=2, epochs=10, loss=[0.7, 0.6]
        )
        self.job.rows, self.job.created_time_ns, self.job.started_time_ns = 400, 5, 7

    async def UploadTrainingSet(
        self, request_iterator: AsyncIterator[pb.UploadTrainingSetRequest], context: Context
    ) -> pb.UploadTrainingSetResponse:
        pieces = [piece async for piece in request_iterator]
        features, labels = (
            b"".join(getattr(each, f"{name}_f64le") for each in pieces) for name in ("features", "labels")
        )
        self.script.hear(pb.UploadTrainingSetRequest(job=pieces[0].job, features_f64le=features, labels_f64le=labels))
        return pb.UploadTrainingSetResponse(job_id=self._queued(pieces[0].job))

    def _queued(self, request: pb.TrainModelRequest) -> str:
        if request.learning_rate > 1:
            raise InvalidArgument("Too fast.", reason="LEARNING_RATE_OUT_OF_RANGE", field="learning_rate")
        if request.model == "from-onnx":
            raise FailedPrecondition("It can be served, not trained.", reason="MODEL_NOT_TRAINABLE")
        if request.model != self.job.model:
            raise UnknownModel(f"No model is called {request.model!r}.", model=request.model)
        return self.job.id

    async def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: Context
    ) -> pb.ListTrainingJobsResponse:
        self.script.hear(request)
        if request.model not in ("", self.job.model):
            raise UnknownModel(f"No model is called {request.model!r}.", model=request.model)
        return pb.ListTrainingJobsResponse(jobs=[self.job], next_cursor="" if request.cursor else "7.job-1")

    async def GetTrainingJob(self, request: pb.GetTrainingJobRequest, context: Context) -> pb.GetTrainingJobResponse:
        self.script.hear(request)
        self._known(request.job_id)
        return pb.GetTrainingJobResponse(job=self.job)

    async def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: Context
    ) -> pb.CancelTrainingJobResponse:
        self.script.hear(request)
        self._known(request.job_id)
        if self.job.state != pb.TRAINING_STATE_RUNNING:
            raise FailedPrecondition("It has ended.", reason="TRAINING_JOB_ENDED")
        self.job.state = pb.TRAINING_STATE_CANCELED
        return pb.CancelTrainingJobResponse(job=self.job)

    def _known(self, job_id: str) -> None:
        if job_id != self.job.id:
            raise NotFound(f"There is no training job {job_id!r}.", reason="UNKNOWN_TRAINING_JOB")
