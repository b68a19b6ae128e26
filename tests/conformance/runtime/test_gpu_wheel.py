"""The GPU build of ONNX Runtime, from our own lock: it imports, runs and says what it is, even where no GPU is.

NVIDIA's libraries (1.3 GB) are left out: the wheel has to do without them on such a machine anyway.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conformance.venues import findings
from servers import REPOSITORY

LOCK = REPOSITORY / "requirements" / "inference-gpu.txt"
NEEDED = {"onnxruntime-gpu", "numpy", "msgspec", "flatbuffers", "packaging", "protobuf"}
_PACKAGE = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)


def _part_of_the_lock() -> str:
    """The pins and hashes of what is needed."""
    text = LOCK.read_text()
    starts = [(found.start(), found[1]) for found in _PACKAGE.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return "".join(text[start:end] for (start, name), end in zip(starts, ends, strict=True) if name in NEEDED)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("gpu-wheel")
    requirements, uv = folder / "requirements.txt", Path(sys.executable).with_name("uv")
    requirements.write_text(_part_of_the_lock())
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", python, "-r", requirements]
    subprocess.run(install, check=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(str(REPOSITORY / part) for part in (".", "libs", "libs/generated"))
    try:
        return findings(python, Path(__file__).with_name("gpu_wheel.py"))
    finally:
        del os.environ["PYTHONPATH"]


def test_the_lock_has_both_cuda_and_cudnn() -> None:
    assert {"nvidia-cudnn-cu13", "nvidia-cuda-runtime"} <= set(_PACKAGE.findall(LOCK.read_text()))


def test_it_claims_cuda_whether_there_is_a_gpu_or_not(said: Any) -> None:
    assert "CUDAExecutionProvider" in said["claimed"]


def test_what_runs_is_told_and_says_the_right_thing(said: Any) -> None:
    for policy in ("auto", "prefer", "off"):
        assert said[policy]["logits"] == [13.0, 13.0]
    assert said["off"]["device"] == "cpu"
    if said["why_none"]:
        assert (said["auto"]["device"], said["auto"]["note"]) == ("cpu", "")
        assert (said["prefer"]["device"], said["prefer"]["note"]) == ("cpu", said["why_none"])
        assert said["require"]["refused"] == "MODEL_DEVICE"
