"""Requests that wait share runs, take turns, and end in time."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from waiting import until

from services.inference.adapters.onnx_queue import QueueRules, RunQueue
from trading.errors import DeadlineExceeded, ResourceExhausted

INLINE = QueueRules(chunk_rows=8, inline_rows=8, waiting_rows=100, deadline_s=60.0)
THREADED = QueueRules(chunk_rows=8, inline_rows=0, waiting_rows=100, deadline_s=60.0)


class Summing:
    """A model whose logit is the sum of a sample; on a thread it waits until it is let go."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.stopped = threading.Event()

    def run(self, samples: np.ndarray) -> np.ndarray:
        self.runs.append(len(samples))
        assert self.go.wait(60)
        if self.stopped.is_set():
            raise DeadlineExceeded("stopped")
        return samples.sum(axis=1, dtype=np.float64)

    def stop(self) -> None:
        self.stopped.set()
        self.go.set()


@asynccontextmanager
async def a_queue(model: Summing, rules: QueueRules) -> AsyncIterator[RunQueue]:
    queue = RunQueue("test", model.run, model.stop, rules)
    yield queue
    model.go.set()
    queue.close()


def rows(count: int, value: float = 1.0) -> np.ndarray:
    return np.full((count, 3), value, np.float32)


@pytest.mark.parametrize("rules", [INLINE, THREADED], ids=["inline", "threaded"])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 50])
async def test_every_row_gets_its_own_answer(rules: QueueRules, count: int) -> None:
    samples = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    async with a_queue(Summing(), rules) as queue:
        assert (await queue.ask(samples)).tolist() == samples.sum(axis=1).tolist()


@pytest.mark.parametrize(("rules", "runs"), [(INLINE, [1, 8, 8, 3]), (THREADED, [8, 8, 4])], ids=["inline", "threaded"])
async def test_requests_of_one_moment_share_a_run(rules: QueueRules, runs: list[int]) -> None:
    """On the loop the first one finds the model free and runs it at once."""
    model = Summing()
    async with a_queue(model, rules) as queue:
        found = await asyncio.gather(*(queue.ask(rows(1, number)) for number in range(20)))
    assert [answer.tolist() for answer in found] == [[3.0 * number] for number in range(20)]
    assert model.runs == runs


async def test_what_comes_while_the_model_runs_goes_together_into_the_next_run() -> None:
    model = Summing()
    model.go.clear()
    async with a_queue(model, THREADED) as queue:
        first = asyncio.create_task(queue.ask(rows(1)))
        await until(lambda: model.runs == [1], "a run")
        others = [asyncio.create_task(queue.ask(rows(2))) for _ in range(3)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, *others)
    assert model.runs == [1, 6]


async def test_a_big_request_takes_turns_with_small_ones() -> None:
    model, order = Summing(), []

    async def ask(name: str, count: int) -> None:
        await queue.ask(rows(count))
        order.append(name)

    async with a_queue(model, INLINE) as queue:
        await asyncio.gather(ask("big", 80), ask("small", 1))
    assert order == ["small", "big"]


async def test_a_big_request_on_the_thread_goes_on_until_somebody_waits() -> None:
    model, order = Summing(), []
    model.go.clear()

    async def ask(name: str, samples: np.ndarray) -> np.ndarray:
        found = await queue.ask(samples)
        order.append(name)
        return found

    samples = np.arange(240, dtype=np.float32).reshape(80, 3)
    async with a_queue(model, THREADED) as queue:
        big = asyncio.create_task(ask("big", samples))
        await until(lambda: model.runs == [8], "a run")
        small = asyncio.create_task(ask("small", rows(1)))
        await asyncio.sleep(0)  # it waits now, while the model has the first eight rows
        model.go.set()
        assert (await small).tolist() == [3.0]
        assert (await big).tolist() == samples.sum(axis=1).tolist()
    assert order == ["small", "big"]
    assert model.runs == [8] * 10 + [1]


async def test_a_request_on_the_thread_ends_at_its_deadline_between_two_runs() -> None:
    """A run that nobody can stop still costs no further one."""
    model, deadline = Summing(), threading.Event()

    def up_to_the_deadline(samples: np.ndarray) -> np.ndarray:
        model.runs.append(len(samples))
        assert deadline.wait(60)
        return samples.sum(axis=1, dtype=np.float64)

    queue = RunQueue("test", up_to_the_deadline, deadline.set, THREADED._replace(deadline_s=0.02))
    with pytest.raises(DeadlineExceeded, match=r"more than 0\.02"):
        await queue.ask(rows(80))
    queue.close()
    assert model.runs == [8]


async def test_too_many_waiting_rows_are_refused_and_the_others_answered() -> None:
    async with a_queue(Summing(), INLINE) as queue:
        waiting = asyncio.create_task(queue.ask(rows(90)))
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted, match="wait for the model"):
            await queue.ask(rows(20))
        assert len(await waiting) == 90
        assert len(await queue.ask(rows(20))) == 20


async def test_one_request_above_the_bound_is_answered_when_nobody_waits() -> None:
    async with a_queue(Summing(), INLINE) as queue:
        assert len(await queue.ask(rows(500))) == 500


async def test_an_error_reaches_every_request_of_its_run_and_no_other() -> None:
    model = Summing()
    async with a_queue(model, INLINE) as queue:
        bad = [queue.ask(np.zeros((1, 2, 2, 2), np.float32)) for _ in range(2)]
        found = await asyncio.gather(*bad, return_exceptions=True)
        assert [type(each) for each in found] == [ValueError, ValueError]
        assert (await queue.ask(rows(1))).tolist() == [3.0]


async def test_a_run_is_stopped_at_its_deadline() -> None:
    model = Summing()
    model.go.clear()
    async with a_queue(model, THREADED._replace(deadline_s=0.02)) as queue:
        with pytest.raises(DeadlineExceeded):
            await queue.ask(rows(1))
        await until(lambda: _is_served(queue, model), "the next request to be served")


async def _is_served(queue: RunQueue, model: Summing) -> bool:
    """On a busy machine a deadline as short as this one may pass again."""
    model.stopped.clear()
    try:
        return (await queue.ask(rows(1))).tolist() == [3.0]
    except DeadlineExceeded:
        return False


async def test_a_request_that_waited_too_long_is_refused() -> None:
    async with a_queue(Summing(), INLINE._replace(deadline_s=0.0)) as queue:
        with pytest.raises(DeadlineExceeded, match="more than 0"):
            await queue.ask(rows(50))


async def test_a_caller_that_went_away_costs_no_further_run() -> None:
    model = Summing()
    model.go.clear()
    async with a_queue(model, THREADED) as queue:
        gone = asyncio.create_task(queue.ask(rows(80)))
        await until(lambda: model.runs == [8], "a run")
        gone.cancel()
        await asyncio.sleep(0)
        model.go.set()
        assert (await queue.ask(rows(1))).tolist() == [3.0]
    assert model.runs == [8, 1]


async def test_closing_cancels_who_waits() -> None:
    model = Summing()
    model.go.clear()
    queue = RunQueue("test", model.run, model.stop, THREADED)
    asked = [asyncio.create_task(queue.ask(rows(8))) for _ in range(2)]
    await until(lambda: model.runs == [8], "a run")
    model.go.set()
    queue.close()
    assert (await asyncio.gather(*asked, return_exceptions=True))[1].__class__ is asyncio.CancelledError
