"""Real solver processes: they solve, die, are replaced, and are ended by a deadline."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import psutil
import pytest
import pytest_asyncio
import structlog
from builders.portfolio import a_problem

from services.portfolio.adapters.solver_pool import SolverPool, open_solver_pool
from services.portfolio.adapters.threads import open_threads
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.problem import Objective, Problem
from trading.errors import DeadlineExceeded, ResourceExhausted, TradingError

LONG_S = 60.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


def easy() -> Problem:
    return a_problem([0.1, 0.2], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE)


def endless() -> Problem:
    """A search among so many equal choices that no bound of a test lets it end."""
    alike = np.eye(40) * 0.04 + 0.01
    return a_problem(np.full(40, 0.1), alike, Objective.MIN_VARIANCE, min_position_size=0.06)


def workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if any("solver_worker" in word for word in child.cmdline())]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SolverPool]:
    async with open_solver_pool(workers=1, waiting=1, search_limit_s=4, log=structlog.get_logger()) as opened:
        await opened.warm()
        yield opened
    assert workers() == []


async def test_a_worker_solves_one_problem_after_another(pool: SolverPool) -> None:
    first = await pool.solve(easy(), LONG_S)
    assert first.weights == pytest.approx([0.8, 0.2], abs=1e-7)
    again = await pool.solve(easy(), LONG_S)
    assert again.weights == pytest.approx(first.weights, abs=1e-9)  # it began where the first one ended
    assert len(workers()) == 1


async def test_a_refusal_comes_back_by_name_and_the_worker_lives_on(pool: SolverPool) -> None:
    with pytest.raises(TradingError) as refused:
        await pool.solve(a_problem([0.1, 0.2], [[0.04, 0.05], [0.05, 0.04]]), LONG_S)
    assert refused.value.reason == "NOT_POSITIVE_SEMIDEFINITE"
    assert {"constraint", "numbers"} <= set(refused.value.metadata)
    await pool.solve(easy(), LONG_S)


async def test_a_worker_that_was_killed_is_replaced(pool: SolverPool) -> None:
    await pool.solve(easy(), LONG_S)
    (worker,) = workers()
    worker.kill()
    assert (await pool.solve(easy(), LONG_S)).status == "optimal"
    assert worker.pid not in {process.pid for process in workers()}


async def test_a_deadline_ends_the_work_itself(pool: SolverPool) -> None:
    await pool.solve(easy(), LONG_S)
    (worker,) = workers()
    with pytest.raises(DeadlineExceeded):
        await pool.solve(a_problem(count=1500, objective=Objective.RISK_PARITY), 0.05)  # takes ten times as long
    assert not worker.is_running()
    await pool.solve(easy(), LONG_S)


async def test_a_search_that_runs_out_of_time_gives_its_best_with_the_gap(pool: SolverPool) -> None:
    await pool.solve(easy(), LONG_S)
    found = await pool.solve(endless(), LONG_S)
    assert found.status == "time_limit"
    assert found.gap > 0
    held = found.weights[found.weights > 0]
    assert held.min() >= 0.06 - 1e-9


async def test_more_problems_than_may_wait_are_refused(pool: SolverPool) -> None:
    async with asyncio.TaskGroup() as group:
        solving = [group.create_task(pool.solve(easy(), LONG_S)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as refused:
            await pool.solve(easy(), LONG_S)
        assert refused.value.metadata["retry_after_s"] == 1
    assert all(task.result().status == "optimal" for task in solving)


async def test_threads_give_back_what_the_work_returns_or_raises() -> None:
    with open_threads(1) as offload:
        assert await offload(sorted, [2, 1], reverse=True) == [2, 1]
        with pytest.raises(Refusal):
            await offload(_refuse)


def _refuse() -> None:
    raise Refusal("NOT_FINITE", "no", "returns", {})
