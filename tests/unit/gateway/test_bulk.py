"""Big bodies are worked on in a process of their own, which may die without taking the gateway along."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from services.gateway.bulk import Bulk
from trading.errors import ResourceExhausted, Unavailable

BIG = b"x" * 100


def process_of(content: bytes) -> int:
    return os.getpid()


def die(content: bytes) -> None:
    os._exit(1)


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(len(BIG), waiting_max=2)
    yield made
    made.close()


async def test_small_content_stays_here_and_big_content_goes_to_one_process(bulk: Bulk) -> None:
    assert await bulk.do(process_of, b"small") == os.getpid()
    first, second = await asyncio.gather(bulk.do(process_of, BIG), bulk.do(process_of, BIG))
    assert first == second != os.getpid()


async def test_what_is_kept_apart_goes_to_the_process_however_small(bulk: Bulk) -> None:
    assert await bulk.do(process_of, b"small", apart=True) != os.getpid()


async def test_a_process_that_dies_is_said_and_the_next_work_has_another(bulk: Bulk) -> None:
    with pytest.raises(Unavailable, match="trying again"):
        await bulk.do(die, BIG)
    assert await bulk.do(process_of, BIG) != os.getpid()


async def test_no_more_waits_than_may(bulk: Bulk) -> None:
    waiting = [asyncio.create_task(bulk.do(process_of, BIG)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="2 big bodies"):
        await bulk.do(process_of, BIG)
    await asyncio.gather(*waiting)
    assert await bulk.do(process_of, BIG)
