"""Work that outlives the call that began it: held, bounded, and drained at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from trading.errors import ResourceExhausted, TradingError

ResultT = TypeVar("ResultT")


class Background:
    """Tasks of the service's own; a task that dies of surprise takes `run` down with it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def utilization(self) -> float:
        """How full it is, 0..1."""
        return len(self._tasks) / self._capacity

    def check_room(self) -> None:
        """Raise ResourceExhausted when too much is under way."""
        if len(self._tasks) >= self._capacity:
            raise ResourceExhausted("Too many orders are on their way to the venue.", retry_after_s=0.5)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin work now; it goes on whatever becomes of the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    async def see_through(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Work that its caller waits for and that goes on should the caller leave; raises what it raises."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return await asyncio.shield(task)

    async def run(self) -> None:
        """Raise the surprise of the first task that dies of one; otherwise never end."""
        await self._failed

    async def drain(self, timeout_s: float) -> None:
        """Give everything under way `timeout_s` to finish, then cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()

    def _finish(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._fail(error)

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, TradingError):
            return  # the caller is told, if there still is one
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
