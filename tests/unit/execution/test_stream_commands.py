"""Commands of a stream, and work in the background."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.execution.usecases.answer_commands import AnswerCommands
from services.execution.usecases.background import Background
from services.execution.usecases.run_command import attempt
from trading.errors import Kind, NotFound, ResourceExhausted, TradingError


async def numbers(count: int, together: int = 1) -> AsyncIterator[Sequence[int]]:
    for first in range(0, count, together):
        yield range(first, min(first + together, count))


class Answers(list[int]):
    """What was written, and whether two writes were ever under way at once."""

    overlapped = False
    _writing = False

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[int]] = []

    async def write(self, answers: Sequence[int]) -> None:
        self.overlapped |= self._writing
        self._writing = True
        await asyncio.sleep(0)
        self._writing = False
        self.extend(answers)
        self.writes.append(list(answers))


async def test_answers_come_as_they_are_ready() -> None:
    """The first command may be answered last."""
    gate = asyncio.Event()

    async def run(number: int) -> int:
        if number == 0:
            await gate.wait()
        if number == 2:
            gate.set()
        return number

    answers = Answers()
    await AnswerCommands(run, 8)(numbers(3), answers.write)
    assert sorted(answers) == [0, 1, 2]
    assert answers[-1] == 0
    assert not answers.overlapped


async def test_what_is_ready_during_a_write_is_written_together_by_the_next() -> None:
    """All of one frame are under way at once, and no answer waits for company."""

    async def run(number: int) -> int:
        return number

    answers = Answers()
    await AnswerCommands(run, 8)(numbers(6, together=6), answers.write)
    assert answers.writes == [[0], [1, 2, 3, 4, 5]]
    assert not answers.overlapped


async def test_only_so_many_commands_are_under_way() -> None:
    """The reader waits for the answers to be written."""
    under_way, most = 0, 0

    async def run(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        return number

    async def write(answers: Sequence[int]) -> None:
        nonlocal under_way
        await asyncio.sleep(0)
        under_way -= len(answers)

    await AnswerCommands(run, 2)(numbers(20, together=5), write)
    assert (most, under_way) == (2, 0)


async def test_a_reader_that_leaves_stops_the_commands() -> None:
    """Nothing is left running."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def run(number: int) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return number

    answering = asyncio.create_task(AnswerCommands(run, 8)(numbers(2), Answers().write))
    await started.wait()
    answering.cancel()
    async with asyncio.timeout(60):
        await stopped.wait()


async def test_a_broken_stream_ends_with_its_error() -> None:
    """Not with a group of errors: the boundary of the call knows its name."""

    async def broken() -> AsyncIterator[Sequence[int]]:
        yield [1]
        raise ConnectionError("gone")

    async def run(number: int) -> int:
        return number

    with pytest.raises(ConnectionError):
        await AnswerCommands(run, 8)(broken(), Answers().write)


async def test_an_error_is_an_answer() -> None:
    """Named as it is; a surprise is INTERNAL and says nothing of the inside."""

    async def refuse() -> int:
        raise NotFound("no")

    async def surprise() -> int:
        raise ValueError("secret")

    assert isinstance(await attempt(refuse), NotFound)
    answer = await attempt(surprise)
    assert isinstance(answer, TradingError)
    assert answer.kind is Kind.INTERNAL
    assert "secret" not in answer.message


async def test_background_work_is_bounded() -> None:
    """The next one is told when to come back."""
    background = Background(1)
    gate = asyncio.Event()
    background.start(gate.wait())
    assert background.utilization == 1
    with pytest.raises(ResourceExhausted):
        background.check_room()
    gate.set()
    await background.drain(60)
    background.check_room()


async def test_background_work_that_does_not_end_is_ended() -> None:
    """After the time it was given."""
    background = Background(1)
    task = background.start(asyncio.Event().wait())
    await background.drain(0.01)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_surprise_in_the_background_is_raised_where_it_is_watched() -> None:
    """It takes the service down loudly."""
    background = Background(1)

    async def surprise() -> None:
        raise ValueError("unexpected")

    background.start(surprise())
    with pytest.raises(ValueError, match="unexpected"):
        await background.run()
