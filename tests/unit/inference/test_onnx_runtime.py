"""Which wheel, which device: told as it is, wished for or insisted on."""

from importlib import metadata
from typing import Any

import onnxruntime
import pytest
from builders.hostile_onnx import a_sound_model

from services.inference.adapters import cuda, onnx_runtime
from services.inference.adapters.onnx_runtime import check_installation, open_session
from services.inference.domain.errors import ModelRefused, Refusal
from trading.errors import FailedPrecondition

PAYLOAD = a_sound_model().SerializeToString()


def test_one_wheel_is_installed_here() -> None:
    check_installation()


def test_two_wheels_that_overwrite_each_other_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.30.0")
    with pytest.raises(FailedPrecondition, match=r"Both onnxruntime 1\.30\.0 and onnxruntime-gpu 1\.30\.0") as refused:
        check_installation()
    assert refused.value.reason == "ONNX_RUNTIME_TWICE"


@pytest.mark.parametrize("policy", ["auto", "off"])
def test_who_did_not_ask_for_a_gpu_is_told_nothing(policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    opened = open_session(PAYLOAD, policy)
    assert (opened.device, opened.note) == ("cpu", "")


def test_a_gpu_that_was_wished_for_and_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert open_session(PAYLOAD, "prefer")[1:] == ("cpu", "This is the CPU build of ONNX Runtime.")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(cuda, "why_none", lambda: "The NVIDIA driver sees no GPU.")
    assert open_session(PAYLOAD, "prefer")[1:] == ("cpu", "The NVIDIA driver sees no GPU.")


def test_a_session_that_fell_back_says_so_to_who_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(cuda, "why_none", lambda: "")
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    if "CUDAExecutionProvider" in onnxruntime.get_all_providers() and onnxruntime.get_device() != "CPU":
        pytest.skip("here it would not fall back")
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        opened = open_session(PAYLOAD, "prefer")
    assert (opened.device, "fell back" in opened.note) == ("cpu", True)


def test_insisting_on_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelRefused, match="CPU build") as refused:
        open_session(PAYLOAD, "require")
    assert refused.value.why is Refusal.DEVICE


def test_coreml_is_asked_for_where_it_is_and_told_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert open_session(PAYLOAD, "coreml")[1:] == ("cpu", "This build of ONNX Runtime has no CoreML.")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CoreMLExecutionProvider"])
    assert onnx_runtime._providers("coreml") == (["CoreMLExecutionProvider", "CPUExecutionProvider"], "")
