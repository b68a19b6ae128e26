"""The Open Inference Protocol over real gRPC, on a real model in ONNX Runtime."""

import tarfile
from collections.abc import AsyncIterator, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import pytest
import pytest_asyncio
import structlog
from builders.inference import a_model_directory, a_network
from builders.model_files import a_model_file
from google.protobuf import text_format
from onnx import TensorProto, helper
from servers import free_port

from fleet import channels
from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from inference import grpc_service_pb2 as pb
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.probe import TrialRules
from services.inference.adapters.registry_export import RegistryExport
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.registry_loader import RegistryLoader
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.domain.features import FEATURES
from services.inference.domain.infer_counts import InferCounts
from services.inference.rpc.open_inference import SERVICE_NAME, OpenInferenceRpc
from services.inference.usecases.infer import Infer
from services.inference.usecases.repository import Repository
from services.inference.usecases.serve_models import ServeModels
from trading.clock import SystemClock
from trading.errors import FailedPrecondition, InvalidArgument, TradingError, Unauthenticated, UnknownModel

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "a-token-of-the-tests"
WIDTH = len(FEATURES)
ROWS_MAX = 500
Stub = GRPCInferenceServiceStub


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, ServeModels, RegistryFiles]]:
    """A server and its registry: two versions of a model that follows the market, a sequence model, one of tensors."""
    root: Path = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        a_model_directory(root / "shipped", "test-model", version)
    (root / "own" / "sequence" / "1").mkdir(parents=True)
    a_model_file(root / "own" / "sequence" / "1" / "model.safetensors", "gru")
    a_model_directory(
        root / "own", "tensors", features=(), horizon_ns=0, calibration=None, payload=two_in_two_out(), metrics={}
    )
    files = RegistryFiles(root / "shipped", root / "own")
    loader = RegistryLoader(files, SessionRules(), FileLimits(), TrialRules(), structlog.get_logger())
    models = ServeModels(files, loader, "test-model", most_loaded=4, log=structlog.get_logger())
    await models.start()
    counts = InferCounts()
    rpc = OpenInferenceRpc(Infer(models, counts, SystemClock(), ROWS_MAX), Repository(models, counts), "9.9", ROWS_MAX)
    at = f"127.0.0.1:{free_port()}"
    server = GrpcServer(at, [rpc.register], [SERVICE_NAME], Boundary([TOKEN], Metrics()))
    await server.start()
    yield at, models, files
    await server.stop(0)
    models.close()
    loader.close()


@pytest.fixture
def address(served: tuple[str, ServeModels, RegistryFiles]) -> str:
    """Where the server listens."""
    return served[0]


def two_in_two_out() -> bytes:
    """A graph whose tensors are no features: a sum of float32 and a half of float16."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Mul", ["h", "h"], ["square"]),
    ]
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT, "h": TensorProto.FLOAT16}
    inputs = [helper.make_tensor_value_info(name, kind, ["n", 2]) for name, kind in kinds.items()]
    outputs = [
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("square", TensorProto.FLOAT16, ["n", 2]),
    ]
    graph = helper.make_graph(nodes, "two", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stub(served: tuple[str, ServeModels, RegistryFiles]) -> AsyncIterator[Stub]:
    """A caller with the token, whose errors have names."""
    async with channels.connect(served[0], token=TOKEN, client="test") as channel:
        yield Stub(channel)


def some_features(rows: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def an_input(
    shape: Iterable[int], datatype: str = "FP32", name: str = "features", **fields: Any
) -> pb.ModelInferRequest.InferInputTensor:
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, **fields)


def a_raw_request(array: Any, datatype: str = "FP32", **fields: Any) -> pb.ModelInferRequest:
    given = {"model_name": "test-model", "inputs": [an_input(array.shape, datatype)]}
    return pb.ModelInferRequest(**given | fields, raw_input_contents=[array.tobytes()])


def a_typed_request(array: Any, datatype: str, field: str, **fields: Any) -> pb.ModelInferRequest:
    contents = pb.InferTensorContents(**{field: array.ravel().tolist()})
    return pb.ModelInferRequest(
        model_name="test-model", inputs=[an_input(array.shape, datatype, contents=contents)], **fields
    )


def outputs(answer: pb.ModelInferResponse) -> dict[str, Any]:
    kinds = {"FP32": np.float32, "FP64": np.float64}
    return {
        out.name: np.frombuffer(raw, kinds[out.datatype]).reshape(out.shape)
        for out, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


async def test_raw_tensors_are_answered_raw_as_the_network_says(stub: Stub) -> None:
    rows = some_features(7)
    answer = await stub.ModelInfer(a_raw_request(rows, id="mine"))
    assert (answer.model_name, answer.model_version, answer.id) == ("test-model", "2", "mine")
    found = outputs(answer)
    assert list(found) == ["logit", "prediction", "confidence"]
    assert {name: array.shape for name, array in found.items()} == dict.fromkeys(found, (7, 1))
    expected = a_network().logits(rows)
    assert found["logit"].ravel() == pytest.approx(expected, abs=1e-5)
    up = 1 / (1 + np.exp(-found["logit"].astype(np.float64)))
    assert found["prediction"] == pytest.approx(2 * up - 1)
    assert found["confidence"] == pytest.approx(np.maximum(up, 1 - up))


async def test_typed_tensors_are_answered_typed_and_say_the_same(stub: Stub) -> None:
    rows = some_features(5)
    raw = outputs(await stub.ModelInfer(a_raw_request(rows)))
    typed = await stub.ModelInfer(a_typed_request(rows, "FP32", "fp32_contents"))
    assert not typed.raw_output_contents
    assert list(typed.outputs[0].contents.fp32_contents) == raw["logit"].ravel().tolist()
    assert list(typed.outputs[1].contents.fp64_contents) == raw["prediction"].ravel().tolist()


@pytest.mark.parametrize(
    ("datatype", "dtype", "field"),
    [
        ("FP64", "f8", "fp64_contents"),
        ("INT8", "i1", "int_contents"),
        ("INT16", "i2", "int_contents"),
        ("INT32", "i4", "int_contents"),
        ("INT64", "i8", "int64_contents"),
        ("UINT8", "u1", "uint_contents"),
        ("UINT64", "u8", "uint64_contents"),
        ("BOOL", "?", "bool_contents"),
    ],
)
async def test_every_datatype_of_numbers_goes_in_raw_and_typed(
    stub: Stub, datatype: str, dtype: str, field: str
) -> None:
    rows = np.random.default_rng(2).integers(0, 2, (3, WIDTH))
    expected = outputs(await stub.ModelInfer(a_raw_request(rows.astype(np.float32))))["logit"].ravel().tolist()
    raw = await stub.ModelInfer(a_raw_request(rows.astype(dtype), datatype))
    typed = await stub.ModelInfer(a_typed_request(rows.astype(dtype), datatype, field))
    assert outputs(raw)["logit"].ravel().tolist() == expected
    assert list(typed.outputs[0].contents.fp32_contents) == expected


async def test_half_precision_goes_in_raw_only(stub: Stub) -> None:
    rows = some_features(3).astype(np.float16)
    expected = outputs(await stub.ModelInfer(a_raw_request(rows.astype(np.float32))))["logit"]
    found = outputs(await stub.ModelInfer(a_raw_request(rows, "FP16")))["logit"]
    assert found.tolist() == expected.tolist()
    with pytest.raises(InvalidArgument, match="raw contents"):
        await stub.ModelInfer(a_typed_request(rows, "FP16", "fp32_contents"))


async def test_the_asked_outputs_come_in_the_asked_order(stub: Stub) -> None:
    asked = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in ("confidence", "logit")]
    answer = await stub.ModelInfer(a_raw_request(some_features(2), outputs=asked))
    assert [out.name for out in answer.outputs] == ["confidence", "logit"]


async def test_many_rows_and_none_are_answered(stub: Stub) -> None:
    rows = some_features(ROWS_MAX)
    together = outputs(await stub.ModelInfer(a_raw_request(rows)))["logit"]
    alone = [outputs(await stub.ModelInfer(a_raw_request(rows[i : i + 1])))["logit"][0, 0] for i in range(20)]
    assert together[:20, 0] == pytest.approx(alone, abs=1e-5)
    nothing = outputs(await stub.ModelInfer(a_raw_request(rows[:0])))
    assert nothing["logit"].shape == (0, 1)


ROW = np.zeros((1, WIDTH), np.float32)
ASKED = pb.ModelInferRequest.InferRequestedOutputTensor
PARAMETER = {"shared_memory_region": pb.InferParameter(string_param="x")}


@pytest.mark.parametrize(
    ("request_", "reason", "says"),
    [
        (a_raw_request(ROW, model_name=""), "INVALID_ARGUMENT", "Expected the name of a model"),
        (a_raw_request(ROW, model_name="nobody"), "UNKNOWN_MODEL", "No model is called 'nobody'"),
        (a_raw_request(ROW, model_version="7"), "UNKNOWN_MODEL", "No version '7' of model 'test-model'"),
        (a_raw_request(ROW, inputs=[an_input(ROW.shape, name="odd")]), "TENSOR_NAME", "'odd'"),
        (pb.ModelInferRequest(model_name="test-model"), "TENSOR_NAME", "Expected each input"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH), "BYTES")]), "TENSOR_DATATYPE", "'BYTES'"),
        (a_typed_request(ROW, "BYTES", "fp32_contents"), "TENSOR_DATATYPE", "'BYTES'"),
        (a_raw_request(np.zeros((1, WIDTH + 1), np.float32)), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
        (a_raw_request(np.zeros(WIDTH, np.float32)), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
        (a_raw_request(ROW, inputs=[an_input((2, WIDTH))]), "TENSOR_SIZE", "bytes"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH)), an_input((1, WIDTH))]), "TENSOR_SIZE", "2 inputs"),
        (a_raw_request(ROW * np.nan), "TENSOR_VALUE", "finite"),
        (a_raw_request(np.zeros((ROWS_MAX + 1, WIDTH), np.float32)), "TOO_MANY_ROWS", f"at most {ROWS_MAX}"),
        (a_raw_request(ROW, outputs=[ASKED(name="odd")]), "TENSOR_NAME", "'odd'"),
        (a_raw_request(ROW, outputs=[ASKED(name="logit"), ASKED(name="logit")]), "TENSOR_NAME", "each output once"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH), parameters=PARAMETER)]), "TENSOR_PARAMETER", "not served"),
        (a_typed_request(np.full((1, WIDTH), 300), "INT8", "int_contents"), "TENSOR_VALUE", "INT8"),
        (a_typed_request(ROW[:, 1:], "FP32", "fp32_contents", id="x"), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    stub: Stub, request_: pb.ModelInferRequest, reason: str, says: str
) -> None:
    with pytest.raises(TradingError) as refused:
        await stub.ModelInfer(request_)
    assert refused.value.reason == reason
    assert says in refused.value.message


async def test_raw_and_typed_contents_do_not_mix(stub: Stub) -> None:
    request = a_typed_request(ROW, "FP32", "fp32_contents")
    request.raw_input_contents.append(ROW.tobytes())
    with pytest.raises(InvalidArgument, match="1 typed"):
        await stub.ModelInfer(request)


async def test_a_stream_answers_in_order_and_survives_what_it_refuses(address: str) -> None:
    rows = some_features(1)
    requests = [
        a_raw_request(rows, id="first"),
        a_raw_request(rows, id="second", model_name="nobody"),
        a_raw_request(rows, id="third", inputs=[an_input((1, 1))]),
        a_raw_request(rows, id="fourth"),
    ]
    async with grpc.aio.insecure_channel(address) as channel:
        call = Stub(channel).ModelStreamInfer(iter(requests), metadata=channels.call_metadata(TOKEN))
        answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["first", "second", "third", "fourth"]
    assert [bool(answer.error_message) for answer in answers] == [False, True, True, False]
    assert "nobody" in answers[1].error_message
    assert answers[0].infer_response.parameters["triton_final_response"].bool_param
    assert outputs(answers[3].infer_response)["logit"] == outputs(answers[0].infer_response)["logit"]


async def test_the_server_says_what_it_is(stub: Stub) -> None:
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    server = await stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (server.name, server.version) == ("neural-trader", "9.9")
    assert "binary_tensor_data" in server.extensions


async def test_a_model_says_what_it_takes_and_gives(stub: Stub) -> None:
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="test-model"))
    assert (found.name, list(found.versions), found.platform) == ("test-model", ["2", "1"], "onnxruntime_onnx")
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in found.inputs] == [
        ("features", "FP32", [-1, WIDTH])
    ]
    assert [(spec.name, spec.datatype) for spec in found.outputs] == [
        ("logit", "FP32"),
        ("prediction", "FP64"),
        ("confidence", "FP64"),
    ]
    with pytest.raises(UnknownModel):
        await stub.ModelMetadata(pb.ModelMetadataRequest(name="nobody"))


async def test_a_model_has_the_configuration_that_triton_would_have(stub: Stub) -> None:
    config = (await stub.ModelConfig(pb.ModelConfigRequest(name="test-model"))).config
    assert (config.name, config.backend, config.max_batch_size) == ("test-model", "onnxruntime", ROWS_MAX)
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("features", pb.TYPE_FP32, [WIDTH])
    ]
    assert [each.data_type for each in config.output] == [pb.TYPE_FP32, pb.TYPE_FP64, pb.TYPE_FP64]
    assert config.parameters["features"].string_value == ",".join(FEATURES)
    assert config.parameters["calibrated"].string_value == "true"


async def test_what_is_asked_is_counted(stub: Stub) -> None:
    async def counted() -> pb.ModelStatistics:
        (found,) = (await stub.ModelStatistics(pb.ModelStatisticsRequest(name="test-model", version="2"))).model_stats
        return found

    before = await counted()
    await stub.ModelInfer(a_raw_request(some_features(4)))
    with pytest.raises(InvalidArgument):
        await stub.ModelInfer(a_raw_request(ROW + np.inf))
    after = await counted()
    assert after.inference_count - before.inference_count == 4
    assert after.execution_count - before.execution_count == 1
    stats, earlier = after.inference_stats, before.inference_stats
    assert (stats.success.count - earlier.success.count, stats.fail.count - earlier.fail.count) == (1, 1)
    assert stats.success.ns - earlier.success.ns >= stats.compute_infer.ns - earlier.compute_infer.ns > 0
    assert after.last_inference > 1_700_000_000_000
    everything = (await stub.ModelStatistics(pb.ModelStatisticsRequest())).model_stats
    assert ("test-model", "2") in [(each.name, each.version) for each in everything]


async def listed(stub: Stub, *, ready: bool = False) -> list[tuple[str, str, str]]:
    index = (await stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=ready))).models
    return [(each.name, each.version, each.state) for each in index]


async def test_the_index_names_every_version(stub: Stub) -> None:
    assert await listed(stub) == [
        ("sequence", "1", "READY"),
        ("tensors", "1", "READY"),
        ("test-model", "2", "READY"),
        ("test-model", "1", "UNAVAILABLE"),
    ]
    assert ("test-model", "1", "UNAVAILABLE") not in await listed(stub, ready=True)


async def test_a_version_is_ready_when_it_is_in_memory(stub: Stub) -> None:
    async def ready(**asked: str) -> bool:
        return (await stub.ModelReady(pb.ModelReadyRequest(name="test-model", **asked))).ready

    assert await ready()
    assert await ready(version="2")
    assert not await ready(version="1")
    with pytest.raises(UnknownModel):
        await ready(version="3")


async def test_a_caller_without_the_token_is_turned_away(address: str) -> None:
    async with channels.connect(address, token="wrong", client="test") as channel:
        with pytest.raises(Unauthenticated):
            await Stub(channel).ServerLive(pb.ServerLiveRequest())


async def test_a_model_is_unloaded_loaded_and_brought_back_by_a_question(stub: Stub) -> None:
    load, unload = pb.RepositoryModelLoadRequest, pb.RepositoryModelUnloadRequest
    samples = np.zeros((2, 12, WIDTH), np.float32)
    for back in (
        lambda: stub.RepositoryModelLoad(load(model_name="sequence")),
        lambda: stub.ModelInfer(a_raw_request(samples, model_name="sequence")),
        lambda: stub.ModelMetadata(pb.ModelMetadataRequest(name="sequence")),
    ):
        await stub.RepositoryModelUnload(unload(model_name="sequence"))
        assert ("sequence", "1", "UNAVAILABLE") in await listed(stub)
        assert not (await stub.ModelReady(pb.ModelReadyRequest(name="sequence"))).ready
        await back()
        assert ("sequence", "1", "READY") in await listed(stub)


async def test_a_load_takes_no_files(stub: Stub) -> None:
    files = {"file:1/model.onnx": pb.ModelRepositoryParameter(bytes_param=b"onnx")}
    with pytest.raises(InvalidArgument, match="file:1/model"):
        await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="test-model", parameters=files))


async def test_an_unknown_model_is_neither_loaded_nor_unloaded(stub: Stub) -> None:
    for call in (
        stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="nobody")),
        stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="nobody")),
    ):
        with pytest.raises(UnknownModel):
            await call


async def test_the_model_that_follows_the_market_stays_in_memory(stub: Stub) -> None:
    with pytest.raises(FailedPrecondition, match="follows the market"):
        await stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="test-model"))


async def test_another_version_than_the_one_in_use_can_be_asked(stub: Stub) -> None:
    rows = some_features(3)
    answer = await stub.ModelInfer(a_raw_request(rows, model_version="1"))
    assert answer.model_version == "1"
    assert outputs(answer)["logit"].ravel() == pytest.approx(a_network().logits(rows), abs=1e-5)


async def test_a_sequence_model_takes_windows(stub: Stub) -> None:
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="sequence"))
    assert [list(spec.shape) for spec in found.inputs] == [[-1, 12, WIDTH]]
    windows = np.random.default_rng(3).standard_normal((3, 12, WIDTH)).astype(np.float32)
    together = outputs(await stub.ModelInfer(a_raw_request(windows, model_name="sequence")))["logit"]
    alone = [outputs(await stub.ModelInfer(a_raw_request(each[None], model_name="sequence"))) for each in windows]
    assert together.ravel() == pytest.approx([each["logit"][0, 0] for each in alone], abs=1e-5)


async def test_a_model_of_tensors_takes_and_gives_what_its_graph_does(stub: Stub) -> None:
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="tensors"))
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in found.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
        ("h", "FP16", [-1, 2]),
    ]
    assert [(spec.name, spec.datatype) for spec in found.outputs] == [("sum", "FP32"), ("square", "FP16")]
    config = (await stub.ModelConfig(pb.ModelConfigRequest(name="tensors"))).config
    assert (config.max_batch_size, [list(each.dims) for each in config.input]) == (0, [[-1, 2]] * 3)
    ones, halves = np.ones((1, 2), np.float32), np.full((1, 2), 0.5, np.float16)
    request = pb.ModelInferRequest(
        model_name="tensors",
        inputs=[an_input((1, 2), "FP16", "h"), an_input((1, 2), name="b"), an_input((1, 2), name="a")],
        raw_input_contents=[halves.tobytes(), (2 * ones).tobytes(), ones.tobytes()],
    )
    answer = await stub.ModelInfer(request)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [3, 3]
    assert np.frombuffer(answer.raw_output_contents[1], np.float16).tolist() == [0.25, 0.25]
    request.outputs.add(name="sum")
    assert [out.name for out in (await stub.ModelInfer(request)).outputs] == ["sum"]
    request.inputs[1].datatype, request.inputs[1].shape[:] = "FP64", [1, 1]
    with pytest.raises(InvalidArgument, match="'b' as float32"):
        await stub.ModelInfer(request)


async def test_an_export_is_a_directory_that_tritons_backend_reads(
    stub: Stub, served: tuple[str, ServeModels, RegistryFiles], tmp_path: Path
) -> None:
    """The configuration parses as the protocol's message, where an unknown field or datatype would not, and says what
    the server says; the graph, weights beside it, runs in a plain ONNX Runtime and gives the same."""
    _, models, files = served
    for name in ("test-model", "sequence", "tensors"):
        async with models.hold(name) as model:
            tar = b"".join([piece async for piece in RegistryExport(files, FileLimits()).pieces(model)])
        with tarfile.open(fileobj=BytesIO(tar)) as packed:
            packed.extractall(tmp_path, filter="data")
        exported = text_format.Parse((tmp_path / name / "config.pbtxt").read_text(), pb.ModelConfig())
        metadata = await stub.ModelMetadata(pb.ModelMetadataRequest(name=name))
        told = {
            each.name: (f"TYPE_{each.datatype}", list(each.shape)) for each in (*metadata.inputs, *metadata.outputs)
        }
        assert (exported.name, exported.backend, exported.max_batch_size) == (name, "onnxruntime", 0)
        assert [each.name for each in exported.input] == [spec.name for spec in metadata.inputs]
        for each in (*exported.input, *exported.output):
            assert told[each.name] == (pb.DataType.Name(each.data_type), list(each.dims))
        session = ort.InferenceSession(str(next((tmp_path / name).glob("*/model.onnx"))))
        assert [each.name for each in session.get_inputs()] == [each.name for each in exported.input]
        if name == "sequence":
            windows = np.random.default_rng(5).standard_normal((3, 12, WIDTH)).astype(np.float32)
            (plain,) = session.run(["logit"], {exported.input[0].name: windows})
            found = outputs(await stub.ModelInfer(a_raw_request(windows, model_name=name)))
            assert plain.ravel() == pytest.approx(found["logit"].ravel(), abs=1e-5)
