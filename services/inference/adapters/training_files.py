"""Training jobs on disk: a directory for each, with its record, its rows, its checkpoint and what came of it.

A record is replaced by rename, so that a kill leaves the one before or the one after. Rows, checkpoint and the made
model go when the job has ended; records stay, the newest `kept` of them.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.inference.adapters.storage import storing
from services.inference.domain.errors import StorageFailed
from services.inference.domain.training import TrainingJob, TrainingSet
from services.inference.domain.training_page import forgettable

RECORD, ROWS, CHECKPOINT = "job.json", "rows.npz", "checkpoint.npz"
MODEL, CARD = "model.safetensors", "card.md"
_JOBS = "The directory of training jobs"


class TrainingFiles:
    """The `TrainingStore` port over a directory."""

    def __init__(self, root: Path, kept: int, log: Any) -> None:
        self._root, self._kept, self._log = root, kept, log

    def directory(self, job_id: str) -> Path:
        """Where everything of a job lies."""
        return self._root / job_id

    async def add(self, job: TrainingJob, rows: TrainingSet) -> None:
        """Keep a new job with its rows; both are on disk when this returns."""
        await asyncio.to_thread(self._add, job, rows)

    async def save(self, job: TrainingJob) -> None:
        """Replace the record; what only the work needed goes once the job has ended."""
        await asyncio.to_thread(self._save, job)

    async def all(self) -> list[TrainingJob]:
        """Every record, oldest first; the oldest ended ones beyond the bound are forgotten."""
        return await asyncio.to_thread(self._all)

    async def forget(self, job_id: str) -> None:
        """Remove a job's directory."""
        await asyncio.to_thread(shutil.rmtree, self.directory(job_id), ignore_errors=True)

    @storing(_JOBS)
    def _add(self, job: TrainingJob, rows: TrainingSet) -> None:
        directory = self.directory(job.id)
        try:
            directory.mkdir(parents=True)
            write_arrays(directory / ROWS, {"features": rows.features, "labels": rows.labels})
            self._save(job)
        except (OSError, StorageFailed):
            shutil.rmtree(directory, ignore_errors=True)
            raise

    @storing(_JOBS)
    def _save(self, job: TrainingJob) -> None:
        directory = self.directory(job.id)
        replace(directory / RECORD, msgspec.json.encode(job))
        if job.has_ended:
            for path in directory.iterdir():
                if path.name != RECORD:
                    path.unlink(missing_ok=True)

    def _all(self) -> list[TrainingJob]:
        found = []
        for directory in sorted(self._root.glob("*/")):
            try:
                found.append(read_job(directory))
            except (
                OSError,
                msgspec.DecodeError,
            ) as error:  # a kill between the rows and the record: never answered for
                self._log.warning("training.record_unreadable", job=directory.name, error=str(error))
        jobs = sorted(found, key=lambda job: (job.created_ns, job.id))
        forgotten = set(forgettable(jobs, self._kept))
        for job_id in forgotten:
            shutil.rmtree(self.directory(job_id), ignore_errors=True)
        return [job for job in jobs if job.id not in forgotten]


def read_job(directory: Path) -> TrainingJob:
    """The record in a job's directory."""
    return msgspec.json.decode((directory / RECORD).read_bytes(), type=TrainingJob)


def read_rows(directory: Path) -> TrainingSet:
    """The rows in a job's directory."""
    with np.load(directory / ROWS, allow_pickle=False) as kept:
        return TrainingSet(kept["features"], kept["labels"])


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Arrays whole or not at all."""
    written = path.with_name(f".{path.name}")
    with written.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


def replace(path: Path, content: bytes) -> None:
    """Bytes whole or not at all."""
    written = path.with_name(f".{path.name}")
    with written.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
