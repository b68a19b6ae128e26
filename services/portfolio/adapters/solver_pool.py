"""Solver processes: started when needed, ended when a deadline passes, replaced when they die."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from services.portfolio.adapters.solver_frames import HEADER, Arena, Failure, Job, Reply, packed, unframe
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from trading.errors import DeadlineExceeded, ResourceExhausted, Unavailable

_MODULE = "services.portfolio.adapters.solver_worker"
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Problems run beside one another; threads inside one would only fight them."""
_SEARCH_SHARE = 0.8
"""The part of a deadline that a search may use, so that its best answer still arrives in time."""
_ATTEMPTS = 2
_RETRY_AFTER_S = 1


class WorkerDied(Exception):
    """The process ended before it answered."""


class _Worker:
    """One solver process, asked one thing at a time."""

    def __init__(self, process: Process, arena: Arena) -> None:
        self._process = process
        self._arena = arena

    @classmethod
    async def start(cls) -> Self:
        """Start a process; it imports its solver while nobody waits for it."""
        environment = {**os.environ, **_ONE_THREAD}
        arena = Arena.create()
        command = (sys.executable, "-m", _MODULE, str(arena.file))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, pass_fds=(arena.file,)
        )
        return cls(process, arena)

    def remembers(self, job: Job) -> bool:
        """Whether it has the first problem's covariance already."""
        return self._arena.holds(job.problems[0].moments.covariance)

    async def ask(self, job: Job) -> Reply:
        """The worker's answer; raises WorkerDied."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        try:
            target.write(await asyncio.to_thread(packed, job, self._arena))
            await target.drain()
            (length, _, _) = HEADER.unpack(await source.readexactly(HEADER.size))
            answer: Reply = unframe(await source.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerDied from error
        return answer

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._arena.close()


class SolverPool:
    """Solver over processes: at most `workers` at once, at most `waiting` in the queue, the rest refused."""

    def __init__(self, *, workers: int, waiting: int, search_limit_s: float, log: Any) -> None:
        self._search_limit_s = search_limit_s
        self._slots = asyncio.Semaphore(workers)
        self._places = workers + waiting
        self._taken = 0
        self._idle: list[_Worker] = []
        self._log = log

    async def warm(self) -> None:
        """Start a worker before anybody asks, unless there is one."""
        if not self._idle and not self._taken:
            self._idle.append(await _Worker.start())

    async def close(self) -> None:
        """End every idle worker; a busy one ends with the call it works for."""
        while self._idle:
            await self._idle.pop().end()

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        """The best weights; a deadline that passes ends the process that works on it."""
        (solution,) = await self.solve_all((problem,), timeout_s)
        return solution

    async def solve_all(self, problems: Sequence[Problem], timeout_s: float) -> tuple[Solution, ...]:
        """The best weights of each, found one after another by one process, each warm from the one before."""
        if self._taken >= self._places:
            raise ResourceExhausted("Too many problems wait for a solver.", retry_after_s=_RETRY_AFTER_S)
        self._taken += 1
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                limit_s = min(self._search_limit_s, timeout_s * _SEARCH_SHARE)
                answer = await self._ask(Job(tuple(problems), limit_s))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The problem was not solved in {timeout_s:.3g} s.", timeout_s=timeout_s) from error
        finally:
            self._taken -= 1
        if isinstance(answer, Failure):
            raise answer.error()
        return answer

    def _chosen(self, job: Job) -> _Worker | None:
        """An idle worker: one that knows the covariance, or the one that was asked last."""
        if not self._idle:
            return None
        knows = (index for index, worker in enumerate(self._idle) if worker.remembers(job))
        return self._idle.pop(next(knows, -1))

    async def _ask(self, job: Job) -> Reply:
        for _ in range(_ATTEMPTS):
            worker = self._chosen(job) or await _Worker.start()
            try:
                answer = await worker.ask(job)
            except WorkerDied:
                self._log.warning("solver.died")
                await worker.end()
            except BaseException:  # a deadline or a cancelled call: what it works on is of no use any more
                await worker.end()
                raise
            else:
                self._idle.append(worker)
                return answer
        raise Unavailable("The solver process died twice.", retry_after_s=_RETRY_AFTER_S)


@asynccontextmanager
async def open_solver_pool(*, workers: int, waiting: int, search_limit_s: float, log: Any) -> AsyncIterator[SolverPool]:
    """Solvers for as long as the block runs."""
    pool = SolverPool(workers=workers, waiting=waiting, search_limit_s=search_limit_s, log=log)
    try:
        yield pool
    finally:
        await pool.close()
