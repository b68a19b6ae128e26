"""A database that cannot answer is an outage to its callers, whatever words the driver finds for it."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from fleet.database import Database
from trading.errors import Unavailable

SSL_REQUEST = 80877103


@asynccontextmanager
async def refusing(sqlstate: str, words: str) -> AsyncIterator[str]:
    """A server that speaks Postgres's protocol only to turn everybody away; gives its URL."""
    fields = b"SFATAL\0" + b"C" + sqlstate.encode() + b"\0M" + words.encode() + b"\0\0"

    async def turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == SSL_REQUEST:
            writer.write(b"N")
            length, _ = struct.unpack("!ii", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(turn_away, "127.0.0.1", 0) as server:
        yield f"postgresql+asyncpg://user:password@127.0.0.1:{server.sockets[0].getsockname()[1]}/any"


@asynccontextmanager
async def database_at(url: str, **pool: float) -> AsyncIterator[Database]:
    """A database without migrations."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), **pool)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("sqlstate", "words"),
    [
        ("57P03", "the database system is starting up"),
        ("57P03", "the database system is in recovery mode"),
        ("57P01", "terminating connection due to administrator command"),
        ("53300", "sorry, too many clients already"),
    ],
)
async def test_a_database_that_turns_everybody_away_is_unavailable(sqlstate: str, words: str) -> None:
    """As after a crash, while Postgres replays its log."""
    async with refusing(sqlstate, words) as url, database_at(url) as database:
        with pytest.raises(Unavailable):
            await database.check()


async def test_a_wrong_password_is_no_outage() -> None:
    """Waiting would not mend it."""
    async with refusing("28P01", "password authentication failed") as url, database_at(url) as database:
        with pytest.raises(DBAPIError):
            await database.check()


async def test_no_free_connection_in_time_is_unavailable(postgres_url: str) -> None:
    """A pool that is stuck behind a mute database is an outage too."""
    async with database_at(postgres_url, pool_size=1, max_overflow=0, pool_timeout=0.05) as database:
        async with database.begin():
            with pytest.raises(Unavailable):
                await database.check()
        await database.check()


async def test_a_wrong_statement_is_no_outage(postgres_url: str) -> None:
    """It is an error of ours, and says so."""
    async with database_at(postgres_url) as database:
        with pytest.raises(DBAPIError):
            async with database.begin() as connection:
                await connection.execute(text("SELECT nonsense"))
