"""One model in ONNX Runtime: on the event loop when it takes microseconds, on one worker thread when longer.

One intra-op thread without spinning. Single samples run on arrays that are bound once; the answer says which
execution provider really runs.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Timer
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from services.inference.adapters.onnx_queue import QueueRules, RunQueue
from services.inference.adapters.onnx_runtime import FAILURES, NO_MEMORY, GpuPolicy, Opened, open_session
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running, TensorSpec, expect_features
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

Samples = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[Any]]

_WARM_UP_RUNS, _MEASURED_RUNS, _MEASURED_BATCH = 5, 25, 64
_MEASURING_S = 0.1
_SLOW_NS, _SECOND_CHANCES = 2_000_000, 4
_ACTIVATION_FLOATS = 16 * 1024 * 1024
_INLINE_ROWS = 256
_SEQUENCES = 64
_TERMINATED = "terminate flag"
_KINDS: dict[str, str] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
"""The tensors that can be asked for and answered: numbers. No text, no sequence, no map."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How a model may run.

    `inline_us`: the longest run that stays on the event loop; `batch_rows`: most rows in one run (64 for a sequence
    model); `deadline_s`: the longest that a request may take; `waiting_rows`: most rows that wait for the model.
    """

    gpu: GpuPolicy = "auto"
    inline_us: float = 500.0
    batch_rows: int = 2048
    deadline_s: float = 10.0
    waiting_rows: int = 1_000_000


class OnnxModel:
    """A loaded model; `close` ends its threads.

    A model of tensors, whose card names no features, answers `infer` alone.
    """

    def __init__(
        self, card: ModelCard, payload: bytes, rules: SessionRules, open_with: Callable[..., Opened] = open_session
    ) -> None:
        started = time.perf_counter()
        self.card = card
        opened = open_with(payload, rules.gpu, bounded=not card.features, model=card.name)
        self._session = opened.session
        self.inputs, self.outputs = _ends(self._session, card)
        self._stopping = ort.RunOptions()
        self._deadline_s = rules.deadline_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"tensors-{card.name}")
        self._queue: RunQueue | None = None
        self.running = Running(device=opened.device, load_ms=0.0, run_ns=0, inline=False, device_note=opened.note)
        if card.features:
            self._bind(card)
            self._prepare(card, rules)
        self.running = replace(self.running, load_ms=(time.perf_counter() - started) * 1e3)

    async def logit(self, features: Sequence[float]) -> float:
        """The log odds of one row; runs at once, or on the worker thread when the model is slow."""
        if self.running.inline:
            self._pack(self._sample_bytes, 0, *features)
            return self._run_bound()
        return float((await self.logits(np.array([features], np.float64)))[0])

    async def window_logit(self, window: Samples) -> float:
        """The log odds of one window (T, F) of a sequence model, the newest row last."""
        if self.running.inline:
            self._sample[0] = window
            return self._run_bound()
        return float((await self.logits(window[None].copy()))[0])  # the caller's view may change meanwhile

    async def logits(self, samples: npt.NDArray[np.floating[Any]]) -> Floats:
        """The log odds of (N, F) rows, or (N, T, F) windows; waits together with other requests."""
        expect_features(self.card)
        assert self._queue is not None
        return await self._queue.ask(np.ascontiguousarray(samples, np.float32))

    async def infer(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, npt.NDArray[Any]]:
        """Any tensors by name; all outputs unless some are named. Raises InvalidArgument for what does not fit."""
        asked = list(outputs) or [output.name for output in self.outputs]
        _check_names(self.card, inputs, self.inputs, asked, self.outputs)
        options, loop = ort.RunOptions(), asyncio.get_running_loop()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        timer = loop.call_later(self._deadline_s, setattr, options, "terminate", True)
        try:
            found = await loop.run_in_executor(self._thread, _run, self._session, asked, dict(inputs), options)
        finally:
            timer.cancel()
            options.terminate = True  # whoever asked has gone: so has the reason to go on
        return dict(zip(asked, found, strict=True))

    def run(self, samples: Samples) -> Floats:
        """The logits of some samples, here and now; one run."""
        answer = _run(self._session, [self.outputs[0].name], {self.inputs[0].name: samples}, self._stopping)[0]
        return np.asarray(answer[:, 0], np.float64)

    def run_tensors(self, inputs: Tensors) -> list[npt.NDArray[Any]]:
        """All outputs for some tensors, here and now."""
        return _run(self._session, [output.name for output in self.outputs], dict(inputs), self._stopping)

    def close(self) -> None:
        """Wait for runs in progress and end the threads."""
        if self._queue is not None:
            self._queue.close()
        self._thread.shutdown()

    def _prepare(self, card: ModelCard, rules: SessionRules) -> None:
        """Measure how long it takes, and so where it runs."""
        run_ns, row_ns = self._measure()
        inline = run_ns <= rules.inline_us * 1e3
        chunk = rules.batch_rows if len(card.sample_shape) == 1 else min(rules.batch_rows, _SEQUENCES)
        chunk = max(1, min(chunk, _ACTIVATION_FLOATS // max(card.activations, 1)))
        inline_rows = min(_INLINE_ROWS, int(rules.inline_us * 1e3 / row_ns)) if inline else 0
        queue_rules = QueueRules(chunk, inline_rows, rules.waiting_rows, rules.deadline_s)
        self._queue = RunQueue(card.name, self._run_alone, self._stop, queue_rules)
        self.running = replace(self.running, run_ns=run_ns, inline=inline)

    def _measure(self) -> tuple[int, float]:
        """The time of one sample, and of one among 64; a model that does not end in time is refused."""
        with self.limited():
            once_ns = _timed(lambda: self.run(self._sample))
            for _ in range(_SECOND_CHANCES):  # a busy machine may have held it up; that must not count for ever
                if _SLOW_NS < once_ns < _MEASURING_S * 1e9:
                    once_ns = min(once_ns, _timed(lambda: self.run(self._sample)))
            if once_ns > _SLOW_NS:
                return once_ns, float(once_ns)
            batch = np.zeros((_MEASURED_BATCH, *self._sample.shape[1:]), np.float32)
            row_ns = _measured_ns(lambda: self.run(batch)) / _MEASURED_BATCH
            return _measured_ns(self._run_bound), max(row_ns, 1.0)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """A trial while loading: what `run` cannot do, or not within the deadline, refuses the model."""
        timer = Timer(self._deadline_s, self._stop)
        timer.start()
        try:
            yield
        except DeadlineExceeded as error:
            raise ModelRefused(
                Refusal.TIME, f"Its trial took more than {self._deadline_s} s.", model=self.card.name
            ) from error
        except ResourceExhausted as error:
            raise ModelRefused(Refusal.MEMORY, error.message, model=self.card.name) from error
        except InvalidArgument as error:
            raise ModelRefused(Refusal.RUNTIME, error.message, model=self.card.name) from error
        finally:
            timer.cancel()

    def _bind(self, card: ModelCard) -> None:
        self._pack = struct.Struct(f"={len(card.features)}f").pack_into
        self._sample = np.zeros((1, *card.sample_shape), np.float32)
        self._logit = np.zeros((1, 1), np.float32)
        self._sample_bytes = self._sample.data.cast("B")
        self._said = self._logit.data.cast("B").cast("f")  # a tenth of a microsecond to read; an array takes two
        binding = self._session.io_binding()
        for bind, name, array in (
            (binding.bind_input, self.inputs[0].name, self._sample),
            (binding.bind_output, self.outputs[0].name, self._logit),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._binding = binding

    def _run_bound(self) -> float:
        self._session.run_with_iobinding(self._binding)
        said: float = self._said[0]
        return said

    def _run_alone(self, samples: Samples) -> Floats:
        self._stopping.terminate = False
        return self.run(samples)

    def _stop(self) -> None:
        self._stopping.terminate = True


def _run(session: Any, outputs: list[str], inputs: dict[str, Any], options: Any) -> list[npt.NDArray[Any]]:
    try:
        found: list[npt.NDArray[Any]] = session.run(outputs, inputs, options)
    except FAILURES as error:
        if _TERMINATED in str(error):
            raise DeadlineExceeded("The model was still running at its deadline and was stopped.") from error
        if any(sign in str(error) for sign in NO_MEMORY):
            raise ResourceExhausted(
                f"The model needs more memory than it may take: {str(error)[:300]}", reason="MODEL_MEMORY"
            ) from error
        raise InvalidArgument(f"ONNX Runtime refuses the input: {str(error)[:500]}", reason="MODEL_INPUT") from error
    return found


def _measured_ns(run: Callable[[], object]) -> int:
    """The median time of a run, after some to warm up; few runs when each takes long."""
    until = time.perf_counter() + _MEASURING_S
    for _ in range(_WARM_UP_RUNS):
        run()
        if time.perf_counter() > until:
            break
    times = [_timed(run)]
    while len(times) < _MEASURED_RUNS and time.perf_counter() < until:
        times.append(_timed(run))
    return sorted(times)[len(times) // 2]


def _timed(run: Callable[[], object]) -> int:
    started_ns = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - started_ns


def _ends(session: Any, card: ModelCard) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What goes in and what comes out; raises ModelRefused when that is not what the card says."""
    found = [(end.name, end.type, end.shape) for end in (*session.get_inputs(), *session.get_outputs())]
    strange = [end for end in found if end[1] not in _KINDS]
    if strange:
        was = f"Expected tensors of numbers alone, was {strange[:3]}."
        raise ModelRefused(Refusal.SHAPE, was, model=card.name)
    inputs, outputs = ([_spec_of(end) for end in ends] for ends in (session.get_inputs(), session.get_outputs()))
    if card.features and not _fit(inputs, outputs, card.sample_shape):
        wanted = "×".join(map(str, ("n", *card.sample_shape)))
        was = f"Expected one float input of {wanted} and one float output of n×1, was {found[:4]}."
        raise ModelRefused(Refusal.SHAPE, was, model=card.name)
    return tuple(inputs), tuple(outputs)


def _spec_of(end: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in end.shape)
    return TensorSpec(end.name, _KINDS[end.type], shape)


def _fit(inputs: list[TensorSpec], outputs: list[TensorSpec], sample: tuple[int, ...]) -> bool:
    wanted_in, wanted_out = ("float32", (-1, *sample)), ("float32", {(-1, 1)})
    return (
        len(inputs) == len(outputs) == 1
        and (inputs[0].dtype, inputs[0].shape) == wanted_in
        and outputs[0].dtype == wanted_out[0]
        and outputs[0].shape in wanted_out[1]
    )


def _check_names(
    card: ModelCard, given: Tensors, inputs: Sequence[TensorSpec], asked: Sequence[str], outputs: Sequence[TensorSpec]
) -> None:
    expected, offered = {each.name: each for each in inputs}, {each.name for each in outputs}
    if given.keys() != expected.keys():
        raise InvalidArgument(
            f"Expected the inputs {sorted(expected)} of {card.name!r}, was {sorted(given)}.", field="inputs"
        )
    unknown = sorted(set(asked) - offered)
    if unknown:
        raise InvalidArgument(f"{card.name!r} has no outputs {unknown}, it has {sorted(offered)}.", field="outputs")
    for name, array in given.items():
        _check_tensor(array, expected[name])


def _check_tensor(array: npt.NDArray[Any], spec: TensorSpec) -> None:
    fits = len(array.shape) == len(spec.shape) and all(
        size in (-1, was) for size, was in zip(spec.shape, array.shape, strict=True)
    )
    if array.dtype.name != spec.dtype or not fits:
        raise InvalidArgument(
            f"Expected {spec.name!r} as {spec.dtype} of {list(spec.shape)}, was {array.dtype} of {list(array.shape)}.",
            field=f"inputs.{spec.name}",
        )
