"""Answer the commands of one stream as they finish: many at once, each by itself, none able to end the stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

CommandT = TypeVar("CommandT")
AnswerT = TypeVar("AnswerT")


class AnswerCommands(Generic[CommandT, AnswerT]):
    """Runs at most `in_flight` commands of a stream at a time; the reader waits while that many are under way.

    `run` must not raise: an error is an answer. Whoever has an answer writes it at once, and with it what became ready
    during the write before: no queue and no other task stand between a command and its caller. A caller that has left
    ends the reader's task.
    """

    def __init__(self, run: Callable[[CommandT], Awaitable[AnswerT]], in_flight: int) -> None:
        self._run = run
        self._in_flight = in_flight

    async def __call__(
        self, frames: AsyncIterator[Sequence[CommandT]], write: Callable[[Sequence[AnswerT]], Awaitable[object]]
    ) -> None:
        """Write answers in the order in which they are ready, one write at a time, until the last one is written."""
        room = asyncio.Semaphore(self._in_flight)
        under_way: set[asyncio.Task[None]] = set()
        ready: list[AnswerT] = []
        is_writing = False

        async def answer(command: CommandT) -> None:
            nonlocal is_writing
            ready.append(await self._run(command))
            if is_writing:
                return
            is_writing = True
            while ready:
                answers = ready.copy()
                ready.clear()
                await write(answers)
                for _ in answers:
                    room.release()
            is_writing = False

        try:
            async for commands in frames:
                for command in commands:
                    await room.acquire()
                    task = asyncio.create_task(answer(command))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
            if under_way:
                await asyncio.wait(under_way)
        finally:
            for task in under_way:
                task.cancel()
