"""Versions that another inference service runs: a real one, which falls silent, comes back, or never was right."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import structlog
from builders.inference import a_model_directory, a_network
from builders.inference_process import TOKEN, running_inference
from servers import free_port, nats_server

from fleet import channels
from fleet.metrics import Metrics
from inference import grpc_service_pb2 as pb
from inference import grpc_service_pb2_grpc as stubs
from services.inference.adapters.delegating_loader import DelegatingLoader
from services.inference.adapters.oip_model import DelegationRules
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.probe import TrialRules
from services.inference.adapters.registry_export import RegistryExport
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.registry_loader import RegistryLoader
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.domain.errors import ModelRefused
from services.inference.domain.features import FEATURES
from services.inference.domain.model import opinions
from services.inference.starter.graph import onnx_bytes
from services.inference.usecases.serve_models import ServeModels
from trading.clock import SystemClock
from trading.errors import DeadlineExceeded, FailedPrecondition, ResourceExhausted, TradingError, Unavailable

WIDTH = len(FEATURES)
MODEL = "momentum-v1"
REST_S = 2.0
LOCAL, REMOTE = a_network(1), a_network(2)


def some_features(rows: int = 3) -> Any:
    return np.random.default_rng(1).standard_normal((rows, WIDTH)).astype(np.float32)


def a_delegated_version(root: Path, endpoint: str, at: str = "9", **told: Any) -> Path:
    """A manifest without a file, which names the server."""
    directory = a_model_directory(root, MODEL, at, backend={"oip": {"endpoint": endpoint, **told}}, sha256="")
    (directory / "model.onnx").unlink()
    return directory


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second inference service with a network of its own as version 7."""
    folder = tmp_path_factory.mktemp("remote")
    a_model_directory(folder / "models", MODEL, "7", payload=onnx_bytes(REMOTE, MODEL))
    (folder / "nats").mkdir()
    with nats_server(folder / "nats") as nats_url, running_inference(folder, nats_url) as address:
        yield address


@dataclass
class Registry:
    """A registry of this process: version 1 runs here, the others elsewhere."""

    root: Path
    models: ServeModels
    metrics: Metrics
    files: RegistryFiles

    def counted(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("nt_delegated_total", {"model": MODEL, "outcome": outcome}) or 0.0


@asynccontextmanager
async def a_registry(root: Path, calls_max: int = 8) -> AsyncIterator[Registry]:
    a_model_directory(root / "shipped", MODEL, "1", calibration={"slope": 2.0, "intercept": 0.5})
    files, metrics, log = RegistryFiles(root / "shipped", root / "own"), Metrics(), structlog.get_logger()
    local = RegistryLoader(files, SessionRules(), FileLimits(), TrialRules(), log)
    async with AsyncExitStack() as stack:
        rules = DelegationRules(calls_max, REST_S)
        loader = DelegatingLoader(local, files, stack, TOKEN, rules, metrics, SystemClock(), log)
        models = ServeModels(files, loader, MODEL, most_loaded=4, log=log)
        await models.start()
        try:
            yield Registry(root, models, metrics, files)
        finally:
            models.close()
            local.close()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with a_registry(tmp_path) as made:
        yield made


class Foreign(stubs.GRPCInferenceServiceServicer):
    """A server of somebody else's, whose answers a test writes."""

    def __init__(self) -> None:
        self.width = WIDTH
        self.holds_back = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            inputs=[tensor(name="x", datatype="FP32", shape=[-1, self.width])],
            outputs=[tensor(name="y", datatype="FP64", shape=[-1, 1])],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        self.asked += 1
        self.holds_back.set()
        await self.answers.wait()
        assert (request.model_name, request.model_version, request.inputs[0].name) == ("theirs", "5", "x")
        rows = request.inputs[0].shape[0]
        out = pb.ModelInferResponse.InferOutputTensor(name="y", datatype="FP64", shape=[rows, 1])
        raw = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(rows, -1).sum(1, np.float64)
        return pb.ModelInferResponse(outputs=[out], raw_output_contents=[raw.tobytes()])


@pytest.fixture
async def foreign() -> AsyncIterator[tuple[Foreign, str]]:
    servicer, server = Foreign(), grpc.aio.server()
    stubs.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    servicer.answers.set()
    await server.stop(0)


async def test_the_other_service_answers(registry: Registry, remote: str) -> None:
    a_delegated_version(registry.root / "own", remote, deadline_ms=30_000, rows=2)
    rows = some_features(5)
    async with registry.models.hold(MODEL, "9") as model:
        assert await model.logits(rows) == pytest.approx(REMOTE.logits(rows), abs=1e-5)
        assert await model.logit(rows[0].tolist()) == pytest.approx(REMOTE.logits(rows[:1])[0], abs=1e-5)
        named = await model.infer({"features": rows})
        assert named["logit"].ravel() == pytest.approx(REMOTE.logits(rows), abs=1e-5)
        assert await model.logits(rows[:0]) == pytest.approx([])
        assert (model.running.device, model.running.inline) == ("remote", False)
        assert remote in model.running.device_note
    assert registry.counted("answered") == 4


async def test_a_foreign_servers_own_names_are_learnt(registry: Registry, foreign: tuple[Foreign, str]) -> None:
    a_delegated_version(registry.root / "own", foreign[1], model="theirs", version="5", deadline_ms=30_000)
    rows = some_features()
    async with registry.models.hold(MODEL, "9") as model:
        assert await model.logits(rows) == pytest.approx(rows.sum(1), abs=1e-4)


async def test_a_version_of_ours_stands_in_while_nobody_answers(registry: Registry) -> None:
    a_delegated_version(registry.root / "own", f"127.0.0.1:{free_port()}", fallback="1", deadline_ms=30_000)
    rows = some_features()
    async with registry.models.hold(MODEL, "9") as model:
        found = await model.logits(rows)
        again = await model.logits(rows)
        async with registry.models.hold(MODEL, "1") as stand_in:
            expected = opinions(stand_in.card, await stand_in.logits(rows))
        assert opinions(model.card, found)[0] == pytest.approx(expected[0], abs=1e-6)
        assert again.tolist() == found.tolist()
        assert model.running.device == "cpu"
        assert "version 1 stands in" in model.running.device_note
    assert (registry.counted("fell_back"), registry.counted("answered")) == (2, 0)


async def test_without_a_stand_in_the_request_is_refused_and_the_server_rests(registry: Registry) -> None:
    a_delegated_version(registry.root / "own", f"127.0.0.1:{free_port()}", deadline_ms=30_000)
    async with registry.models.hold(MODEL, "9") as model:
        with pytest.raises(Unavailable):
            await model.logits(some_features())
        with pytest.raises(Unavailable, match="rests") as refused:
            await model.window_logit(some_features(1)[0])
        assert refused.value.reason == "DELEGATE_RESTS"
        assert 0 < float(str(refused.value.metadata["retry_after_s"])) <= REST_S
    assert registry.counted("failed") == 2


async def test_a_service_that_freezes_is_left_at_its_deadline_and_asked_again_after_a_rest(
    registry: Registry, foreign: tuple[Foreign, str]
) -> None:
    servicer, address = foreign
    a_delegated_version(registry.root / "own", address, model="theirs", version="5", deadline_ms=4_000, fallback="1")
    rows = some_features()
    async with registry.models.hold(MODEL, "9") as model:
        assert await model.logits(rows) == pytest.approx(rows.sum(1), abs=1e-4)
        servicer.answers.clear()
        assert await model.logits(rows) != pytest.approx(rows.sum(1), abs=1e-4)
        asked = servicer.asked
        await model.logits(rows)
        assert servicer.asked == asked, "it rests"
        servicer.answers.set()
        async with asyncio.timeout(60):
            while model.running.device != "remote":
                await asyncio.sleep(0.05)
                await model.logits(rows)
    assert registry.counted("fell_back") >= 2


async def test_a_frozen_service_without_a_stand_in_is_a_deadline(
    registry: Registry, foreign: tuple[Foreign, str]
) -> None:
    servicer, address = foreign
    servicer.answers.clear()
    a_delegated_version(registry.root / "own", address, model="theirs", version="5", deadline_ms=50)
    async with registry.models.hold(MODEL, "9") as model:
        with pytest.raises(DeadlineExceeded):
            await model.logits(some_features())


async def test_more_requests_than_may_wait_are_refused(tmp_path: Path, foreign: tuple[Foreign, str]) -> None:
    servicer, address = foreign
    servicer.answers.clear()
    async with a_registry(tmp_path, calls_max=1) as registry:
        a_delegated_version(registry.root / "own", address, model="theirs", version="5", deadline_ms=30_000)
        async with registry.models.hold(MODEL, "9") as model:
            first = asyncio.create_task(model.logits(some_features()))
            await asyncio.wait_for(servicer.holds_back.wait(), 60)
            with pytest.raises(ResourceExhausted, match="1 requests wait"):
                await model.logits(some_features())
            servicer.answers.set()
            assert len(await first) == 3


async def test_a_server_that_runs_something_else_is_told_so(registry: Registry, foreign: tuple[Foreign, str]) -> None:
    foreign[0].width = 3
    a_delegated_version(registry.root / "own", foreign[1], model="theirs", version="5", deadline_ms=30_000)
    async with registry.models.hold(MODEL, "9") as model:
        with pytest.raises(FailedPrecondition, match="Expected one FP32 input"):
            await model.logits(some_features())


async def test_a_version_that_the_other_service_lacks_is_said_by_its_name(registry: Registry, remote: str) -> None:
    a_delegated_version(registry.root / "own", remote, version="77", deadline_ms=30_000)
    async with registry.models.hold(MODEL, "9") as model:
        with pytest.raises(TradingError) as refused:
            await model.logits(some_features())
    assert refused.value.reason == "UNKNOWN_MODEL"


@pytest.mark.parametrize("spoil", ["a file", "no features", "itself", "a stranger", "an address"])
async def test_a_manifest_that_cannot_be_is_refused(registry: Registry, spoil: str) -> None:
    told: dict[str, Any] = {"itself": {"fallback": "9"}, "a stranger": {"fallback": "55"}}.get(spoil, {})
    endpoint = "nowhere" if spoil == "an address" else "127.0.0.1:1"
    directory = a_delegated_version(registry.root / "own", endpoint, **told)
    if spoil == "a file":
        (directory / "model.onnx").write_bytes(b"")
    if spoil == "no features":
        manifest = directory / "manifest.json"
        manifest.write_text(manifest.read_text().replace(f'"{FEATURES[0]}"', '"odd"'))
    with pytest.raises(TradingError) as refused:
        async with registry.models.hold(MODEL, "9"):
            pass
    assert isinstance(refused.value, ModelRefused) or spoil == "a stranger"


async def test_a_delegated_version_is_described_and_not_exported(registry: Registry) -> None:
    a_delegated_version(registry.root / "own", "127.0.0.1:1", fallback="1")
    described = await registry.models.status(MODEL, "9")
    assert (described.card.version, described.residence.value) == ("9", "unloaded")
    async with registry.models.hold(MODEL, "9") as model:
        with pytest.raises(FailedPrecondition, match="another server"):
            async for _ in RegistryExport(registry.files, FileLimits()).pieces(model):
                pass


async def test_a_whole_service_delegates_and_its_metrics_say_so(tmp_path: Path, remote: str) -> None:
    """Question → our service → another one of ours; when that is out of reach, the version on disk answers."""
    a_model_directory(tmp_path / "models", MODEL, "8")
    a_delegated_version(tmp_path / "models", remote, "9", deadline_ms=30_000, fallback="8")
    a_delegated_version(tmp_path / "models", f"127.0.0.1:{free_port()}", "10", fallback="8")
    (tmp_path / "nats").mkdir()
    metrics_port = free_port()
    with (
        nats_server(tmp_path / "nats") as nats_url,
        running_inference(tmp_path, nats_url, metrics_port, NT_DELEGATED_TOKEN=TOKEN) as address,
    ):
        rows = some_features()
        async with channels.connect(address, token=TOKEN, client="test", default_timeout_s=60) as channel:
            stub = stubs.GRPCInferenceServiceStub(channel)
            found = [await stub.ModelInfer(a_question(rows, version)) for version in ("9", "10")]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            said = (await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
    logits = [np.frombuffer(answer.raw_output_contents[0], np.float32) for answer in found]
    assert logits[0] == pytest.approx(REMOTE.logits(rows), abs=1e-5)
    assert logits[1] == pytest.approx(LOCAL.logits(rows), abs=1e-5)
    assert f'nt_delegated_total{{model="{MODEL}",outcome="answered"}} 1.0' in said
    assert f'nt_delegated_total{{model="{MODEL}",outcome="fell_back"}} 1.0' in said


def a_question(rows: Any, version: str) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=rows.shape)
    return pb.ModelInferRequest(
        model_name=MODEL, model_version=version, inputs=[tensor], raw_input_contents=[rows.tobytes()]
    )
