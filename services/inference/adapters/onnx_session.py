"""One model in ONNX Runtime: on the event loop when it takes microseconds, on one worker thread when longer.

One intra-op thread without spinning. Single rows run on arrays that are bound once; the answer says which
execution provider really runs, because a session that is asked for CUDA falls back without a word.
"""

import asyncio
import statistics
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as codes

from services.inference.adapters import cuda
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running

GpuPolicy = Literal["auto", "off", "require"]

_REFUSALS = (
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
"""What ONNX Runtime raises for a model it cannot run: a class for each of its codes, with no common base."""
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_WARM_UP_RUNS, _MEASURED_RUNS = 5, 25
_INLINE_ROWS = 256
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class SessionRules:
    """`inline_us`: slowest single row that stays on the event loop; `batch_rows`: most rows in one run."""

    gpu: GpuPolicy = "auto"
    inline_us: float = 500.0
    batch_rows: int = 2048


class OnnxModel:
    """A loaded model; `close` ends its thread."""

    def __init__(self, card: ModelCard, payload: bytes, rules: SessionRules) -> None:
        started = time.perf_counter()
        self.card = card
        self._session = _open(card, payload, rules.gpu)
        self._batch_rows = rules.batch_rows
        self._input, self._output = _ends(self._session, card)
        self._pack = struct.Struct(f"={len(card.features)}f").pack_into
        self._bind(len(card.features))
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"model-{card.name}")
        run_ns = self._measure()
        self.running = Running(
            device="cuda" if self._session.get_providers()[0] == _CUDA else "cpu",
            load_ms=(time.perf_counter() - started) * 1e3,
            run_ns=run_ns,
            inline=run_ns <= rules.inline_us * 1e3,
        )

    async def logit(self, features: Sequence[float]) -> float:
        """The log odds of one row; runs at once, or on the worker thread when the model is slow."""
        if self.running.inline:
            return self._run_row(features)
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._run_row, features)

    async def logits(self, features: Floats) -> Floats:
        """The log odds of (N, F) rows; anything but a small batch runs on the worker thread."""
        if self.running.inline and len(features) <= _INLINE_ROWS:
            return self._run_rows(features)
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._run_rows, features)

    def close(self) -> None:
        """Wait for a run in progress and end the thread."""
        self._worker.shutdown()

    def _bind(self, width: int) -> None:
        self._row = np.zeros((1, width), np.float32)
        self._logit = np.zeros((1, 1), np.float32)
        self._row_bytes = self._row.data.cast("B")
        binding = self._session.io_binding()
        for bind, name, array in (
            (binding.bind_input, self._input, self._row),
            (binding.bind_output, self._output, self._logit),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._binding = binding

    def _run_row(self, features: Sequence[float]) -> float:
        self._pack(self._row_bytes, 0, *features)
        self._session.run_with_iobinding(self._binding)
        return float(self._logit[0, 0])

    def _run_rows(self, features: Floats) -> Floats:
        rows: npt.NDArray[np.float32] = features.astype(np.float32)
        chunks = [rows[start : start + self._batch_rows] for start in range(0, len(rows), self._batch_rows)]
        answers = [self._session.run([self._output], {self._input: chunk})[0] for chunk in chunks]
        return np.concatenate(answers)[:, 0].astype(np.float64) if answers else np.empty(0)

    def _measure(self) -> int:
        row = (0.0,) * self._row.shape[1]
        for _ in range(_WARM_UP_RUNS):
            self._run_row(row)
        return round(statistics.median(self._timed(row) for _ in range(_MEASURED_RUNS)))

    def _timed(self, row: Sequence[float]) -> int:
        started_ns = time.perf_counter_ns()
        self._run_row(row)
        return time.perf_counter_ns() - started_ns


def _open(card: ModelCard, payload: bytes, gpu: GpuPolicy) -> Any:
    providers = _providers(gpu)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if gpu == "require":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = ort.InferenceSession(payload, options, providers=providers)
    except _REFUSALS as error:
        raise ModelRefused(Refusal.RUNTIME, f"ONNX Runtime refuses {card.name!r}: {error}", model=card.name) from error
    if gpu == "require" and session.get_providers()[0] != _CUDA:
        raise ModelRefused(Refusal.DEVICE, "Expected CUDA to run the model, was cpu.", model=card.name)
    return session


def _providers(gpu: GpuPolicy) -> list[str]:
    """CUDA only when this build of the runtime has it and the driver really opens a GPU."""
    there = gpu != "off" and _CUDA in ort.get_available_providers() and cuda.device_count() > 0
    if gpu == "require" and not there:
        raise ModelRefused(
            Refusal.DEVICE, "Expected a CUDA GPU and the GPU build of ONNX Runtime; one of them is missing."
        )
    if not there:
        return [_CPU]
    ort.preload_dlls()
    return [_CUDA] if gpu == "require" else [_CUDA, _CPU]


def _ends(session: Any, card: ModelCard) -> tuple[str, str]:
    """The names of the one input (rows × features) and the one output (rows × 1), both float32."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    wanted = ((inputs, len(card.features)), (outputs, 1))
    fits = all(
        len(ends) == 1 and ends[0].type == "tensor(float)" and len(ends[0].shape) == 2 and ends[0].shape[1] == width
        for ends, width in wanted
    )
    if not fits or isinstance(inputs[0].shape[0], int):
        was = [(end.name, end.type, end.shape) for end in (*inputs, *outputs)]
        raise ModelRefused(
            Refusal.SHAPE,
            f"Expected one float input of n×{len(card.features)} and one float output of n×1, was {was}.",
            model=card.name,
        )
    return inputs[0].name, outputs[0].name
