"""Copies an order log, with everything that belongs to it, into another database that is still empty.

Events are the truth and are copied as they are, each chain verified; orders and fills are made of them anew.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Select, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fleet.database import Database
from services.execution.adapters import schema
from services.execution.adapters.order_rows import Values, fill_rows, logged_event, order_rows
from services.execution.domain.chain import verify
from services.execution.domain.order import Order, apply
from services.execution.domain.submission import Timings
from services.execution.ports.log import Entry, LoggedEvent
from trading.errors import FailedPrecondition
from trading.ids import OrderId

BATCH = 5_000
"""Rows of one write; a COPY of so many stays far below the database's patience."""
_MADE_ANEW = frozenset({schema.orders.name, schema.fills.name})
_COUNTED = (schema.order_events, schema.orders, schema.fills)
_LEFT_ALONE = frozenset({schema.leases.name})
Progress = Callable[[str, int], None]
Row = Mapping[str, Any]


class Copied(NamedTuple):
    """How much went over."""

    events: int
    orders: int
    fills: int


async def copy_log(source: Database, target: Database, progress: Progress) -> Copied:
    """Copy everything but the lease, all or nothing; `progress` hears of each table and its rows so far.

    Raises FailedPrecondition when the target is not empty or a chain of the source is broken.
    """
    async with source.read() as reading, target.begin() as writing:
        await _must_be_empty(writing)
        into = _Into(writing, target.dialect, progress)
        for table in schema.metadata.sorted_tables:
            if table.name not in _MADE_ANEW | _LEFT_ALONE:
                async for rows in _batches(reading, select(table)):
                    await into.write(table, [tuple(row.values()) for row in rows])
        await _make_orders(reading, into)
        if target.dialect == "postgresql":
            await _count_on(writing, schema.audit)
        return Copied(
            *(into.written.get(table.name, 0) for table in (schema.order_events, schema.orders, schema.fills))
        )


class _Into:
    """The target: COPY where it is Postgres."""

    def __init__(self, connection: AsyncConnection, dialect: str, progress: Progress) -> None:
        self._connection = connection
        self._is_postgres = dialect == "postgresql"
        self._progress = progress
        self.written: Counter[str] = Counter()

    async def write(self, table: Table, rows: Sequence[Values]) -> None:
        """Write rows whose values are in the order of the table's columns."""
        if not rows:
            return
        names = [column.name for column in table.columns]
        if self._is_postgres:
            driver: Any = (await self._connection.get_raw_connection()).driver_connection
            await driver.copy_records_to_table(table.name, records=rows, columns=names)
        else:
            await self._connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
        self.written[table.name] += len(rows)
        self._progress(table.name, self.written[table.name])


async def _must_be_empty(connection: AsyncConnection) -> None:
    for table in schema.metadata.sorted_tables:
        if table.name in _LEFT_ALONE:
            continue
        found = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        if found:
            raise FailedPrecondition("The target holds an order log already.", table=table.name, rows=found)


async def _make_orders(reading: AsyncConnection, into: _Into) -> None:
    timings = await _timings(reading)
    by_order = select(schema.order_events).order_by(schema.order_events.c.order_id, schema.order_events.c.version)
    unfinished: list[LoggedEvent] = []
    async for rows in _batches(reading, by_order):
        logged = [*unfinished, *map(logged_event, rows)]
        newest = logged[-1].event.order_id
        unfinished = [each for each in logged if each.event.order_id == newest]
        await _write_orders(into, [each for each in logged if each.event.order_id != newest], timings)
    await _write_orders(into, unfinished, timings)


async def _write_orders(into: _Into, logged: Iterable[LoggedEvent], timings: Mapping[OrderId, Timings]) -> None:
    entries: list[Entry] = []
    for _, life in groupby(logged, key=lambda each: each.event.order_id):
        entries += _entries(list(life))
    await into.write(schema.orders, [tuple(map(_plain, row)) for row in order_rows(entries, timings)])
    await into.write(schema.fills, [tuple(map(_plain, row)) for row in fill_rows(entries)])


def _entries(life: Sequence[LoggedEvent]) -> list[Entry]:
    verify(each.event for each in life)
    order: Order | None = None
    found = []
    for each in life:
        order = apply(order, each.event)
        found.append(Entry(each.log_sequence, each.event, order, None))
    return found


async def _timings(reading: AsyncConnection) -> Mapping[OrderId, Timings]:
    orders = schema.orders.c
    query = select(orders.order_id, orders.total_latency_ns, orders.validation_time_ns, orders.execution_time_ns)
    return {OrderId(row[0]): Timings(row[1], row[2], row[3]) for row in await reading.execute(query)}


async def _batches(reading: AsyncConnection, query: Select[Any]) -> AsyncIterator[Sequence[Row]]:
    async with reading.stream(query.execution_options(yield_per=BATCH)) as result:
        async for rows in result.mappings().partitions(BATCH):
            yield rows


async def _count_on(connection: AsyncConnection, table: Table) -> None:
    """Numbers that the database gives go on where the copied ones end."""
    name = f"execution.{table.name}"
    newest = select(func.coalesce(func.max(table.c.id), 0)).scalar_subquery()
    await connection.execute(select(func.setval(func.pg_get_serial_sequence(name, "id"), newest + 1, text("false"))))


def _plain(value: Any) -> Any:
    """COPY takes a string, not what inherits from it."""
    return str(value) if isinstance(value, str) else value
