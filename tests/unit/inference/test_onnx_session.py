"""Real models in the real ONNX Runtime."""

import asyncio
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
from builders.inference import a_card, a_network, some_ticks
from onnx import TensorProto, helper

from services.inference.adapters import cuda, onnx_session
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.errors import ModelRefused
from services.inference.domain.feature_series import fold
from services.inference.domain.features import FEATURES, FeatureState
from services.inference.starter.graph import onnx_bytes

INLINE, THREADED = SessionRules(inline_us=1e6), SessionRules(inline_us=0.0, batch_rows=64)


@pytest.fixture(params=[INLINE, THREADED], ids=["inline", "threaded"])
def model(request: pytest.FixtureRequest) -> Iterator[OnnxModel]:
    loaded = OnnxModel(a_card(), onnx_bytes(a_network(), "test"), request.param)
    yield loaded
    loaded.close()


def some_features(count: int) -> np.ndarray:
    return fold(FeatureState(), some_ticks(count))


async def test_a_row_is_what_the_trained_network_says(model: OnnxModel) -> None:
    features = some_features(50)
    expected = a_network().logits(features)
    found = [await model.logit(tuple(row)) for row in features.tolist()]
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 65, 1_000])
async def test_a_batch_of_any_size_says_what_its_rows_say(model: OnnxModel, count: int) -> None:
    features = some_features(count)
    found = await model.logits(features)
    assert found.shape == (count,)
    assert found == pytest.approx(a_network().logits(features), abs=1e-4)


async def test_rows_asked_at_once_do_not_mix(model: OnnxModel) -> None:
    features = some_features(40)
    found = await asyncio.gather(*(model.logit(tuple(row)) for row in features.tolist()))
    assert found == pytest.approx(a_network().logits(features), abs=1e-4)


async def test_a_slow_model_runs_on_its_thread() -> None:
    slow = OnnxModel(a_card(name="slow"), onnx_bytes(a_network(), "slow"), THREADED)
    assert not slow.running.inline
    await slow.logit((0.0,) * len(FEATURES))
    assert any(thread.name.startswith("model-slow") for thread in threading.enumerate())
    slow.close()
    assert not any(thread.name.startswith("model-slow") for thread in threading.enumerate())


def test_a_first_run_that_the_machine_held_up_does_not_make_a_model_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_ns = iter([5_000_000, 4_000_000])
    monkeypatch.setattr(onnx_session, "_timed", lambda run: next(taken_ns, 1_000))
    again = OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(inline_us=50))
    again.close()
    assert (again.running.run_ns, again.running.inline) == (1_000, True)


def test_a_model_that_is_slow_each_time_runs_on_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_session, "_timed", lambda run: 5_000_000)
    slow = OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(inline_us=50))
    slow.close()
    assert (slow.running.run_ns, slow.running.inline) == (5_000_000, False)


def test_how_it_runs_is_measured(model: OnnxModel) -> None:
    assert model.running.device == "cpu"
    assert model.running.run_ns > 0
    assert 0 < model.running.load_ms < 5_000


def a_graph(
    width: int | str = len(FEATURES), rows: int | str = "n", out: int = 1, kind: int = TensorProto.FLOAT
) -> bytes:
    """One Slice-free graph of the asked shape: the sum of the features, `out` times."""
    shape_in = helper.make_tensor_value_info("features", kind, [rows, width])
    shape_out = helper.make_tensor_value_info("logit", kind, [rows, out])
    weights = helper.make_tensor("w", kind, [width if isinstance(width, int) else 1, out], [0.0] * (out * 18))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["logit"])], "g", [shape_in], [shape_out], [weights]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"out": 2}, id="two outputs a row"),
        pytest.param({"rows": 1}, id="a fixed number of rows"),
        pytest.param({"kind": TensorProto.DOUBLE}, id="double precision"),
    ],
)
def test_a_model_of_another_shape_is_refused(shape: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused, match="Expected one float input of n×18"):
        OnnxModel(a_card(), a_graph(**shape), INLINE)


def test_a_model_of_another_width_is_refused() -> None:
    with pytest.raises(ModelRefused, match="n×18"):
        OnnxModel(a_card(), onnx_bytes(a_network(inputs=5), "narrow"), INLINE)


def test_what_the_runtime_cannot_load_is_refused_by_name() -> None:
    with pytest.raises(ModelRefused, match="refuses 'test-model'"):
        OnnxModel(a_card(), b"garbage", INLINE)


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "why_none", lambda: "There is none.")


@pytest.mark.usefixtures("_no_gpu")
def test_requiring_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelRefused, match="Expected a CUDA GPU"):
        OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(gpu="require"))


@pytest.mark.usefixtures("_no_gpu")
@pytest.mark.parametrize("policy", ["auto", "off"])
def test_without_a_gpu_the_answer_says_cpu(policy: Any) -> None:
    loaded = OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(gpu=policy))
    assert loaded.running.device == "cpu"
    loaded.close()


def test_a_provider_that_is_only_claimed_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime lists CUDA and a driver answers, yet the session falls back: the device said is cpu."""
    monkeypatch.setattr(cuda, "why_none", lambda: "")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        loaded = OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(gpu="auto"))
    assert loaded.running.device == "cpu"
    loaded.close()


def test_requiring_a_gpu_refuses_a_session_that_fell_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "why_none", lambda: "")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModelRefused):
            OnnxModel(a_card(), onnx_bytes(a_network(), "test"), SessionRules(gpu="require"))


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_DRIVER", "libno-such-driver.so.1")
    assert cuda.why_none() == "There is no NVIDIA driver (libno-such-driver.so.1)."


@pytest.mark.parametrize(
    ("start", "count", "why"),
    [
        (0, 2, ""),
        (0, 0, "The NVIDIA driver sees no GPU."),
        (100, 0, "The NVIDIA driver does not start (error 100)."),
    ],
)
def test_what_a_driver_says_of_its_gpus_is_told(
    monkeypatch: pytest.MonkeyPatch, start: int, count: int, why: str
) -> None:
    class Driver:
        def cuInit(self, flags: int) -> int:
            return start

        def cuDeviceGetCount(self, found: Any) -> int:
            found._obj.value = count
            return 0

    monkeypatch.setattr("ctypes.CDLL", lambda name: Driver())
    assert cuda.why_none() == why
