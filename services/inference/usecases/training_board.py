"""Every training job as it is now: kept, told to whoever watches, and published."""

import asyncio
from collections.abc import AsyncIterator

from services.inference.domain.training import TrainingJob
from services.inference.domain.training_page import JobPage, JobQuestion, forgettable, page_of
from services.inference.ports import TrainingNews, TrainingStore
from trading.errors import NotFound


class TrainingBoard:
    """Jobs by id, of those that have ended the newest `kept`; a change is on disk before anybody hears of it."""

    def __init__(self, store: TrainingStore, news: TrainingNews, kept: int) -> None:
        self._store, self._news, self._kept = store, news, kept
        self._jobs: dict[str, TrainingJob] = {}
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()

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

    def knows_of(self, model: str) -> bool:
        """Whether there is a job of this model."""
        return any(job.model == model for job in self._jobs.values())

    def page(self, question: JobQuestion) -> JobPage:
        """Jobs that fit, newest first; raises InvalidArgument for a cursor that is none."""
        return page_of(self._jobs.values(), question)

    async def put(self, job: TrainingJob) -> None:
        """A job as it is from now on; one that has ended meanwhile stays as it ended. Raises Unavailable: the disk."""
        async with self._writing:
            known = self._jobs.get(job.id)
            if known is not None and known.has_ended:
                return
            await self._store.save(job)
            self._jobs[job.id] = job
            if job.has_ended:
                await self._forget_oldest()
        await self._tell(job)

    async def show(self, job: TrainingJob) -> None:
        """The same for a job that is on disk already, or that the disk does not take."""
        async with self._writing:
            self._jobs[job.id] = job
        await self._tell(job)

    async def tidy(self, job_id: str) -> None:
        """Let go of what the work of a job left, once no process works on it any more."""
        async with self._writing:
            job = self._jobs.get(job_id)
            if job is not None and job.has_ended:
                await self._store.save(job)

    async def _forget_oldest(self) -> None:
        for job_id in forgettable(self._jobs.values(), self._kept):
            del self._jobs[job_id]
            await self._store.forget(job_id)

    async def _tell(self, job: TrainingJob) -> None:
        async with self._changed:
            self._changed.notify_all()
        await self._news.changed(job)

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
