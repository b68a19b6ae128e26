"""Training sets on their way to inference, in pieces: a body may be larger than a message."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc

from fleet import deadline, rpc_errors
from neuraltrader.inference.v1 import training_service_pb2 as rpc
from neuraltrader.inference.v1.training_service_pb2_grpc import TrainingServiceStub

PIECE_BYTES = 512 * 1024
Metadata = Callable[[], tuple[tuple[str, str], ...]]


class TrainingSets:
    """Streams of the training service; refusals raise the named error."""

    def __init__(self, stub: TrainingServiceStub, metadata: Metadata, timeout_s: float) -> None:
        self._stub, self._metadata, self._timeout_s = stub, metadata, timeout_s

    async def train(self, job: rpc.TrainModelRequest, features_f64le: bytes, labels_f64le: bytes) -> str:
        """Hand a set on; gives the id of its job."""
        call = self._stub.UploadTrainingSet(metadata=self._metadata(), timeout=deadline.remaining(self._timeout_s))
        try:
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # refused already: the answer says why
                for piece in _pieces(job, features_f64le, labels_f64le):
                    await call.write(piece)
                await call.done_writing()
            return (await call).job_id
        except grpc.aio.AioRpcError as error:
            raise rpc_errors.from_rpc_error(error) from error
        finally:
            call.cancel()


def _pieces(job: rpc.TrainModelRequest, features: bytes, labels: bytes) -> Iterator[rpc.UploadTrainingSetRequest]:
    yield rpc.UploadTrainingSetRequest(job=job)
    for start in range(0, len(features), PIECE_BYTES):
        yield rpc.UploadTrainingSetRequest(features_f64le=features[start : start + PIECE_BYTES])
    for start in range(0, len(labels), PIECE_BYTES):
        yield rpc.UploadTrainingSetRequest(labels_f64le=labels[start : start + PIECE_BYTES])
