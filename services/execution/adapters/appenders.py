"""The hot append of the order log, once per database: no ORM, one thread hop or one round trip per transaction."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, Protocol

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from services.execution.adapters import schema
from services.execution.adapters.order_rows import (
    Values,
    event_row,
    fill_rows,
    order_rows,
    outbox_rows,
    timing_values,
)
from services.execution.ports.log import AnotherWriter, Append
from trading.errors import Unavailable

Rows = Sequence[Values]
_UPSERT = (
    "ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, version = excluded.version, state = excluded.state"
)
_TAKEN = "Another writer has taken this place in the order log."
_FENCED = "Another writer holds the lease on the order log."
_TIMED = ("total_latency_ns", "validation_time_ns", "execution_time_ns")


class Appender(Protocol):
    """Writes one transaction."""

    def append(self, append: Append) -> Awaitable[None]:
        """All or nothing, durably; raises Unavailable or AnotherWriter. What is under way when it returns goes on."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class _Job(NamedTuple):
    append: Append
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"


class SqliteAppender:
    """A connection and a thread of its own: a transaction is one hop to the thread and one fsync.

    (An executor makes three futures of each job: a quarter of the whole hop.)
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="order-log", daemon=True)
        self._thread.start()

    def append(self, append: Append) -> "asyncio.Future[None]":
        """Hand a transaction to the thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._jobs.put(_Job(append, loop, done))
        return done

    async def close(self) -> None:
        """Write what was handed over, close the connection and end the thread."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            failure: Exception | None = None
            try:
                self._append(job.append)
            except Exception as error:  # the boundary of the thread: whoever waits for the job is told
                failure = error
            if not job.loop.is_closed():
                job.loop.call_soon_threadsafe(_tell, job.done, failure)
        if self._connection is not None:
            self._connection.close()

    def _append(self, append: Append) -> None:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                _check_lease(connection, append)
                self._write(connection, append)
                connection.execute("COMMIT")
            except (sqlite3.Error, AnotherWriter):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise Unavailable("The order log cannot be written.", retry_after_s=1, cause=str(error)) from error
        except sqlite3.IntegrityError as error:
            raise AnotherWriter(_TAKEN, cause=str(error)) from error

    def _write(self, connection: sqlite3.Connection, append: Append) -> None:
        entries = append.entries
        if entries:
            connection.executemany(_SQLITE_ORDERS, order_rows(entries, append.timings))
            connection.executemany(_SQLITE_EVENTS, map(event_row, entries))
            connection.executemany(_SQLITE_FILLS, fill_rows(entries))
            connection.executemany(_SQLITE_OUTBOX, outbox_rows(entries))
        if append.published_through is not None:
            connection.execute("DELETE FROM outbox WHERE log_sequence <= ?", (append.published_through,))
        if append.timings:
            connection.executemany(
                "UPDATE orders SET total_latency_ns = ?, validation_time_ns = ?, execution_time_ns = ? "
                "WHERE order_id = ?",
                [(*timing_values(timings), name) for name, timings in append.timings.items()],
            )
        if append.stops:
            connection.executemany(_SQLITE_STOPS, append.stops.items())

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=32)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection
        return self._connection


def _check_lease(connection: sqlite3.Connection, append: Append) -> None:
    if append.epoch is None:
        return
    found = connection.execute("SELECT epoch FROM leases").fetchone()
    if found != (append.epoch,):
        raise AnotherWriter(_FENCED, ours=append.epoch, newest=found and found[0])


def _tell(done: "asyncio.Future[None]", failure: Exception | None) -> None:
    if done.done():  # nobody waits any more
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


class PostgresAppender:
    """One statement checks the lease and writes events, orders, fills and outbox: one round trip, one commit."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def append(self, append: Append) -> None:
        """Write a transaction; a connection that failed is not used again."""
        try:
            async with self._engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                if driver is None:
                    raise Unavailable("The order log has no connection.", retry_after_s=1)
                try:
                    await self._write(driver, append)
                except BaseException:  # a cancel too leaves the connection in an unknown state
                    await connection.invalidate()
                    raise
        except (OSError, TimeoutError, *_GONE) as error:
            raise Unavailable("The order log does not answer.", retry_after_s=1) from error
        except asyncpg.UniqueViolationError as error:
            raise AnotherWriter(_TAKEN, cause=str(error)) from error

    async def close(self) -> None:
        """Its connections belong to the engine."""

    async def _write(self, driver: Any, append: Append) -> None:
        # Timings are telemetry: they travel in a statement of their own, before the one that must be whole.
        late = {name: value for name, value in append.timings.items() if name not in _moved(append)}
        if late:
            columns = zip(*((name, *timing_values(value)) for name, value in late.items()), strict=True)
            await driver.execute(_POSTGRES_TIMINGS, *map(list, columns))
        if append.stops:
            await driver.execute(_POSTGRES_STOPS, list(append.stops), list(append.stops.values()), append.epoch)
        if append.entries:
            if not await driver.fetchval(_POSTGRES_APPEND, *_arguments(append)):
                raise AnotherWriter(_FENCED, ours=append.epoch)
        elif append.published_through is not None:
            await driver.execute("DELETE FROM outbox WHERE log_sequence <= $1", append.published_through)


def _moved(append: Append) -> set[str]:
    return {entry.order.order_id for entry in append.entries}


def _arguments(append: Append) -> list[Any]:
    tables: tuple[tuple[Table, Rows], ...] = (
        (schema.orders, order_rows(append.entries, append.timings)),
        (schema.order_events, [event_row(entry) for entry in append.entries]),
        (schema.fills, fill_rows(append.entries)),
        (schema.outbox, outbox_rows(append.entries)),
    )
    columns = [[row[at] for row in rows] for table, rows in tables for at in range(len(table.columns))]
    return [*columns, append.published_through or 0, append.epoch]


_ARRAYS = {"VARCHAR": "text[]", "TEXT": "text[]", "BIGINT": "bigint[]", "BOOLEAN": "boolean[]", "BLOB": "bytea[]"}


def _unnest(table: Table, first: int) -> str:
    arrays = [
        f"${first + place}::{_ARRAYS[str(column.type).partition('(')[0]]}" for place, column in enumerate(table.columns)
    ]
    names = ", ".join(column.name for column in table.columns)
    rows = f"SELECT u.* FROM unnest({', '.join(arrays)}) AS u, fence"
    return f"INSERT INTO {table.name} ({names}) {rows}"


def _postgres_append() -> str:
    """Everything hangs on `fence`, a row that there is only under our lease, and that stays locked until the commit."""
    last = 2 + sum(len(table.columns) for table in (schema.orders, schema.order_events, schema.fills, schema.outbox))
    lease = f"SELECT epoch FROM leases WHERE epoch = ${last}::bigint FOR SHARE"
    parts = [
        f"lease AS ({lease})",
        f"fence AS (SELECT 1 WHERE ${last}::bigint IS NULL OR EXISTS (SELECT 1 FROM lease))",
    ]
    first = 1
    for table in (schema.orders, schema.order_events, schema.fills, schema.outbox):
        conflict = f" {_UPSERT}, {_POSTGRES_TIMED}" if table is schema.orders else ""
        parts.append(f"w_{table.name} AS ({_unnest(table, first)}{conflict})")
        first += len(table.columns)
    parts.append(f"told AS (DELETE FROM outbox WHERE log_sequence <= ${first} AND EXISTS (SELECT 1 FROM fence))")
    return f"WITH {', '.join(parts)} SELECT EXISTS (SELECT 1 FROM fence)"


# An order that moved without new timings keeps those it has.
_POSTGRES_TIMED = ", ".join(f"{name} = greatest(orders.{name}, excluded.{name})" for name in _TIMED)
_POSTGRES_APPEND = _postgres_append()
_POSTGRES_TIMINGS = (
    "UPDATE orders SET total_latency_ns = t.total, validation_time_ns = t.validation, execution_time_ns = t.execution "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS t (id, total, validation, execution) "
    "WHERE order_id = t.id"
)
_KEEP_STOP = "ON CONFLICT (order_id) DO UPDATE SET stop_nanos = excluded.stop_nanos"
_POSTGRES_STOPS = (
    "INSERT INTO trailing_stops SELECT * FROM unnest($1::text[], $2::bigint[]) "
    "WHERE $3::bigint IS NULL OR EXISTS (SELECT 1 FROM leases WHERE epoch = $3) "
    f"{_KEEP_STOP}"
)
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)


def _sqlite_insert(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(table.columns))})"


_SQLITE_ORDERS = f"{_sqlite_insert(schema.orders)} {_UPSERT}"
_SQLITE_STOPS = f"{_sqlite_insert(schema.trailing_stops)} {_KEEP_STOP}"
_SQLITE_EVENTS = _sqlite_insert(schema.order_events)
_SQLITE_FILLS = _sqlite_insert(schema.fills)
_SQLITE_OUTBOX = _sqlite_insert(schema.outbox)
