"""How the book is written: one transaction, its statements sent straight to the driver, on SQLite or on Postgres.

A story of writing is one coroutine for both. SQLite runs it whole on a thread of its own, where nothing in it ever
waits; Postgres runs it on the event loop over a connection of the engine's pool. (SQLAlchemy's layers and a hop to a
thread for each statement were nine tenths of what a fill cost.)
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError

from fleet.database import Database
from services.portfolio.adapters.book_rows import BOOKS, Row, Shape
from trading.errors import Unavailable

Result = TypeVar("Result")
Story = Callable[["Pen"], Coroutine[Any, Any, Result]]
_CHUNK = 500
"""Values in one IN list of SQLite."""
_COPIED = 2_000
"""From so many rows on, Postgres takes them by COPY."""
_BULK_TIMEOUT_S = 60.0
"""Patience with statements about thousands of rows, where the engine's own is meant for one order."""
_CACHE_KIB = 32 * 1024
"""Pages that SQLite keeps of the book: the keys of fills are hashes, and lie anywhere."""


_PRAGMAS = ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", f"cache_size=-{_CACHE_KIB}")


class SomeKnown(Exception):
    """Some entries of a batch were entered before: the transaction is undone and comes again without them."""


class Pen(Protocol):
    """The statements of one transaction."""

    async def hold(self, accounts: Sequence[str]) -> list[Row]:
        """Rows of `books` for these accounts, made when they are absent, and ours alone until the end."""
        ...

    async def enter(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Insert rows whose key is new; how many those were. May raise SomeKnown instead when not all of them are."""
        ...

    async def known(self, shape: Shape, keys: Sequence[str]) -> set[str]:
        """Which of these are first keys of rows that are there."""
        ...

    async def save(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Insert rows, or replace those with the same key."""
        ...

    async def find(self, shape: Shape, where: str, values: Sequence[Any]) -> list[Row]:
        """Rows whose column `where` is one of `values`."""
        ...

    async def remove(self, shape: Shape, where: str, values: Sequence[Any]) -> None:
        """Delete rows whose column `where` is one of `values`."""
        ...

    async def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a statement with `?` for values."""
        ...

    async def run(self, sql: str, *values: Any) -> None:
        """A statement without an answer, with `?` for values."""
        ...


class Writer(Protocol):
    """Runs stories, each in a transaction of its own that is whole or leaves nothing."""

    async def write(self, story: Story[Result]) -> Result:
        """Commit what the story wrote and give back what it returned; raises Unavailable when the database is gone."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


def writer_of(database: Database) -> Writer:
    """The writer for a database of either kind."""
    if database.dialect == "postgresql":
        return PostgresWriter(database)
    return SqliteWriter(str(database.engine.url.database))


class SqliteWriter:
    """One connection, on one thread that takes a transaction after the other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="book-writer", daemon=True)
        self._thread.start()

    async def write(self, story: Story[Result]) -> Result:
        """Hand the story to the thread; it goes on when nobody waits any more."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def job() -> None:
            result: Result | Exception
            try:
                result = _transact(self._opened(), story)
            except Exception as error:  # the boundary of the thread: whoever waits is told
                result = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell, done, result)

        self._jobs.put(job)
        return await done

    async def close(self) -> None:
        """Write what was handed over and end the thread."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        """Opened by the first job, so that a file that cannot be opened is told to whoever waits."""
        if self._connection is None:
            try:
                connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=64)
                for pragma in _PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")
            except sqlite3.OperationalError as error:
                raise Unavailable("The database does not answer.", retry_after_s=1, cause=str(error)) from error
            self._connection = connection
        return self._connection


def _tell(done: "asyncio.Future[Result]", result: Result | Exception) -> None:
    if done.done():  # nobody waits any more
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


def _transact(connection: sqlite3.Connection, story: Story[Result]) -> Result:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = _finished(story(SqlitePen(connection)))
            connection.execute("COMMIT")
            return result
        except BaseException:  # whatever it was, nothing of the story may stay
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        raise Unavailable("The database does not answer.", retry_after_s=1, cause=str(error)) from error


def _finished(story: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns that never waits."""
    try:
        story.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    story.close()
    raise RuntimeError("A story of writing waited for something else than its pen.")


class SqlitePen:
    """Statements on a connection that this thread owns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def hold(self, accounts: Sequence[str]) -> list[Row]:
        """The transaction is the only writer already."""
        rows = await self.find(BOOKS, "account", accounts)
        for account in {*accounts} - {row[0] for row in rows}:
            row = (account, 0, 0, 0, 0)
            self._connection.execute(_sqlite_insert(BOOKS), row)
            rows.append(row)
        return rows

    async def enter(self, shape: Shape, rows: Sequence[Row]) -> int:
        return self._connection.executemany(_sqlite_insert(shape), rows).rowcount

    async def known(self, shape: Shape, keys: Sequence[str]) -> set[str]:
        one = f"SELECT 1 FROM {shape.name} WHERE {shape.key[0]} = ?"
        return {key for key in keys if self._connection.execute(one, (key,)).fetchone()}

    async def save(self, shape: Shape, rows: Sequence[Row]) -> None:
        self._connection.executemany(_upsert(f"INSERT {_sqlite_values(shape)}", shape), rows)

    async def find(self, shape: Shape, where: str, values: Sequence[Any]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            marks = ", ".join("?" * len(chunk))
            found += self._connection.execute(f"{_select(shape)} WHERE {where} IN ({marks})", chunk)
        return found

    async def remove(self, shape: Shape, where: str, values: Sequence[Any]) -> None:
        self._connection.executemany(f"DELETE FROM {shape.name} WHERE {where} = ?", [(value,) for value in values])

    async def query(self, sql: str, *values: Any) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    async def run(self, sql: str, *values: Any) -> None:
        self._connection.execute(sql, values)


class PostgresWriter:
    """Transactions over connections of the engine's pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, story: Story[Result]) -> Result:
        """Run the story on the event loop; a connection that failed is not used again."""
        try:
            async with self._database.engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                try:
                    async with driver.transaction():
                        return await story(PostgresPen(driver))
                except (OSError, TimeoutError, asyncio.CancelledError, *_GONE):
                    await connection.invalidate()  # nobody knows how far it came
                    raise
        except (OSError, TimeoutError, *_GONE) as error:
            raise Unavailable("The database does not answer.", retry_after_s=1) from error
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, OSError | TimeoutError):
                raise Unavailable("The database does not answer.", retry_after_s=1) from error
            raise

    async def close(self) -> None:
        """Its connections belong to the engine."""


class PostgresPen:
    """Statements on an asyncpg connection inside a transaction; it keeps them prepared."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def hold(self, accounts: Sequence[str]) -> list[Row]:
        """Lock the rows, always in the same order, so that two writers never wait for each other."""
        locked = f"{_select(BOOKS)} WHERE account = ANY($1::text[]) ORDER BY account FOR UPDATE"
        rows = await self._driver.fetch(locked, accounts)
        if len(rows) < len(accounts):
            absent = sorted({*accounts} - {row[0] for row in rows})
            await self.enter(BOOKS, [(account, 0, 0, 0, 0) for account in absent])
            rows = await self._driver.fetch(locked, accounts)
        return [tuple(row) for row in rows]

    async def enter(self, shape: Shape, rows: Sequence[Row]) -> int:
        if len(rows) >= _COPIED:
            return await self._copy(shape, rows)
        status: str = await self._driver.execute(f"{_postgres_insert(shape)} ON CONFLICT DO NOTHING", *_columns(rows))
        return int(status.rpartition(" ")[2])

    async def _copy(self, shape: Shape, rows: Sequence[Row]) -> int:
        """COPY cannot leave out what is there already: it says so, and the transaction comes again without it."""
        try:
            await self._driver.copy_records_to_table(
                shape.name, records=rows, columns=shape.columns, timeout=_BULK_TIMEOUT_S
            )
        except asyncpg.UniqueViolationError as error:
            raise SomeKnown from error
        return len(rows)

    async def known(self, shape: Shape, keys: Sequence[str]) -> set[str]:
        name = shape.key[0]
        rows = await self._driver.fetch(
            f"SELECT {name} FROM {shape.name} WHERE {name} = ANY($1::text[])", keys, timeout=_BULK_TIMEOUT_S
        )
        return {row[0] for row in rows}

    async def save(self, shape: Shape, rows: Sequence[Row]) -> None:
        await self._driver.execute(_upsert(_postgres_insert(shape), shape), *_columns(rows))

    async def find(self, shape: Shape, where: str, values: Sequence[Any]) -> list[Row]:
        rows = await self._driver.fetch(f"{_select(shape)} WHERE {where} = ANY($1)", list(values))
        return [tuple(row) for row in rows]

    async def remove(self, shape: Shape, where: str, values: Sequence[Any]) -> None:
        await self._driver.execute(f"DELETE FROM {shape.name} WHERE {where} = ANY($1)", list(values))

    async def query(self, sql: str, *values: Any) -> list[Row]:
        return [tuple(row) for row in await self._driver.fetch(_numbered(sql), *values)]

    async def run(self, sql: str, *values: Any) -> None:
        await self._driver.execute(_numbered(sql), *values)


_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)


def _columns(rows: Sequence[Row]) -> Iterator[list[Any]]:
    return map(list, zip(*rows, strict=True))


@cache
def _select(shape: Shape) -> str:
    return f"SELECT {', '.join(shape.columns)} FROM {shape.name}"


@cache
def _sqlite_values(shape: Shape) -> str:
    marks = ", ".join("?" * len(shape.columns))
    return f"INTO {shape.name} ({', '.join(shape.columns)}) VALUES ({marks})"


@cache
def _sqlite_insert(shape: Shape) -> str:
    return f"INSERT OR IGNORE {_sqlite_values(shape)}"


@cache
def _postgres_insert(shape: Shape) -> str:
    arrays = ", ".join(f"${place}::{type_}" for place, type_ in enumerate(shape.arrays, 1))
    return f"INSERT INTO {shape.name} ({', '.join(shape.columns)}) SELECT * FROM unnest({arrays})"


@cache
def _upsert(insert: str, shape: Shape) -> str:
    fresh = ", ".join(f"{name} = excluded.{name}" for name in shape.columns if name not in shape.key)
    return f"{insert} ON CONFLICT ({', '.join(shape.key)}) DO UPDATE SET {fresh}"


@cache
def _numbered(sql: str) -> str:
    first, *rest = sql.split("?")
    return first + "".join(f"${place}{part}" for place, part in enumerate(rest, 1))
