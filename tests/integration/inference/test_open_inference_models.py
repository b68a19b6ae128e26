"""The Open Inference Protocol over real gRPC: what models say of themselves, load, unload, and leave as files."""

import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from builders.inference import a_network
from builders.open_inference import ROWS_MAX, WIDTH, Served, Stub, a_raw_request, an_input, outputs, some_features
from google.protobuf import text_format

from fleet import channels
from inference import grpc_service_pb2 as pb
from services.inference.adapters.registry_export import RegistryExport
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.domain.features import FEATURES
from trading.errors import FailedPrecondition, InvalidArgument, Unauthenticated, UnknownModel

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
        await stub.ModelInfer(a_raw_request(some_features(1) + np.inf))
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
    async with channels.connect(address, token="wrong", client="test", default_timeout_s=60) as channel:
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


async def test_an_export_is_a_directory_that_tritons_backend_reads(stub: Stub, served: Served, tmp_path: Path) -> None:
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
