"""A registry service with one model of two versions, whose refusals a test sets."""

from collections.abc import AsyncIterator

from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import registry_service_pb2 as pb
from neuraltrader.inference.v1 import registry_service_pb2_grpc as registry_grpc
from trading.errors import FailedPrecondition, InvalidArgument, UnknownModel

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeRegistry(registry_grpc.RegistryServiceServicer):
    """Knows momentum-v1 in the versions 2 and 1, of which 1 is in use."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.active, self.previous, self.uploaded = "1", "", b""

    def _model(self, name: str, version: str = "") -> inference_pb2.Model:
        if name != "momentum-v1" or version not in ("", "1", "2"):
            raise UnknownModel(f"No model is called {name!r} {version!r}.", model=name)
        return inference_pb2.Model(
            name=name,
            version=version or self.active,
            versions=["2", "1"],
            state=inference_pb2.MODEL_STATE_LOADED,
            active_version=self.active,
            previous_version=self.previous,
        )

    async def ListVersions(self, request: pb.ListVersionsRequest, context: Context) -> pb.ListVersionsResponse:
        self.script.hear(request)
        refused = self._model(request.name, "2")
        refused.state, refused.refusal = inference_pb2.MODEL_STATE_REFUSED, "MODEL_DTYPE: Expected F32."
        return pb.ListVersionsResponse(versions=[refused, self._model(request.name, "1")])

    async def UploadModel(
        self, request_iterator: AsyncIterator[pb.UploadModelRequest], context: Context
    ) -> pb.UploadModelResponse:
        name, self.uploaded = "", b""
        async for each in request_iterator:
            name = name or each.name
            self.uploaded += each.piece
        if self.uploaded.startswith(b"hostile"):  # once it is read: a sender hears no answer while it sends
            raise InvalidArgument("There is a NaN.", reason="MODEL_NOT_FINITE", tensor="layers.0.weight")
        self.script.hear(pb.UploadModelRequest(name=name))
        return pb.UploadModelResponse(model=inference_pb2.Model(name=name, version="1", active_version="1"))

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> pb.LoadModelResponse:
        self.script.hear(request)
        if request.precision == "int8":
            raise FailedPrecondition("2 % of the signs differ.", reason="MODEL_PRECISION", flips=0.02)
        return pb.LoadModelResponse(model=self._model(request.name, request.version))

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> pb.UnloadModelResponse:
        self.script.hear(request)
        model = self._model(request.name)
        model.state = inference_pb2.MODEL_STATE_UNLOADED
        return pb.UnloadModelResponse(model=model)

    async def PromoteModel(self, request: pb.PromoteModelRequest, context: Context) -> pb.PromoteModelResponse:
        self.script.hear(request)
        self._model(request.name, request.version)
        self.previous, self.active = self.active, request.version
        return pb.PromoteModelResponse(model=self._model(request.name))

    async def RollbackModel(self, request: pb.RollbackModelRequest, context: Context) -> pb.RollbackModelResponse:
        self.script.hear(request)
        self._model(request.name)
        if not self.previous:
            raise FailedPrecondition("There is no version to return to.", reason="NO_PREVIOUS_VERSION")
        self.active, self.previous = self.previous, ""
        return pb.RollbackModelResponse(model=self._model(request.name))

    async def SetCanary(self, request: pb.SetCanaryRequest, context: Context) -> pb.SetCanaryResponse:
        self.script.hear(request)
        model = self._model(request.name)
        model.canary_version, model.canary_weight = request.version, request.weight
        return pb.SetCanaryResponse(model=model)

    async def SetShadow(self, request: pb.SetShadowRequest, context: Context) -> pb.SetShadowResponse:
        self.script.hear(request)
        model = self._model(request.name)
        model.shadow_version = request.version
        model.shadow_samples, model.shadow_flips, model.shadow_mean_shift = 200, 0.015, 0.0025
        return pb.SetShadowResponse(model=model)

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> pb.DeleteModelResponse:
        self.script.hear(request)
        self._model(request.name, request.version)
        if request.version in ("", self.active):
            raise FailedPrecondition("It is in use.", reason="MODEL_IN_USE")
        return pb.DeleteModelResponse()

    async def ExportModel(
        self, request: pb.ExportModelRequest, context: Context
    ) -> AsyncIterator[pb.ExportModelResponse]:
        self.script.hear(request)
        self._model(request.name, request.version)
        for piece in (b"a tar ", b"file"):
            yield pb.ExportModelResponse(piece=piece)
