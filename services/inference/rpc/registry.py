"""The gRPC face of the registry: translate, call, translate."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from neuraltrader.inference.v1 import registry_service_pb2 as pb
from neuraltrader.inference.v1 import registry_service_pb2_grpc as stubs
from services.inference.ports import LoadedModel
from services.inference.translate.models import options_of, status_message
from services.inference.usecases.receive_model import ReceiveModel
from services.inference.usecases.serve_models import ServeModels

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]
Export = Callable[[LoadedModel], AsyncIterator[bytes]]
"""Writes a version as a tar file in Triton's layout, in pieces."""


class RegistryRpc(stubs.RegistryServiceServicer):
    """Answers the calls of `RegistryService`."""

    def __init__(self, models: ServeModels, receive: ReceiveModel, export: Export) -> None:
        self._models = models
        self._receive = receive
        self._export = export

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer to a server."""
        stubs.add_RegistryServiceServicer_to_server(self, server)

    async def ListVersions(self, request: pb.ListVersionsRequest, context: Context) -> pb.ListVersionsResponse:
        versions = await self._models.all_versions(request.name)
        return pb.ListVersionsResponse(versions=[status_message(each) for each in versions])

    async def UploadModel(
        self, request_iterator: AsyncIterator[pb.UploadModelRequest], context: Context
    ) -> pb.UploadModelResponse:
        return pb.UploadModelResponse(model=status_message(await self._receive(request_iterator)))

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> pb.LoadModelResponse:
        status = await self._models.load(request.name, request.version, options_of(request))
        return pb.LoadModelResponse(model=status_message(status))

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> pb.UnloadModelResponse:
        return pb.UnloadModelResponse(model=status_message(await self._models.unload(request.name)))

    async def PromoteModel(self, request: pb.PromoteModelRequest, context: Context) -> pb.PromoteModelResponse:
        return pb.PromoteModelResponse(model=status_message(await self._models.promote(request.name, request.version)))

    async def RollbackModel(self, request: pb.RollbackModelRequest, context: Context) -> pb.RollbackModelResponse:
        return pb.RollbackModelResponse(model=status_message(await self._models.roll_back(request.name)))

    async def SetCanary(self, request: pb.SetCanaryRequest, context: Context) -> pb.SetCanaryResponse:
        status = await self._models.set_canary(request.name, request.version, request.weight)
        return pb.SetCanaryResponse(model=status_message(status))

    async def SetShadow(self, request: pb.SetShadowRequest, context: Context) -> pb.SetShadowResponse:
        return pb.SetShadowResponse(model=status_message(await self._models.set_shadow(request.name, request.version)))

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> pb.DeleteModelResponse:
        await self._models.delete(request.name, request.version)
        return pb.DeleteModelResponse()

    async def ExportModel(
        self, request: pb.ExportModelRequest, context: Context
    ) -> AsyncIterator[pb.ExportModelResponse]:
        async with self._models.hold_exactly(request.name, request.version) as model:
            async for piece in self._export(model):
                yield pb.ExportModelResponse(piece=piece)
