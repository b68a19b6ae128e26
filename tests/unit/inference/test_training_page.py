"""Lists of training jobs: which ones, in which order, page by page."""

import pytest
from builders.training import a_job

from services.inference.domain.training import TrainingState
from services.inference.domain.training_page import PAGE, JobQuestion, forgettable, page_of
from trading.errors import InvalidArgument

JOBS = [a_job(id=f"job-{number}", created_ns=number // 2) for number in range(7)]


def ids(question: JobQuestion) -> list[str]:
    return [job.id for job in page_of(JOBS, question).jobs]


def test_pages_hold_every_job_once_the_newest_first() -> None:
    seen, cursor = [], ""
    for _ in range(4):
        page = page_of(JOBS, JobQuestion(limit=2, cursor=cursor))
        seen += [job.id for job in page.jobs]
        cursor = page.next_cursor
    assert seen == [f"job-{number}" for number in range(6, -1, -1)]
    assert cursor == ""


def test_a_cursor_holds_when_its_job_is_gone_and_newer_ones_have_come() -> None:
    cursor = page_of(JOBS, JobQuestion(limit=3)).next_cursor
    later = [job for job in JOBS if job.id != "job-4"] + [a_job(id="job-9", created_ns=99)]
    assert [job.id for job in page_of(later, JobQuestion(cursor=cursor)).jobs] == ["job-3", "job-2", "job-1", "job-0"]


def test_jobs_are_picked_by_model_and_state() -> None:
    ended, other = a_job(id="ended", state=TrainingState.FAILED), a_job(id="other", model="other")
    jobs = [*JOBS, ended, other]
    picked = JobQuestion(states=frozenset({TrainingState.FAILED, TrainingState.CANCELED}))
    assert page_of(jobs, picked).jobs == [ended]
    assert page_of(jobs, JobQuestion(model="other")).jobs == [other]
    assert page_of([], JobQuestion()) == ([], "")


@pytest.mark.parametrize("limit", [-1, 501, 2**31 - 1])
def test_a_page_has_bounds(limit: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        page_of(JOBS, JobQuestion(limit=limit))
    assert refused.value.metadata["parameter"] == "limit"
    many = [a_job(id=f"{number:04}", created_ns=number) for number in range(PAGE + 1)]
    assert len(page_of(many, JobQuestion()).jobs) == PAGE


@pytest.mark.parametrize("cursor", ["x", ".", "1", "1.", "-1.job", "٣.job", "1" * 20 + ".job"])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ids(JobQuestion(cursor=cursor))
    assert refused.value.metadata["parameter"] == "cursor"


def test_the_newest_that_have_ended_are_kept_and_whatever_has_not() -> None:
    jobs = [a_job(id=f"job-{number}", created_ns=number, state=TrainingState.SUCCEEDED) for number in range(4)]
    running = a_job(id="running", created_ns=0, state=TrainingState.RUNNING)
    assert forgettable([*reversed(jobs), running], 2) == ["job-0", "job-1"]
    assert forgettable([running], 0) == []
