"""Every training job as it is now: kept, told to whoever watches, and published."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from services.inference.domain.training import TrainingJob
from services.inference.ports import TrainingNews, TrainingStore
from trading.errors import NotFound

MOST_LISTED = 100


class TrainingBoard:
    """Jobs by id; a change is on disk before anybody hears of it."""

    def __init__(self, store: TrainingStore, news: TrainingNews) -> None:
        self._store, self._news = store, news
        self._jobs: dict[str, TrainingJob] = {}
        self._changed = asyncio.Condition()

    async def recall(self) -> list[TrainingJob]:
        """Read what was kept; gives the jobs that have not ended, oldest first."""
        self._jobs |= {job.id: job for job in await self._store.all()}
        return [job for job in self._jobs.values() if not job.has_ended]

    def get(self, job_id: str) -> TrainingJob:
        """One job; raises NotFound."""
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"There is no training job {job_id!r}.", reason="UNKNOWN_TRAINING_JOB", job=job_id)
        return job

    def newest(self, model: str, limit: int) -> Sequence[TrainingJob]:
        """Jobs of a model, or of all with "", newest first."""
        found = [job for job in self._jobs.values() if model in ("", job.model)]
        return found[::-1][: limit if limit > 0 else MOST_LISTED]

    async def put(self, job: TrainingJob) -> None:
        """A job as it is from now on; one that has ended meanwhile stays as it ended."""
        known = self._jobs.get(job.id)
        if known is not None and known.has_ended:
            return
        self._jobs[job.id] = job
        await self._store.save(job)
        async with self._changed:
            self._changed.notify_all()
        await self._news.changed(job)

    async def tidy(self, job_id: str) -> None:
        """Let go of what the work of a job left, once no process works on it any more."""
        job = self.get(job_id)
        if job.has_ended:
            await self._store.save(job)

    async def watch(self, job_id: str) -> AsyncIterator[TrainingJob]:
        """The job now and after each change, until it has ended; a slow reader misses what came between."""
        shown = self.get(job_id)
        yield shown
        while not shown.has_ended:
            async with self._changed:
                while self.get(job_id) is shown:
                    await self._changed.wait()
            shown = self.get(job_id)
            yield shown
