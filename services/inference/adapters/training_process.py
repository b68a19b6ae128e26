"""A training job as a process of its own: started, listened to, and killed when nobody wants it any more."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec

from services.inference.adapters.training_files import CARD, MODEL, TrainingFiles
from services.inference.adapters.training_worker import Said, WorkerRules
from services.inference.domain.training import TrainingJob
from services.inference.ports import Made, TrainingProgress
from trading.errors import FailedPrecondition, Unavailable

_MODULE = "services.inference.adapters.training_worker"
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Batches are small: more threads only fight one another, and the serving process."""
_LONGEST_LINE = 1 << 20


class TrainingProcess:
    """The `Trainer` port over one spawned process per job."""

    def __init__(self, files: TrainingFiles, rules: WorkerRules) -> None:
        self._files, self._rules = files, rules

    async def train(self, job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
        """Losses after each epoch, and last what was made; closing this iterator ends the process.

        Raises FailedPrecondition with what the process said was wrong, and Unavailable when it ended without a word.
        """
        directory = self._files.directory(job.id)
        process = await self._start(directory)
        losses: tuple[float, ...] = ()
        try:
            async for said in _lines(process):
                losses += said.losses
                yield _progress(said, losses, directory)
                if said.done:
                    return
            raise Unavailable(f"The training process ended without an answer: code {await process.wait()}.")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _start(self, directory: Path) -> Process:
        rules = msgspec.json.encode(self._rules).decode()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE, str(directory), rules),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, **_ONE_THREAD},
            limit=_LONGEST_LINE,
        )


async def _lines(process: Process) -> AsyncIterator[Said]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if not line.endswith(b"\n"):
            return  # killed in the middle of a word
        yield msgspec.json.decode(line, type=Said)


def _progress(said: Said, losses: tuple[float, ...], directory: Path) -> TrainingProgress:
    if said.error:
        reason, _, message = said.error.partition(": ")
        raise FailedPrecondition(message, reason=reason)
    made = Made(directory / MODEL, directory / CARD, said.accuracy, said.metrics) if said.done else None
    return TrainingProgress(losses, made)
