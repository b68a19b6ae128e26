"""The bell of the outbox on a real Postgres: whoever inserts a row is heard, also after the connection was cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import structlog
from builders.order_log import a_database
from sqlalchemy import insert, text
from waiting import until

from fleet.database import Database
from services.execution.adapters import schema
from services.execution.adapters.outbox_bell import MISSED, PostgresBell


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with a_database(postgres_url, tmp_path) as opened:
        yield opened


class Ear:
    """Everything that was rung, heard in the background."""

    def __init__(self, bell: PostgresBell) -> None:
        self.heard: list[int] = []
        self._bell = bell

    async def listen(self) -> None:
        async with aclosing(self._bell.rings()) as rings:  # type: ignore[type-var]  # a generator, as the port cannot say
            async for place in rings:
                self.heard.append(place)


async def _put(database: Database, *places: int) -> None:
    row = {"kind": "ACCEPTED", "account": "main", "payload": b"", "time_ns": 0}
    async with database.begin() as connection:
        rows = [{**row, "log_sequence": place, "event_id": str(place)} for place in places]
        await connection.execute(insert(schema.outbox), rows)


async def test_an_insert_by_anybody_rings_with_its_newest_place(database: Database) -> None:
    ear = Ear(PostgresBell(database.engine, structlog.get_logger()))
    listening = asyncio.create_task(ear.listen())
    await until(lambda: ear.heard == [MISSED], "the bell to be hung up")
    await _put(database, 7, 9, 8)
    await until(lambda: 9 in ear.heard, "the ring")
    listening.cancel()
    await asyncio.wait([listening])


async def test_a_bell_that_was_cut_off_is_hung_up_again(database: Database) -> None:
    ear = Ear(PostgresBell(database.engine, structlog.get_logger()))
    listening = asyncio.create_task(ear.listen())
    await until(lambda: ear.heard == [MISSED], "the bell to be hung up")
    async with database.begin() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        await connection.execute(text(cut))
    await until(lambda: ear.heard == [MISSED, MISSED], "the second bell")
    await _put(database, 3)
    await until(lambda: 3 in ear.heard, "the ring")
    listening.cancel()
    await asyncio.wait([listening])
