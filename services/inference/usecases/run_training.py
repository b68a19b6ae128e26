"""Work through the queue of training jobs, one after another; a job that a kill interrupted goes on."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from services.inference.domain.errors import StorageFailed
from services.inference.domain.training import TrainingJob
from services.inference.ports import Made, TrainedModels, Trainer
from services.inference.usecases.serve_models import ServeModels
from services.inference.usecases.training_board import TrainingBoard
from trading.clock import Clock
from trading.errors import ResourceExhausted, TradingError, Unavailable

_RETRY_AFTER_S = 30
DIED = "TRAINING_PROCESS_DIED"


@dataclass(frozen=True, slots=True)
class QueueRules:
    """The most jobs that wait, and how often a process may die over one job."""

    waiting_max: int
    attempts_max: int


class RunTraining:
    """The queue and the loop that empties it."""

    def __init__(
        self,
        board: TrainingBoard,
        trainer: Trainer,
        served: ServeModels,
        models: TrainedModels,
        clock: Clock,
        rules: QueueRules,
        log: Any,
    ) -> None:
        self._board, self._trainer, self._served, self._models = board, trainer, served, models
        self._clock, self._rules, self._log = clock, rules, log
        self._waiting: deque[str] = deque()
        self._awaited = 0
        self._arrived = asyncio.Event()
        self._working: tuple[str, asyncio.Task[None]] | None = None

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue while a job is being kept; raises ResourceExhausted when there is none."""
        if len(self._waiting) + self._awaited >= self._rules.waiting_max:
            raise ResourceExhausted(
                f"Expected at most {self._rules.waiting_max} waiting training jobs.",
                reason="TRAINING_QUEUE_FULL",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._awaited += 1
        try:
            yield
        finally:
            self._awaited -= 1

    def enqueue(self, job_id: str) -> None:
        """Wait for the loop."""
        self._waiting.append(job_id)
        self._arrived.set()

    def end(self, job_id: str) -> None:
        """Stop working on a job, or waiting for it."""
        if job_id in self._waiting:
            self._waiting.remove(job_id)
        if self._working and self._working[0] == job_id:
            self._working[1].cancel()

    async def run(self) -> None:
        """Take up what was interrupted, then work for ever."""
        for job in await self._board.recall():
            if job.id not in self._waiting:
                self.enqueue(job.id)
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._work(self._waiting.popleft())
            self._arrived.clear()

    async def _work(self, job_id: str) -> None:
        """One job to its end, in a task of its own so that it can be ended without the loop."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._attempt(self._board.get(job_id)))
            self._working = job_id, task
        self._working = None
        try:
            await self._board.tidy(job_id)
        except Unavailable as error:
            self._log.error("training.leftovers_stay", job=job_id, error=error.message)

    async def _attempt(self, job: TrainingJob) -> None:
        try:
            await self._train(job)
        except TradingError as error:
            self._log.warning("training.failed", job=job.id, model=job.model, reason=error.reason, error=error.message)
            await self._fail(job.id, error)

    async def _fail(self, job_id: str, error: TradingError) -> None:
        """A disk that does not take the end either finds the job unended at the next start, and it is tried again."""
        failed = self._board.get(job_id).failed(f"{error.reason}: {error.message}", self._clock.now_ns())
        try:
            await self._board.put(failed)
        except Unavailable as unsaved:
            self._log.error("training.end_not_kept", job=job_id, error=unsaved.message)
            await self._board.show(failed)

    async def _train(self, job: TrainingJob) -> None:
        await self._board.put(job.started(self._clock.now_ns()))
        for attempt in range(1, self._rules.attempts_max + 1):
            try:
                made = await self._follow(job.id)
            except StorageFailed:
                raise
            except Unavailable as error:
                self._log.warning("training.process_died", job=job.id, attempt=attempt, error=error.message)
            else:
                return await self._succeed(job.id, made)
        raise Unavailable(f"The training process died {self._rules.attempts_max} times.", reason=DIED)

    async def _follow(self, job_id: str) -> Made:
        async with aclosing(self._trainer.train(self._board.get(job_id))) as work:
            async for progress in work:
                if progress.losses != self._board.get(job_id).loss:
                    await self._board.put(self._board.get(job_id).advanced(progress.losses))
                if progress.made is not None:
                    return progress.made
        raise Unavailable("The training process ended without a model.")

    async def _succeed(self, job_id: str, made: Made) -> None:
        job = self._board.get(job_id)
        version = await self._models.store(job.model, made)
        await self._served.received(job.model, version)
        await self._board.put(job.succeeded(version, made.accuracy, made.metrics, self._clock.now_ns()))
        self._log.info("training.succeeded", job=job_id, model=job.model, version=version)
