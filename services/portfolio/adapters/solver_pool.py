"""Solver processes: started when needed, ended when a deadline passes, replaced when they die."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from services.portfolio.adapters.solver_frames import HEADER, Failure, Job, frame, unframe
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

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> Self:
        """Start a process; it imports its solver while nobody waits for it."""
        environment = {**os.environ, **_ONE_THREAD}
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, env=environment
            )
        )

    async def ask(self, job: Job) -> Solution | Failure:
        """The worker's answer; raises WorkerDied."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        try:
            target.write(frame(job))
            await target.drain()
            (length,) = HEADER.unpack(await source.readexactly(HEADER.size))
            answer: Solution | Failure = unframe(await source.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerDied from error
        return answer

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


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
        if self._taken >= self._places:
            raise ResourceExhausted("Too many problems wait for a solver.", retry_after_s=_RETRY_AFTER_S)
        self._taken += 1
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                answer = await self._ask(Job(problem, min(self._search_limit_s, timeout_s * _SEARCH_SHARE)))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The problem was not solved in {timeout_s:.3g} s.", timeout_s=timeout_s) from error
        finally:
            self._taken -= 1
        if isinstance(answer, Failure):
            raise answer.error()
        return answer

    async def _ask(self, job: Job) -> Solution | Failure:
        for _ in range(_ATTEMPTS):
            worker = self._idle.pop() if self._idle else await _Worker.start()
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
