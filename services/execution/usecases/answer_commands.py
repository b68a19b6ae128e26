"""Answer the commands of one stream as they finish: many at once, each by itself, none able to end the stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

CommandT = TypeVar("CommandT")
AnswerT = TypeVar("AnswerT")


class AnswerCommands(Generic[CommandT, AnswerT]):
    """Runs at most `in_flight` commands of a stream at a time; the reader waits while that many are under way.

    `run` must not raise: an error is an answer.
    """

    def __init__(self, run: Callable[[CommandT], Awaitable[AnswerT]], in_flight: int) -> None:
        self._run = run
        self._in_flight = in_flight

    async def __call__(self, commands: AsyncIterator[CommandT]) -> AsyncIterator[AnswerT]:
        """Answers in the order in which they are ready, until the last command is answered."""
        answers: asyncio.Queue[AnswerT | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._in_flight)
        tasks: set[asyncio.Task[Any]] = set()
        reader = asyncio.create_task(self._read(commands, answers, room, tasks))
        try:
            while (answer := await answers.get()) is not None:
                yield answer
                room.release()
            await reader
        finally:
            for task in (reader, *tasks):
                task.cancel()

    async def _read(
        self,
        commands: AsyncIterator[CommandT],
        answers: "asyncio.Queue[AnswerT | None]",
        room: asyncio.Semaphore,
        tasks: "set[asyncio.Task[Any]]",
    ) -> None:
        try:
            async for command in commands:
                await room.acquire()
                task = asyncio.create_task(self._answer(command, answers))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            while tasks:
                await asyncio.wait(set(tasks))
        finally:
            answers.put_nowait(None)

    async def _answer(self, command: CommandT, answers: "asyncio.Queue[AnswerT | None]") -> None:
        answers.put_nowait(await self._run(command))
