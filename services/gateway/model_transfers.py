"""Model files to and from inference: pieces of a body become pieces of a stream, and the other way round."""

from collections.abc import AsyncIterator

import grpc

from fleet import deadline, rpc_errors
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import registry_service_pb2 as rpc
from neuraltrader.inference.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.gateway.streams import PIECE_BYTES, Metadata, hand_on


class ModelTransfers:
    """Streams of the registry; refusals raise the named error."""

    def __init__(self, stub: RegistryServiceStub, metadata: Metadata, timeout_s: float) -> None:
        self._stub, self._metadata, self._timeout_s = stub, metadata, timeout_s

    async def upload(self, name: str, body: AsyncIterator[bytes]) -> inference_pb2.Model:
        """Hand a file on as it comes; what is wrong with the body ends the call and is raised."""
        call = self._stub.UploadModel(metadata=self._metadata(), timeout=self._time())
        answer: rpc.UploadModelResponse = await hand_on(call, _pieces(name, body))
        return answer.model

    async def export(self, name: str, version: str) -> AsyncIterator[bytes]:
        """A version as a tar file; a wrong question raises before the first byte."""
        request = rpc.ExportModelRequest(name=name, version=version)
        call = self._stub.ExportModel(request, metadata=self._metadata(), timeout=self._time())
        pieces = aiter(call)
        try:
            first = await anext(pieces)
        except grpc.aio.AioRpcError as error:
            raise rpc_errors.from_rpc_error(error) from error
        return _contents(first, pieces)

    def _time(self) -> float:
        return deadline.remaining(self._timeout_s)


async def _contents(
    first: rpc.ExportModelResponse, rest: AsyncIterator[rpc.ExportModelResponse]
) -> AsyncIterator[bytes]:
    yield first.piece
    async for each in rest:
        yield each.piece


async def _pieces(name: str, body: AsyncIterator[bytes]) -> AsyncIterator[rpc.UploadModelRequest]:
    """The first piece names the model, whatever follows."""
    yield rpc.UploadModelRequest(name=name)
    async for chunk in body:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield rpc.UploadModelRequest(piece=chunk[start : start + PIECE_BYTES])
