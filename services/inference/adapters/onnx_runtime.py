"""ONNX Runtime: which of its wheels is here, which device really runs, and how its sessions are opened.

Its own lists claim GPUs that are not there, and a session asked for CUDA falls back without a word; so the driver is
asked first, and the session afterwards what it really got.
"""

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as codes

from services.inference.adapters import cuda
from services.inference.domain.errors import ModelRefused, Refusal
from trading.errors import FailedPrecondition

GpuPolicy = Literal["auto", "off", "prefer", "require", "coreml"]
"""auto: CUDA when it is there; prefer: the same, and its absence is told; require: not without it; coreml: macOS."""

FAILURES = (
    codes.EPFail,
    codes.Fail,
    codes.InvalidArgument,
    codes.InvalidGraph,
    codes.InvalidProtobuf,
    codes.NoModel,
    codes.NotFound,
    codes.NotImplemented,
    codes.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What ONNX Runtime raises: a class for each of its codes, with no common base."""
NO_MEMORY = (
    "bad_alloc",
    "Failed to allocate memory",
    "Available memory",
    "would require more than",
    "std::length_error",
    "vector::reserve",
)
"""What the runtime says when it is refused memory, or refuses itself."""
_CUDA, _COREML, _CPU = "CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider"
_DEVICES = {_CUDA: "cuda", _COREML: "coreml", _CPU: "cpu"}
_WHEELS = ("onnxruntime", "onnxruntime-gpu")
_ERRORS_ONLY = 3
_AS_REQUESTED = 1
_FOLDER = "session.model_external_initializers_file_folder_path"


class Opened(NamedTuple):
    """A session, the device that runs it, and why it is not the one asked for, or nothing."""

    session: Any
    device: str
    note: str


def check_installation() -> None:
    """Raise FailedPrecondition when both wheels are installed: the last one won, and removing either breaks both."""
    found = {name: version for name in _WHEELS if (version := _version(name))}
    if len(found) > 1:
        both = " and ".join(f"{name} {version}" for name, version in found.items())
        raise FailedPrecondition(
            f"Both {both} are installed and overwrite each other: uninstall both, then install one.",
            reason="ONNX_RUNTIME_TWICE",
        )


@cache
def bound_memory(most_bytes: int) -> None:
    """Let all sessions that are opened `bounded` share one arena of at most so many bytes; once in a process.

    Whoever asks such a model can choose sizes, and the runtime itself would go on until the machine has no memory.
    """
    kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    arena = ort.OrtArenaCfg({"max_mem": most_bytes, "arena_extend_strategy": _AS_REQUESTED})
    ort.create_and_register_allocator(kind, arena)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def open_session(
    payload: bytes,
    policy: GpuPolicy,
    *,
    folder: Path | None = None,
    prepacked: bool = True,
    bounded: bool = False,
    model: str = "",
) -> Opened:
    """Open a session on a model's bytes; tensors in other files lie in `folder`. Raises ModelRefused.

    Without `prepacked` the weights of products are used where they lie instead of being copied into another order.
    With `bounded` its memory comes out of the arena of `bound_memory`.
    """
    providers, note = _providers(policy)
    options = _options(policy, folder, prepacked)
    if bounded:
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        session = ort.InferenceSession(payload, options, providers=providers)
    except FAILURES as error:
        raise ModelRefused(
            Refusal.RUNTIME, f"ONNX Runtime refuses {model!r}: {str(error)[:500]}", model=model
        ) from error
    device = _DEVICES.get(session.get_providers()[0], "cpu")
    if policy == "require" and device != "cuda":
        raise ModelRefused(Refusal.DEVICE, f"Expected CUDA to run the model, was {device}.", model=model)
    if policy not in ("auto", "off") and device == "cpu" and not note:
        note = "ONNX Runtime fell back to the CPU; its CUDA or cuDNN libraries do not load."
    return Opened(session, device, note)


def _options(policy: GpuPolicy, folder: Path | None, prepacked: bool) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if folder is not None:
        options.add_session_config_entry(_FOLDER, str(folder))
    if not prepacked:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if policy == "require":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _providers(policy: GpuPolicy) -> tuple[list[Any], str]:
    """The providers to ask for, and why they are not those wished for; raises ModelRefused when one is insisted on."""
    if policy == "off":
        return [_CPU], ""
    if policy == "coreml":
        there = _COREML in ort.get_available_providers()
        return ([_COREML, _CPU], "") if there else ([_CPU], "This build of ONNX Runtime has no CoreML.")
    missing = _why_no_cuda()
    if missing and policy == "require":
        raise ModelRefused(Refusal.DEVICE, f"Expected a CUDA GPU. {missing}")
    if missing:
        return [_CPU], missing if policy == "prefer" else ""
    ort.preload_dlls()
    exact = (_CUDA, {"use_tf32": "0"})
    return [exact] if policy == "require" else [exact, _CPU], ""


def _why_no_cuda() -> str:
    if _CUDA not in ort.get_available_providers():
        return "This is the CPU build of ONNX Runtime."
    return cuda.why_none()
