"""The registry of a running service: files come, hostile ones are refused by name while it keeps answering."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import psutil
import pytest
import pytest_asyncio
from builders.hostile_onnx import HOSTILE_ONNX, a_sound_model, hostile_bytes
from builders.hostile_safetensors import HOSTILE_SAFETENSORS, NO_FILES
from builders.registry import saying
from integration.inference.test_service import TOKEN, Inference, a_row, market_data, running
from servers import nats_server

from fleet import channels, rpc_errors
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from neuraltrader.inference.v1 import registry_service_pb2 as pb
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.inference.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.inference.adapters.safetensors_file import write_model
from trading.errors import FailedPrecondition, InvalidArgument, TradingError, Unavailable, UnknownModel

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["market_data"]
SMALL = {
    "NT_MODEL_TRIAL_S": "3",
    "NT_MODEL_TRIAL_MEMORY_MB": "512",
    "NT_MODEL_FILE_MB_MAX": "1",
    "NT_MODEL_TENSOR_MB_MAX": "1",
    "NT_MODEL_HEADER_KB_MAX": "100",
    "NT_MODEL_TENSORS_MAX": "50",
}
PATIENCE_S = 60.0
_MB = 1024 * 1024


class Desk:
    """A caller of a running service, and that service."""

    def __init__(self, channel: grpc.aio.Channel, service: Inference, directory: Path) -> None:
        self.registry, self.inference = RegistryServiceStub(channel), InferenceServiceStub(channel)
        self.process = psutil.Process(service.child.pid)
        self.directory = directory

    async def upload(self, name: str, content: bytes, form: str = "") -> inference_pb2.Model:
        """Send a file in pieces; raises the named error."""

        async def pieces() -> AsyncIterator[pb.UploadModelRequest]:
            yield pb.UploadModelRequest(name=name, format=form)
            for start in range(0, len(content), 100_000):
                yield pb.UploadModelRequest(piece=content[start : start + 100_000])

        metadata = channels.call_metadata(TOKEN)
        try:
            return (await self.registry.UploadModel(pieces(), metadata=metadata, timeout=PATIENCE_S)).model
        except grpc.aio.AioRpcError as error:
            raise rpc_errors.from_rpc_error(error) from error

    async def predict(self, model: str = "", version: str = "") -> rpc.PredictResponse:
        """What a model says of a cold symbol: the whole way, and no guess."""
        request = rpc.PredictRequest(model=model, version=version, market_data=[a_row("COLD")])
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.inference.Predict(request)
                except Unavailable:  # the instruments are not known yet
                    await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, market_data: str) -> Iterator[tuple[Inference, Path]]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("registry")
    with nats_server(folder) as url, running(url, market_data, folder, **SMALL) as started:
        yield started, folder


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(service: tuple[Inference, Path]) -> AsyncIterator[Desk]:
    """One caller of it."""
    started, folder = service
    async with channels.connect(
        f"127.0.0.1:{started.grpc_port}", token=TOKEN, client="test", default_timeout_s=PATIENCE_S
    ) as channel:
        yield Desk(channel, started, folder / "models")


@pytest.fixture
def _answers(desk: Desk) -> None:
    """Nothing more than that the service is there."""


def a_file(tmp_path: Path, says: float = 0.5, **options: Any) -> bytes:
    write_model(tmp_path / "m", *saying(says, **options))
    return (tmp_path / "m").read_bytes()


async def test_a_file_becomes_a_version_that_answers_by_itself_only_when_it_is_the_first(
    desk: Desk, tmp_path: Path
) -> None:
    first = await desk.upload("mine", a_file(tmp_path, 0.5))
    assert (first.version, first.active_version, first.state) == ("1", "1", inference_pb2.MODEL_STATE_LOADED)
    second = await desk.upload("mine", a_file(tmp_path, 1.5, kind="gru"), "safetensors")
    assert (second.version, second.active_version, second.architecture) == ("2", "1", "gru")
    assert (second.sequence_length, second.trainable, list(second.versions)) == (12, True, ["2", "1"])
    assert (await desk.predict("mine")).version == "1"
    assert (await desk.predict("mine", "2")).version == "2"
    again = await desk.upload("mine", a_file(tmp_path, 0.5))
    assert again.version == "1", "the same file is the same version"


async def test_an_onnx_file_tells_of_its_features_in_its_metadata(desk: Desk) -> None:
    model = await desk.upload("from-onnx", a_sound_model().SerializeToString(), "onnx")
    assert (model.architecture, len(model.features), model.trainable) == ("onnx", 18, False)
    assert (await desk.predict("from-onnx")).model == "from-onnx"


async def test_versions_are_promoted_rolled_back_tried_and_removed(desk: Desk, tmp_path: Path) -> None:
    for says in (0.1, 0.2, 0.3):
        await desk.upload("served", a_file(tmp_path, says))
    registry = desk.registry
    promoted = (await registry.PromoteModel(pb.PromoteModelRequest(name="served", version="3"))).model
    assert (promoted.active_version, promoted.previous_version) == ("3", "1")
    assert (await desk.predict("served")).version == "3"
    back = (await registry.RollbackModel(pb.RollbackModelRequest(name="served"))).model
    assert (back.version, back.previous_version) == ("1", "")
    canary = (await registry.SetCanary(pb.SetCanaryRequest(name="served", version="2", weight=1.0))).model
    assert (canary.canary_version, canary.canary_weight) == ("2", 1.0)
    assert (await desk.predict("served")).version == "2"
    await registry.SetCanary(pb.SetCanaryRequest(name="served"))
    with pytest.raises(FailedPrecondition):
        await registry.DeleteModel(pb.DeleteModelRequest(name="served", version="1"))
    await registry.DeleteModel(pb.DeleteModelRequest(name="served", version="3"))
    listed = (await registry.ListVersions(pb.ListVersionsRequest(name="served"))).versions
    assert [each.version for each in listed] == ["2", "1"]
    unloaded = (await registry.UnloadModel(pb.UnloadModelRequest(name="served"))).model
    assert unloaded.state == inference_pb2.MODEL_STATE_UNLOADED
    assert (await desk.predict("served")).version == "1", "the next request brings it back"
    await registry.DeleteModel(pb.DeleteModelRequest(name="served"))
    with pytest.raises(UnknownModel):
        await desk.predict("served")


async def test_a_gpu_that_was_asked_for_and_is_not_there_is_told(desk: Desk, tmp_path: Path) -> None:
    await desk.upload("wishful", a_file(tmp_path, 0.5))
    model = (
        await desk.registry.LoadModel(pb.LoadModelRequest(name="./models/wishful.safetensors", use_gpu=True))
    ).model
    if model.device == "cpu":
        assert model.device_note
    else:
        assert (model.device, model.device_note) == ("cuda", "")


async def test_an_export_is_a_repository_that_runs_elsewhere(desk: Desk, tmp_path: Path) -> None:
    await desk.upload("exported", a_file(tmp_path, 0.75, kind="tcn"))
    call = desk.registry.ExportModel(pb.ExportModelRequest(name="exported"), metadata=channels.call_metadata(TOKEN))
    content = b"".join([answer.piece async for answer in call])
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(tmp_path / "repository", filter="data")
    place = tmp_path / "repository" / "exported"
    assert 'backend: "onnxruntime"' in (place / "config.pbtxt").read_text()
    session = ort.InferenceSession(str(place / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"features": np.zeros((2, 12, 18), np.float32)})[0].tolist() == [[0.75], [0.75]]


async def test_a_directory_that_a_person_spoilt_is_refused_and_said_so(desk: Desk, tmp_path: Path) -> None:
    await desk.upload("spoilt", a_file(tmp_path, 0.5))
    await desk.registry.UnloadModel(pb.UnloadModelRequest(name="spoilt"))
    file = desk.directory / "spoilt" / "1" / "model.safetensors"
    file.chmod(0o644)
    file.write_bytes(a_file(tmp_path, 0.6))
    with pytest.raises(FailedPrecondition) as refused:
        await desk.predict("spoilt")
    assert refused.value.reason == "MODEL_HASH_MISMATCH"
    listed = (await desk.inference.ListModels(rpc.ListModelsRequest())).models
    (spoilt,) = [each for each in listed if each.name == "spoilt"]
    assert (spoilt.state, spoilt.refusal[:19]) == (inference_pb2.MODEL_STATE_REFUSED, "MODEL_HASH_MISMATCH")


@pytest.mark.parametrize(
    ("name", "form", "reason"),
    [
        ("UPPER", "", "MODEL_PATH"),
        ("../x", "", "MODEL_PATH"),
        ("", "", "MODEL_PATH"),
        ("mine", "pickle", "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_no_upload_is_refused(desk: Desk, name: str, form: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.upload(name, b"x", form)
    assert refused.value.reason == reason


class Callers:
    """Somebody who goes on asking, and notes what went wrong."""

    def __init__(self, desk: Desk) -> None:
        self.answered = 0
        self._asking = asyncio.create_task(self._ask(desk))

    async def _ask(self, desk: Desk) -> None:
        while True:
            answer = await desk.predict()
            assert (answer.model, list(answer.warm)) == ("momentum-v1", [False])
            self.answered += 1
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        assert not self._asking.done(), self._asking.exception()
        self._asking.cancel()


async def _refused(desk: Desk, content: bytes, reason: str, form: str) -> None:
    """A hostile file is refused by name, in time and memory, while the service goes on answering."""
    callers, before = Callers(desk), desk.process.memory_info().rss
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(TradingError) as refused:
            await desk.upload("hostile", content, form)
    assert refused.value.reason == reason, refused.value.message
    assert isinstance(refused.value, InvalidArgument)
    await desk.predict()
    await callers.end()
    assert callers.answered > 0
    assert desk.process.memory_info().rss - before < 64 * _MB
    assert not (desk.directory / "hostile").exists()
    assert list((desk.directory / ".incoming").iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE_ONNX)
async def test_a_hostile_onnx_file_is_refused_by_name(desk: Desk, name: str) -> None:
    await _refused(desk, hostile_bytes(name), HOSTILE_ONNX[name][1].value, "onnx")


@pytest.mark.parametrize("name", [name for name in HOSTILE_SAFETENSORS if name not in NO_FILES])
async def test_a_hostile_safetensors_file_is_refused_by_name(desk: Desk, name: str, tmp_path: Path) -> None:
    write, why = HOSTILE_SAFETENSORS[name]
    write(tmp_path / "m")
    await _refused(desk, (tmp_path / "m").read_bytes(), why.value, "safetensors")
