"""Which training jobs a list shows, page by page, and which are old enough to be forgotten."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.inference.domain.training import TrainingJob, TrainingState
from trading.errors import InvalidArgument

PAGE, PAGE_MOST = 100, 500
_Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class JobQuestion:
    """Jobs of a model ("" means all) in some states (none means all), after `cursor`; `limit` 0 is the usual page."""

    model: str = ""
    states: frozenset[TrainingState] = frozenset()
    limit: int = 0
    cursor: str = ""


class JobPage(NamedTuple):
    """Jobs, newest first; `next_cursor` is empty on the last page."""

    jobs: Sequence[TrainingJob]
    next_cursor: str


def page_of(jobs: Iterable[TrainingJob], question: JobQuestion) -> JobPage:
    """A page; raises InvalidArgument for a limit out of bounds or a cursor that no page gave.

    A cursor is the place of a job, not the job: it holds when the job has been forgotten.
    """
    limit = question.limit or PAGE
    if not 1 <= limit <= PAGE_MOST:
        raise InvalidArgument(f"Expected 1 to {PAGE_MOST} jobs, was {question.limit}.", parameter="limit")
    before = _place_behind(question.cursor) if question.cursor else None
    fitting = [job for job in jobs if _fits(job, question) and (before is None or _place(job) < before)]
    newest_first = sorted(fitting, key=_place, reverse=True)
    page = newest_first[:limit]
    return JobPage(page, _cursor(page[-1]) if len(newest_first) > limit else "")


def forgettable(jobs: Iterable[TrainingJob], kept: int) -> list[str]:
    """Ids of the jobs that have ended, but for the newest `kept` of them."""
    ended = sorted((job for job in jobs if job.has_ended), key=_place)
    return [job.id for job in ended[: max(0, len(ended) - kept)]]


def _fits(job: TrainingJob, question: JobQuestion) -> bool:
    return question.model in ("", job.model) and (not question.states or job.state in question.states)


def _place(job: TrainingJob) -> _Place:
    return job.created_ns, job.id


def _cursor(job: TrainingJob) -> str:
    return f"{job.created_ns}.{job.id}"


def _place_behind(cursor: str) -> _Place:
    created, _, job_id = cursor.partition(".")
    if not (created.isascii() and created.isdigit() and len(created) <= 19 and job_id):
        raise InvalidArgument("Expected the cursor of a page before.", parameter="cursor")
    return int(created), job_id
