"""SQL over the history in processes of their own: a hostile question ends its process and hurts nobody else."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet import deadline
from services.market_data.adapters.query_frames import HEADER, READY, Answer, Job, framed
from services.market_data.domain.sql import checked_sql
from services.market_data.ports import EncodedFrame
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, Unavailable

_MODULE = "services.market_data.adapters.query_worker"
_PASSED_ON = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
"""What a query process gets of our environment: none of our secrets."""
_SETTINGS = {"POLARS_MAX_THREADS": "2", "MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Allocators that do not reserve a gigabyte ahead, which counts against the limit like memory in use."""
_ALARM_AFTER_S = 2.0
_RETRY_AFTER_S = 1
_START_S = 20.0


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one question may use, how many run at once, and how many wait."""

    seconds: float
    megabytes: int
    rows: int
    answer_bytes: int
    workers: int
    waiting: int


class _WorkerDied(Exception):
    """The process ended before it answered."""


class _Worker:
    def __init__(self, process: Process, answer_bytes_most: int) -> None:
        self._process, self._answer_bytes_most = process, answer_bytes_most

    async def until_ready(self) -> None:
        """Wait until it has loaded what it needs; raises IncompleteReadError when it ended instead."""
        assert self._process.stdout is not None
        await self._process.stdout.readexactly(len(READY))

    async def ask(self, job: Job) -> EncodedFrame:
        """The process's answer; raises _WorkerDied, or the error that it names."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        try:
            target.write(framed(job))
            await target.drain()
            (length,) = HEADER.unpack(await source.readexactly(HEADER.size))
            told = msgspec.msgpack.decode(await source.readexactly(length), type=Answer)
            if (error := told.error()) is not None:
                raise error
            if told.size > self._answer_bytes_most:
                raise ResourceExhausted("The answer is too large: ask for fewer rows or columns.", bytes=told.size)
            data = await source.readexactly(told.size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _WorkerDied from error
        return EncodedFrame((memoryview(data),), told.rows, told.truncated)

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class QueryPool:
    """HistoryQueries over processes; idle ones are used again, and a deadline that passes ends one."""

    def __init__(self, folder: Path, limits: QueryLimits) -> None:
        self._folder, self._limits = folder, limits
        self._slots = asyncio.Semaphore(limits.workers)
        self._taken = 0
        self._idle: list[_Worker] = []

    async def query(self, sql: str, row_limit: int, *, as_json: bool) -> EncodedFrame:
        """See `ports.HistoryQueries`."""
        limits = self._limits
        if not 0 <= row_limit <= limits.rows:
            raise InvalidArgument(f"Expected a row limit of 1-{limits.rows}.", field="row_limit", value=row_limit)
        checked_sql(sql)  # a bad one is refused here and costs no process
        if self._taken >= limits.workers + limits.waiting:
            raise ResourceExhausted("Too many queries wait.", retry_after_s=_RETRY_AFTER_S)
        seconds = deadline.remaining(limits.seconds)
        self._taken += 1
        try:
            async with _slot(self._slots, seconds):
                return await self._ask(Job(sql, row_limit or limits.rows, as_json, seconds + _ALARM_AFTER_S), seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(f"The query was not answered in {seconds:.3g} s.", timeout_s=seconds) from error
        finally:
            self._taken -= 1

    async def close(self) -> None:
        """End every idle process; a busy one ends with the call it works for."""
        while self._idle:
            await self._idle.pop().end()

    async def _ask(self, job: Job, seconds: float) -> EncodedFrame:
        worker = self._idle.pop() if self._idle else await self._start()  # which takes nothing off the question's time
        is_usable = False
        try:
            async with asyncio.timeout(seconds):
                found = await worker.ask(job)
            is_usable = True
        except _WorkerDied as error:
            raise ResourceExhausted(
                f"The query ended its process: it needs more than {self._limits.megabytes} MB.",
                reason="QUERY_MEMORY",
                megabytes=self._limits.megabytes,
            ) from error
        except InvalidArgument:
            is_usable = True
            raise
        finally:
            if is_usable:
                self._idle.append(worker)
            else:  # a deadline, a cancelled call or a fault: what it works on is of no use any more
                await worker.end()
        return found

    async def _start(self) -> _Worker:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _SETTINGS
        command = (sys.executable, "-m", _MODULE, str(self._folder), str(self._limits.megabytes))
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment)
        except OSError as error:
            raise Unavailable("No process for the query could be started.", retry_after_s=_RETRY_AFTER_S) from error
        worker = _Worker(process, self._limits.answer_bytes)
        try:
            async with asyncio.timeout(_START_S):
                await worker.until_ready()
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await worker.end()
            raise Unavailable("The process for the query did not start.", retry_after_s=_RETRY_AFTER_S) from error
        except BaseException:  # a cancelled call leaves no process behind
            await worker.end()
            raise
        return worker


@asynccontextmanager
async def _slot(slots: asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
    """A place among those that ask; raises TimeoutError when none comes free in time."""
    async with asyncio.timeout(seconds):
        await slots.acquire()
    try:
        yield
    finally:
        slots.release()


@asynccontextmanager
async def open_query_pool(folder: Path, limits: QueryLimits) -> AsyncIterator[QueryPool]:
    """Queries for as long as the block runs."""
    pool = QueryPool(folder, limits)
    try:
        yield pool
    finally:
        await pool.close()
