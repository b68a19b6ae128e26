"""Answer the commands of one stream as they finish: many at once, each by itself, none able to end the stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

CommandT = TypeVar("CommandT")
AnswerT = TypeVar("AnswerT")


class AnswerCommands(Generic[CommandT, AnswerT]):
    """Runs at most `in_flight` commands of a stream at a time; the reader waits while that many are under way.

    `run` must not raise: an error is an answer. Whoever has an answer writes it at once: no queue and no other task
    stand between a command and its caller. A caller that has left ends the reader's task.
    """

    def __init__(self, run: Callable[[CommandT], Awaitable[AnswerT]], in_flight: int) -> None:
        self._run = run
        self._in_flight = in_flight

    async def __call__(self, commands: AsyncIterator[CommandT], write: Callable[[AnswerT], Awaitable[object]]) -> None:
        """Write answers, one at a time, in the order in which they are ready, until the last command is answered."""
        one_at_a_time = asyncio.Lock()
        room = asyncio.Semaphore(self._in_flight)
        under_way: set[asyncio.Task[None]] = set()

        async def answer(command: CommandT) -> None:
            found = await self._run(command)
            async with one_at_a_time:
                await write(found)
            room.release()

        try:
            async for command in commands:
                await room.acquire()
                task = asyncio.create_task(answer(command))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if under_way:
                await asyncio.wait(under_way)
        finally:
            for task in under_way:
                task.cancel()
