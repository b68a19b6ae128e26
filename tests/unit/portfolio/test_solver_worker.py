"""The worker's side of the pipe, without a process around it."""

import io

import numpy as np
import pytest
from builders.portfolio import a_problem

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.solver_frames import HEADER, Arena, Failure, Job, packed, unframe, unpacked
from services.portfolio.adapters.solver_worker import serve
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Objective
from trading.errors import Kind

EASY = a_problem([0.1, 0.2], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE)


def answers_to(job: Job) -> tuple[Solution, ...] | Failure:
    target, arena = io.BytesIO(), Arena.create()
    serve(io.BytesIO(packed(job, arena)), target, arena)
    arena.close()
    data = target.getvalue()
    assert HEADER.unpack(data[: HEADER.size])[0] == len(data) - HEADER.size
    answer: tuple[Solution, ...] | Failure = unframe(data[HEADER.size :])
    return answer


def test_the_problems_of_a_job_are_answered_in_turn() -> None:
    found = answers_to(Job((EASY, EASY), 5.0))
    assert not isinstance(found, Failure)
    first, second = found
    assert first.weights == pytest.approx(second.weights, abs=1e-9)
    assert first.weights == pytest.approx([0.8, 0.2], abs=1e-7)


def test_a_large_matrix_is_laid_down_once_and_read_again_where_it_lies() -> None:
    market = np.random.default_rng(3).normal(size=(400, 400))
    wide = a_problem(np.full(400, 0.1), market @ market.T, Objective.MIN_VARIANCE)
    other = a_problem(np.full(400, 0.2), wide.moments.covariance, Objective.MIN_VARIANCE)
    arena = Arena.create()
    packed(Job((EASY, wide), 5.0), arena)
    assert arena.holds(wide.moments.covariance)
    marked = np.frombuffer(arena.view(8), np.float64)
    marked[0] = 7.0  # the matrix begins here; laying it down again would put its own number back
    found = read(packed(Job((other,), 5.0), arena), arena)
    assert found.problems[0].moments.covariance[0, 0] == 7.0
    assert found.problems[0].moments.expected_returns.tolist() == [0.2] * 400
    assert np.array_equal(found.problems[0].moments.covariance[1:], wide.moments.covariance[1:])
    found = read(packed(Job((EASY,), 5.0), arena), arena)
    assert not arena.holds(wide.moments.covariance)
    assert found.problems[0].moments.covariance.tolist() == EASY.moments.covariance.tolist()
    found = read(packed(Job((wide,), 5.0), arena), arena)
    assert np.array_equal(found.problems[0].moments.covariance, wide.moments.covariance)
    arena.close()


def read(data: bytes, arena: Arena) -> Job:
    _, used, table = HEADER.unpack(data[: HEADER.size])
    job: Job = unpacked(data[HEADER.size :], used, table, arena)
    return job


def test_a_refusal_travels_with_its_code_and_numbers() -> None:
    failure = answers_to(Job((a_problem([0.1, 0.2], [[0.04, 0.05], [0.05, 0.04]]),), 5.0))
    assert isinstance(failure, Failure)
    error = failure.error()
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "NOT_POSITIVE_SEMIDEFINITE")
    assert "smallest_eigenvalue" in error.metadata["numbers"]


def test_a_surprise_is_named_and_logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def surprise(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(solver_routes, "solve", surprise)
    failure = answers_to(Job((EASY,), 5.0))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == (Kind.INTERNAL, "SOLVER_FAILED")
    assert "inside" not in failure.message
    assert "ZeroDivisionError" in capsys.readouterr().err
