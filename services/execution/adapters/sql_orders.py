"""The order log in SQLite or Postgres."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Select, Table, func, select

from fleet.database import Database
from services.execution.adapters.appenders import Appender, PostgresAppender, SqliteAppender
from services.execution.adapters.order_rows import logged_event, logged_fill, outbox_row, stored_order
from services.execution.adapters.schema import fills, order_events, orders, outbox, trailing_stops
from services.execution.domain.fill import LoggedFill
from services.execution.ports.log import Append, LoggedEvent, OrderQuery, OutboxRow, StoredOrder
from trading.ids import AccountId, ClientOrderId, EventId, OrderId
from trading.order import CLOSED, OrderStatus


class SqlOrders:
    """Reads by SQLAlchemy, appends by the shortest way the database has."""

    def __init__(self, database: Database, appender: Appender) -> None:
        self._database = database
        self._appender = appender

    def append(self, append: Append) -> Awaitable[None]:
        """Write one transaction."""
        return self._appender.append(append)

    async def head(self) -> int:
        """The newest place in the log."""
        return int(await self._scalar(select(func.coalesce(func.max(order_events.c.log_sequence), 0))))

    async def event_id_at(self, log_sequence: int) -> EventId | None:
        """The id of the event at a place in the log."""
        found = await self._scalar(select(order_events.c.event_id).where(order_events.c.log_sequence == log_sequence))
        return None if found is None else EventId(found)

    async def outbox(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Events that wait to be published."""
        query = select(outbox).where(outbox.c.log_sequence > after).order_by(outbox.c.log_sequence).limit(limit)
        return [outbox_row(row) for row in await self._rows(query)]

    async def get(self, order_ids: Sequence[OrderId]) -> Sequence[StoredOrder]:
        """Those of the orders that there are, asked for in chunks."""
        found: list[StoredOrder] = []
        for chunk in _chunks(order_ids):
            rows = await self._rows(select(orders).where(orders.c.order_id.in_(chunk)))
            found += map(stored_order, rows)
        return found

    async def get_by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> StoredOrder | None:
        """One order by the caller's id."""
        rows = await self._rows(
            select(orders).where(orders.c.account == account, orders.c.client_order_id == client_order_id)
        )
        return stored_order(rows[0]) if rows else None

    async def list(self, query: OrderQuery) -> Sequence[StoredOrder]:
        """A page of orders, newest first: our ids grow with time."""
        wanted = select(orders).order_by(orders.c.order_id.desc()).limit(query.limit)
        if query.account is not None:
            wanted = wanted.where(orders.c.account == query.account)
        if query.symbol is not None:
            wanted = wanted.where(orders.c.symbol == query.symbol)
        if query.statuses:
            wanted = wanted.where(orders.c.status.in_(sorted(query.statuses)))
        if query.before is not None:
            wanted = wanted.where(orders.c.order_id < query.before)
        return [stored_order(row) for row in await self._rows(wanted)]

    async def open_orders(self) -> Sequence[StoredOrder]:
        """Every order that is not closed, oldest first."""
        working = sorted(set(OrderStatus) - CLOSED)
        query = select(orders).where(orders.c.status.in_(working)).order_by(orders.c.order_id)
        return [stored_order(row) for row in await self._rows(query)]

    async def events(self, order_id: OrderId) -> Sequence[LoggedEvent]:
        """The life of one order."""
        query = select(order_events).where(order_events.c.order_id == order_id).order_by(order_events.c.version)
        return [logged_event(row) for row in await self._rows(query)]

    async def fills(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedFill]:
        """Trades in the order of the log."""
        query = select(fills).where(fills.c.log_sequence > after).order_by(fills.c.log_sequence).limit(limit)
        if account is not None:
            query = query.where(fills.c.account == account)
        return [logged_fill(row) for row in await self._rows(query)]

    async def execution_ids(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, frozenset[str]]:
        """The venue's ids of the trades of those of the orders that have traded."""
        found: defaultdict[OrderId, set[str]] = defaultdict(set)
        for chunk in _chunks(order_ids):
            query = select(fills.c.order_id, fills.c.execution_id).where(fills.c.order_id.in_(chunk))
            for row in await self._rows(query):
                found[OrderId(row["order_id"])].add(row["execution_id"])
        return {order_id: frozenset(ids) for order_id, ids in found.items()}

    async def client_ids(self) -> AsyncIterator[tuple[AccountId, ClientOrderId]]:
        """Every idempotency key that was ever used, in pages."""
        last = ""
        while True:
            rows = await self._rows(
                select(orders.c.order_id, orders.c.account, orders.c.client_order_id)
                .where(orders.c.order_id > last)
                .order_by(orders.c.order_id)
                .limit(_PAGE)
            )
            for row in rows:
                yield AccountId(row["account"]), ClientOrderId(row["client_order_id"])
            if len(rows) < _PAGE:
                return
            last = rows[-1]["order_id"]

    async def stops(self) -> Mapping[OrderId, int]:
        """The stops of orders that are held still."""
        held = trailing_stops.join(orders, trailing_stops.c.order_id == orders.c.order_id)
        query = select(trailing_stops).select_from(held).where(orders.c.status == OrderStatus.EMULATED)
        return {OrderId(row["order_id"]): row["stop_nanos"] for row in await self._rows(query)}

    async def count_by_status(self) -> Mapping[OrderStatus, int]:
        """How many orders stand where."""
        rows = await self._rows(select(orders.c.status, func.count().label("orders")).group_by(orders.c.status))
        return {OrderStatus(row["status"]): row["orders"] for row in rows}

    async def outbox_depth(self) -> int:
        """How many events wait to be published."""
        return await self._count(outbox)

    async def _count(self, table: Table) -> int:
        return int(await self._scalar(select(func.count()).select_from(table)))

    async def _scalar(self, query: Select[Any]) -> Any:
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar()

    async def _rows(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        async with self._database.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


@asynccontextmanager
async def open_order_log(database: Database) -> AsyncIterator[SqlOrders]:
    """The log in an open database, with its own way of appending."""
    appender: Appender
    if database.dialect == "sqlite":
        appender = SqliteAppender(str(database.engine.url.database))
    else:
        appender = PostgresAppender(database.engine)
    try:
        yield SqlOrders(database, appender)
    finally:
        await appender.close()


def _chunks(order_ids: Sequence[OrderId]) -> Iterator[Sequence[OrderId]]:
    for first in range(0, len(order_ids), _CHUNK):
        yield order_ids[first : first + _CHUNK]


_PAGE = 10_000
_CHUNK = 500
