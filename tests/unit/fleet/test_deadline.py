"""A call may take what its request has left, and never less than a moment."""

import asyncio

import pytest

from fleet import deadline


async def left_after(begun: float | None, default_s: float = 5.0) -> float:
    """What is left in a task of its own."""

    async def request() -> float:
        deadline.begin(begun)
        return deadline.remaining(default_s)

    return await asyncio.create_task(request())


@pytest.mark.parametrize(
    ("begun", "low", "high"),
    [(None, 5.0, 5.0), (60.0, 5.0, 5.0), (2.0, 1.9, 2.0), (0.0, 0.001, 0.001), (-9, 0.001, 0.001)],
)
async def test_the_smaller_of_default_and_what_is_left(begun: float | None, low: float, high: float) -> None:
    assert low <= await left_after(begun) <= high


async def test_one_request_does_not_shorten_another() -> None:
    assert await left_after(0.5) <= 0.5
    assert deadline.remaining(5.0) == 5.0
