"""A training service whose jobs a test sets."""

from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.inference.v1 import training_service_pb2 as pb
from neuraltrader.inference.v1 import training_service_pb2_grpc as training_grpc
from trading.errors import FailedPrecondition, NotFound, UnknownModel

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeTraining(training_grpc.TrainingServiceServicer):
    """One running job, of a model that can be trained beside one that cannot."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.job = pb.TrainingJob(
            id="job-1", model="momentum-v1", state=pb.TRAINING_STATE_RUNNING, epoch=2, epochs=10, loss=[0.7, 0.6]
        )

    async def TrainModel(self, request: pb.TrainModelRequest, context: Context) -> pb.TrainModelResponse:
        self.script.hear(request)
        if request.model == "from-onnx":
            raise FailedPrecondition("It can be served, not trained.", reason="MODEL_NOT_TRAINABLE")
        if request.model != self.job.model:
            raise UnknownModel(f"No model is called {request.model!r}.", model=request.model)
        return pb.TrainModelResponse(job_id=self.job.id)

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
