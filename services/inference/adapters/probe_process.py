"""The process of a model's trial: takes limits upon itself, loads, runs, and says in one JSON line how it went."""

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_runtime import NO_MEMORY
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model import TensorSpec
from trading.errors import InvalidArgument, TradingError

_OPEN_FILES = 256
_MOST_ELEMENTS = 1 << 24


def main(argument: str) -> int:
    """Run the trial that the argument, JSON, describes; 0 unless the process itself is brought down."""
    asked = json.loads(argument)
    _limit(int(asked["memory_bytes"]), float(asked["seconds"]))
    try:
        _try(Path(asked["directory"]), float(asked["seconds"]), int(asked["batch_rows"]))
    except MemoryError:
        return _say(Refusal.MEMORY, "It needs more memory than a model may take.")
    except ModelRefused as refusal:
        return _say(Refusal.MEMORY if _is_memory(refusal.message) else refusal.why, refusal.message)
    except TradingError as error:
        return _say(Refusal.MEMORY if _is_memory(error.message) else Refusal.RUNTIME, error.message)
    return _say(None, "")


def _limit(memory_bytes: int, seconds: float) -> None:
    """Limits of memory, of time on the CPU and on the clock; no core dump, no file written."""
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 5, int(seconds) + 6))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # nobody has to be awake for it: the kernel ends the process
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _address_space() -> int:
    """What the interpreter and the runtime themselves have mapped."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: a number that is ample everywhere
        return 8 * 1024**3
    return pages * resource.getpagesize()


def _try(directory: Path, seconds: float, batch_rows: int) -> None:
    model = load_model(directory, SessionRules(gpu="off", deadline_s=seconds, batch_rows=batch_rows))
    if not model.card.features:
        _run_tensors(model)
        return
    for count in (1, batch_rows if model.card.window == 1 else min(batch_rows, 64)):
        logits = model.run(np.zeros((count, *model.card.sample_shape), np.float32))
        if logits.shape != (count,):
            raise ModelRefused(Refusal.SHAPE, f"Expected {count} logits, was {logits.shape}.")
        if not np.isfinite(logits).all():
            raise ModelRefused(Refusal.NOT_FINITE, "It makes no finite number of zeros.")


def _run_tensors(model: OnnxModel) -> None:
    """Zeros of every shape; that a graph wants other values is no reason to refuse it, that it takes all memory is."""
    try:
        model.run_tensors({spec.name: _zeros(spec) for spec in model.inputs})
    except InvalidArgument as error:
        if _is_memory(error.message):
            raise


def _zeros(spec: TensorSpec) -> np.ndarray[Any, np.dtype[Any]]:
    shape = [1 if size < 0 else size for size in spec.shape]
    if np.prod(shape, dtype=np.float64) > _MOST_ELEMENTS:
        raise ModelRefused(Refusal.TOO_BIG, f"Its input {spec.name!r} has the shape {shape}.")
    return np.zeros(shape, spec.dtype)


def _is_memory(message: str) -> bool:
    return any(sign in message for sign in NO_MEMORY)


def _say(why: Refusal | None, message: str) -> int:
    print(json.dumps({"why": why, "message": message}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
