"""The Open Inference Protocol's face of inference: translate, call, translate."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from inference import grpc_service_pb2 as pb
from inference import grpc_service_pb2_grpc as stubs
from services.inference.translate import open_inference as wire
from services.inference.usecases.infer import Infer
from services.inference.usecases.repository import Repository
from trading.errors import TradingError

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
SERVER_NAME = "neural-trader"
EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "statistics",
)
Context = grpc.aio.ServicerContext[Any, Any]


class OpenInferenceRpc(stubs.GRPCInferenceServiceServicer):
    """Answers the calls of `inference.GRPCInferenceService`."""

    def __init__(self, infer: Infer, repository: Repository, version: str, rows_max: int) -> None:
        self._infer = infer
        self._repository = repository
        self._version = version
        self._rows_max = rows_max

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        stubs.add_GRPCInferenceServiceServicer_to_server(self, server)

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=await self._repository.is_ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=await self._repository.is_loaded(request.name, request.version))

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Context) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=SERVER_NAME, version=self._version, extensions=EXTENSIONS)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        async with self._repository.model(request.name, request.version) as model:
            return wire.metadata_message(model, self._repository.versions(model.card.name))

    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:
        async with self._repository.model(request.name, request.version) as model:
            return wire.config_message(model, self._rows_max)

    async def ModelStatistics(self, request: pb.ModelStatisticsRequest, context: Context) -> pb.ModelStatisticsResponse:
        return wire.statistics_message(await self._repository.counts(request.name, request.version))

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        return wire.infer_message(request, await self._infer(wire.question_of(request)))

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        async for request in request_iterator:
            answer = await self._infer.tried(partial(wire.question_of, request))
            if isinstance(answer, TradingError):
                yield wire.stream_refusal(request, answer.message)
            else:
                yield wire.stream_message(request, answer)

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        return wire.index_message(await self._repository.index(only_ready=request.ready))

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        wire.refuse_files(request)
        await self._repository.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        await self._repository.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()
