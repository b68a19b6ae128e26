"""Training sets on their way to inference, in pieces: a body may be larger than a message."""

from collections.abc import AsyncIterator

from fleet import deadline
from neuraltrader.inference.v1 import training_service_pb2 as rpc
from neuraltrader.inference.v1.training_service_pb2_grpc import TrainingServiceStub
from services.gateway.streams import PIECE_BYTES, Metadata, hand_on


class TrainingSets:
    """Streams of the training service; refusals raise the named error."""

    def __init__(self, stub: TrainingServiceStub, metadata: Metadata, timeout_s: float) -> None:
        self._stub, self._metadata, self._timeout_s = stub, metadata, timeout_s

    async def train(self, job: rpc.TrainModelRequest, features_f64le: bytes, labels_f64le: bytes) -> str:
        """Hand a set on; gives the id of its job."""
        call = self._stub.UploadTrainingSet(metadata=self._metadata(), timeout=deadline.remaining(self._timeout_s))
        answer: rpc.UploadTrainingSetResponse = await hand_on(call, _pieces(job, features_f64le, labels_f64le))
        return answer.job_id


async def _pieces(
    job: rpc.TrainModelRequest, features: bytes, labels: bytes
) -> AsyncIterator[rpc.UploadTrainingSetRequest]:
    yield rpc.UploadTrainingSetRequest(job=job)
    for start in range(0, len(features), PIECE_BYTES):
        yield rpc.UploadTrainingSetRequest(features_f64le=features[start : start + PIECE_BYTES])
    for start in range(0, len(labels), PIECE_BYTES):
        yield rpc.UploadTrainingSetRequest(labels_f64le=labels[start : start + PIECE_BYTES])
