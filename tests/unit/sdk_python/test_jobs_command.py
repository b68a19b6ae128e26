"""`ntrader jobs`: what is asked of the gateway, and what a reader sees."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.commands import jobs
from neural_trader.place import Place
from neural_trader.rest import Problem, Rest

from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.gateway.schemas.training import training_job_view

WAITING = pb.TrainingJob(
    id="job-1", model="mine", state=pb.TRAINING_STATE_QUEUED, epochs=3, rows=400, created_time_ns=7
)
Asked = Callable[..., tuple[int, list[httpx.Request]]]


def a_job(**changes: Any) -> Any:
    """A job as the gateway itself writes it."""
    job = pb.TrainingJob()
    job.CopyFrom(WAITING)
    job.MergeFrom(pb.TrainingJob(**changes))
    return training_job_view(job)


DONE = a_job(
    state=pb.TRAINING_STATE_SUCCEEDED,
    epoch=3,
    loss=[0.7, 0.6, 0.55],
    version="2",
    accuracy=0.61,
    started_time_ns=8,
    ended_time_ns=10**18,
    metrics={"brier_skill": 0.125},
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The exit code of a command and its requests, of a gateway that gives these answers one after another."""
    monkeypatch.setattr(jobs, "_LOOK_S", 0.0)

    def ask(answers: list[Any], *arguments: str) -> tuple[int, list[httpx.Request]]:
        heard: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            heard.append(request)
            return httpx.Response(200, json=answers[min(len(heard), len(answers)) - 1])

        chosen = _parser()[0].parse_args(["jobs", *arguments])
        with Rest(Place("http://127.0.0.1:1", "key"), transport=httpx.MockTransport(answer)) as rest:
            return chosen.run(chosen, rest), heard

    return ask


def test_jobs_are_listed_with_how_far_they_are(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    page = {"training_jobs": [a_job(), DONE], "next_cursor": "7.job-1"}
    filters = ("--model", "mine", "--state", "queued", "--state", "succeeded", "--limit", "2", "--cursor", "9.x")
    code, (request,) = asked([page], *filters)
    assert (code, request.method, request.url.path) == (0, "GET", "/v1/training-jobs")
    query = [("model", "mine"), ("state", "queued"), ("state", "succeeded"), ("limit", "2"), ("cursor", "9.x")]
    assert request.url.params.multi_items() == query
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["job-1", "1970-01-01", "00:00:00.000", "mine", "queued", "0/3", "-", "-", "-", "-"] in lines
    assert ["mine", "succeeded", "3/3", "0.5500", "0.6100", "2", "-"] in [line[3:] for line in lines]
    assert lines[-1] == ["more:", "--cursor", "7.job-1"]


def test_a_job_is_watched_until_it_has_succeeded(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    running = a_job(state=pb.TRAINING_STATE_RUNNING, epoch=1, loss=[0.7])
    code, heard = asked([a_job(), running, running, DONE], "watch", "job-1")
    assert code == 0
    assert {request.url.path for request in heard} == {"/v1/training-jobs/job-1"}
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "queued: epoch 0 of 3, loss -",
        "running: epoch 1 of 3, loss 0.7000",
        "succeeded: epoch 3 of 3, loss 0.5500",
    ]
    shown = [line.split() for line in told.out.splitlines()]
    assert ["version", "2"] in shown
    assert ["brier_skill", "0.125"] in shown


@pytest.mark.parametrize("state", [pb.TRAINING_STATE_FAILED, pb.TRAINING_STATE_CANCELED])
def test_a_job_that_ends_otherwise_is_exit_code_1(asked: Asked, state: pb.TrainingState.ValueType) -> None:
    assert asked([a_job(state=state, error="TRAINING_DIVERGED: Too fast.")], "watch", "job-1")[0] == 1


def test_a_job_is_shown_and_canceled(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked([DONE], "show", "job-1", "--json")[0] == 0
    assert json.loads(capsys.readouterr().out) == DONE
    code, (request,) = asked([a_job(state=pb.TRAINING_STATE_CANCELED)], "cancel", "a/b")
    assert (code, request.method, request.url.raw_path) == (0, "DELETE", b"/v1/training-jobs/a%2Fb")


@pytest.mark.parametrize("action", ["show", "watch", "cancel"])
def test_all_but_a_list_want_an_id(asked: Asked, action: str) -> None:
    with pytest.raises(Problem, match=f"ntrader jobs {action} ID"):
        asked([], action)
