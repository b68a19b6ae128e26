"""How the book is written when the database does not do what it should."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.portfolio.adapters.book_rows import BOOKS, SCANS
from services.portfolio.adapters.sql_pens import Pen, SqliteWriter, _numbered
from trading.errors import Unavailable

SCHEMA = (
    "CREATE TABLE scans (source TEXT PRIMARY KEY, scanned_to BIGINT NOT NULL)",
    "CREATE TABLE books (account TEXT PRIMARY KEY, sequence INT, log_sequence INT, fill_count INT, version INT)",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "book.db"
    with sqlite3.connect(file) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
    connection.close()
    return file


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[SqliteWriter]:
    opened = SqliteWriter(str(path))
    yield opened
    await opened.close()


async def scans(pen: Pen) -> list[tuple[object, ...]]:
    return await pen.query("SELECT source, scanned_to FROM scans ORDER BY source")


async def test_what_a_story_wrote_is_kept_whole(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> int:
        await pen.save(SCANS, [("one", 1)])
        await pen.save(SCANS, [("one", 2), ("two", 3)])
        return await pen.enter(SCANS, [("two", 4), ("three", 5)])

    assert await writer.write(story) == 1
    assert await writer.write(scans) == [("one", 2), ("three", 5), ("two", 3)]


async def test_a_story_that_fails_leaves_nothing(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> None:
        await pen.enter(SCANS, [("one", 1)])
        raise KeyError("one")

    with pytest.raises(KeyError):
        await writer.write(story)
    assert await writer.write(scans) == []


async def test_a_story_may_not_wait_for_anything_else(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> None:
        await pen.enter(SCANS, [("one", 1)])
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waited"):
        await writer.write(story)
    assert await writer.write(scans) == []


async def test_a_file_that_cannot_be_opened_is_unavailable_by_name(tmp_path: Path) -> None:
    writer = SqliteWriter(str(tmp_path / "nowhere" / "book.db"))
    with pytest.raises(Unavailable):
        await writer.write(scans)
    await writer.close()


async def test_a_table_that_is_not_there_is_unavailable_by_name(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> None:
        await pen.run("DELETE FROM nowhere")

    with pytest.raises(Unavailable):
        await writer.write(story)


async def test_an_account_is_held_and_made_when_it_is_new(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> list[tuple[object, ...]]:
        await pen.save(BOOKS, [("main", 1, 2, 3, 4)])
        return await pen.hold(["main", "new"])

    assert await writer.write(story) == [("main", 1, 2, 3, 4), ("new", 0, 0, 0, 0)]


async def test_whoever_stops_waiting_does_not_stop_the_writing(writer: SqliteWriter) -> None:
    async def story(pen: Pen) -> None:
        await pen.enter(SCANS, [("one", 1)])

    waiting = asyncio.create_task(writer.write(story))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await writer.write(scans) == [("one", 1)]


def test_values_are_numbered_for_postgres() -> None:
    assert _numbered("SELECT ? WHERE a = ? AND b = ?") == "SELECT $1 WHERE a = $2 AND b = $3"
    assert _numbered("SELECT 1") == "SELECT 1"
