"""A process that trains one job and ends: at its end, when its parent closes the pipe, or when memory runs out.

It reads the job's directory and leaves the model and its card there. What it says on stdout are JSON lines: losses as
epochs end, and the result. From time to time it leaves a checkpoint that the next process goes on from.
"""

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from services.inference.adapters.code_version import code_version
from services.inference.adapters.safetensors_file import write_model
from services.inference.adapters.torch_trainer import TorchLearning
from services.inference.adapters.training_files import (
    CARD,
    CHECKPOINT,
    MODEL,
    read_job,
    read_rows,
    replace,
    write_arrays,
)
from services.inference.domain.architectures import Mlp, Tcn
from services.inference.domain.errors import StorageFailed
from services.inference.domain.learning import Learning, NumpyLearning, fitted_scaler, recipe_for, scaler_spec
from services.inference.domain.trained import Parts, conclude, describe, metrics, parts, samples_of
from services.inference.domain.trainer import Diverged
from services.inference.domain.training import TrainingJob, TrainingSet
from trading.errors import TradingError

OUT_OF_MEMORY = "TRAINING_OUT_OF_MEMORY"
DIVERGED = "TRAINING_DIVERGED"
FAULT = "TRAINING_FAULT"
_SAY_EVERY_S = 0.1
_BLAS_ROWS = 256


class WorkerRules(msgspec.Struct, frozen=True):
    """What bounds a process; `checkpoint_s` is the longest time of work that a kill can cost."""

    memory_bytes: int
    niceness: int = 10
    checkpoint_s: float = 1.0


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to the parent: losses since the line before, or how it ended."""

    losses: tuple[float, ...] = ()
    done: bool = False
    accuracy: float = 0.0
    metrics: dict[str, float] = {}
    error: str = ""


Say = Callable[[Said], None]


def work(directory: Path, checkpoint_s: float, target: BinaryIO) -> None:
    """Train the job in the directory and say how it goes."""

    def say(said: Said) -> None:
        target.write(msgspec.json.encode(said) + b"\n")
        target.flush()

    try:
        say(_train(directory, checkpoint_s, say))
    except MemoryError:
        say(Said(error=f"{OUT_OF_MEMORY}: The rows need more memory than a training job may use."))
    except Diverged as error:
        say(Said(error=f"{DIVERGED}: {error} A smaller learning rate may help."))
    except OSError as error:
        say(Said(error=f"{StorageFailed.REASON}: The job's directory: {error.strerror or error}."))
    except TradingError as error:
        say(Said(error=f"{error.reason}: {error.message}"))
    except Exception as error:  # the process boundary: the parent gets a name for it, the log gets the rest
        traceback.print_exc()
        say(Said(error=f"{FAULT}: {type(error).__name__}; the reason was logged."))


def _train(directory: Path, checkpoint_s: float, say: Say) -> Said:
    job, rows = read_job(directory), read_rows(directory)
    cut = parts(len(rows))
    learning = _learning(job, rows, cut)
    _learn(learning, directory / CHECKPOINT, checkpoint_s, say)
    scaler = scaler_spec(fitted_scaler(samples_of(rows, job.plan)[cut.train]))
    trained = conclude(learning, scaler, rows, job.plan, code_version())
    write_model(directory / MODEL, trained.spec, trained.tensors, trained.golden)
    replace(directory / CARD, describe(job.model, trained, job.plan, learning.losses).encode())
    return Said(done=True, accuracy=trained.accuracy, metrics=metrics(trained.score))


def _learn(learning: Learning, checkpoint: Path, checkpoint_s: float, say: Say) -> None:
    """Every epoch that is left, from the checkpoint where there is one."""
    if checkpoint.exists():
        with np.load(checkpoint, allow_pickle=False) as kept:
            learning.resume(kept)
    told, kept_at, said_at = 0, time.monotonic(), 0.0
    for _ in learning.epochs():
        now = time.monotonic()
        if now - kept_at >= checkpoint_s:
            write_arrays(checkpoint, learning.keep())
            kept_at = now
        if now - said_at >= _SAY_EVERY_S:
            say(Said(losses=tuple(learning.losses[told:])))
            told, said_at = len(learning.losses), now
    say(Said(losses=tuple(learning.losses[told:])))


def _learning(job: TrainingJob, rows: TrainingSet, cut: Parts) -> Learning:
    plan, features = job.plan, samples_of(rows, job.plan)[cut.train]
    labels = rows.labels[cut.train].astype(np.float32)
    hidden = getattr(plan.architecture, "hidden", ())
    recipe = recipe_for(
        len(labels), hidden if isinstance(hidden, tuple) else (), plan.epochs, plan.learning_rate, plan.seed
    )
    if isinstance(plan.architecture, Mlp | Tcn):
        return NumpyLearning(plan.architecture, features, labels, recipe)
    return TorchLearning(plan.architecture, features, labels, recipe)


def limit_memory(most_bytes: int) -> None:
    """Address space beyond which an allocation fails; what the interpreter has mapped already comes on top.

    The BLAS takes its buffer with its first product, before the limit: without one it ends the process.
    """
    np.ones((_BLAS_ROWS, _BLAS_ROWS), np.float32) @ np.ones((_BLAS_ROWS, _BLAS_ROWS), np.float32)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + most_bytes, hard))


def main() -> None:
    """Work on the directory of the first argument by the rules of the second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not break a line
    threading.Thread(target=_end_with_parent, daemon=True).start()
    rules = msgspec.json.decode(sys.argv[2], type=WorkerRules)
    os.nice(rules.niceness)
    limit_memory(rules.memory_bytes)
    work(Path(sys.argv[1]), rules.checkpoint_s, target)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
