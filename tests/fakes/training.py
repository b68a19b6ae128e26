"""The ports of training in memory."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from services.inference.domain.errors import StorageFailed
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.training import TrainingJob, TrainingSet, TrainingState
from services.inference.domain.training_errors import NotTrainable
from services.inference.ports import Made, TrainingProgress
from trading.errors import UnknownModel

MADE = Made(Path("model.safetensors"), Path("card.md"), 0.6, {"brier_skill": 0.1})


class FakeStore:
    """Jobs as they were saved, oldest first; there is no room for those in the states `full_for`."""

    def __init__(self, *kept: TrainingJob) -> None:
        self.jobs = {job.id: job for job in kept}
        self.rows: dict[str, TrainingSet] = {}
        self.saved: list[TrainingJob] = []
        self.full_for = frozenset[TrainingState]()

    async def add(self, job: TrainingJob, rows: TrainingSet) -> None:
        self.rows[job.id] = rows
        await self.save(job)

    async def save(self, job: TrainingJob) -> None:
        if job.state in self.full_for:
            raise StorageFailed("There is no room.")
        self.jobs[job.id] = job
        self.saved.append(job)

    async def forget(self, job_id: str) -> None:
        del self.jobs[job_id]

    async def all(self) -> list[TrainingJob]:
        return sorted(self.jobs.values(), key=lambda job: job.created_ns)


class FakeNews:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.told: list[TrainingJob] = []

    async def changed(self, job: TrainingJob) -> None:
        self.told.append(job)


Script = Callable[[TrainingJob], AsyncGenerator[TrainingProgress, None]]


class FakeTrainer:
    """Plays one script after another, the last one for ever; remembers which jobs it began and which it let go."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.began: list[str] = []
        self.ended: list[str] = []

    async def train(self, job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
        self.began.append(job.id)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            async for progress in script(job):
                yield progress
        finally:
            self.ended.append(job.id)


async def succeeding(job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
    """Two epochs and a model."""
    yield TrainingProgress((0.7,), None)
    yield TrainingProgress((0.7, 0.6), MADE)


async def endless(job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
    """One epoch, and nothing more."""
    yield TrainingProgress((0.7,), None)
    await asyncio.Event().wait()


def failing(error: Exception) -> Script:
    """One epoch, then an error."""

    async def script(job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
        yield TrainingProgress((0.7,), None)
        raise error

    return script


class FakeRegistry:
    """One trainable model in version 3, beside one that came as ONNX."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self.stored: list[str] = []
        self.received_versions: list[tuple[str, str]] = []
        self.refusal: Exception | None = None

    async def status(self, name: str) -> Any:
        if name not in ("", "small", "from-onnx"):
            raise UnknownModel(f"No model is called {name!r}.", model=name)
        return SimpleNamespace(card=SimpleNamespace(name=name or "small", version="3"))

    async def spec(self, name: str, version: str) -> ModelSpec:
        if name == "from-onnx":
            raise NotTrainable("It can be served, not trained.", model=name)
        return self._spec

    async def store(self, name: str, made: Made) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.stored.append(name)
        return "4"

    async def received(self, name: str, version: str) -> None:
        self.received_versions.append((name, version))
