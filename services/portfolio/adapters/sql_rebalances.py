"""Rebalances in SQLite or Postgres: each one a document that is replaced whole, guarded by its version."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fleet.database import Database
from services.portfolio.adapters.rebalance_tables import rebalances as table
from services.portfolio.domain.rebalance import Rebalance, State
from trading.errors import FailedPrecondition

_NS_PER_MS = 1_000_000


class SqlRebalances:
    """Rebalances over SQLAlchemy Core."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rebalance: Rebalance) -> None:
        """Keep a new proposal."""
        row = {"id": rebalance.id, "account": rebalance.account, "told_version": 0, **_changing(rebalance)}
        async with self._database.begin() as connection:
            await connection.execute(insert(table).values(row))

    async def get(self, rebalance_id: str) -> Rebalance | None:
        """One of them."""
        found = await self._read(select(table.c.document).where(table.c.id == rebalance_id))
        return found[0] if found else None

    async def put(self, rebalance: Rebalance, *, was: int) -> bool:
        """Keep a change of the version `was`; False when it is another version by now."""
        statement = update(table).where(table.c.id == rebalance.id, table.c.version == was)
        try:
            async with self._database.begin() as connection:
                return bool((await connection.execute(statement.values(_changing(rebalance)))).rowcount)
        except IntegrityError as error:  # the index of those under way holds one for each account
            raise FailedPrecondition(
                "Another rebalance of the account is under way.",
                reason="REBALANCE_UNDER_WAY",
                account=rebalance.account,
            ) from error

    async def page(self, account: str, limit: int, before: str) -> tuple[Rebalance, ...]:
        """Newest first; their ids are ordered by time."""
        query = select(table.c.document).order_by(table.c.id.desc()).limit(limit)
        if account:
            query = query.where(table.c.account == account)
        if before:
            query = query.where(table.c.id < before)
        return await self._read(query)

    async def executing(self) -> tuple[Rebalance, ...]:
        """Those under way, oldest first."""
        return await self._read(
            select(table.c.document).where(table.c.state == State.EXECUTING.value).order_by(table.c.id)
        )

    async def untold(self, limit: int) -> tuple[Rebalance, ...]:
        """Those whose newest version was not published yet, oldest first."""
        is_untold = table.c.told_version < table.c.version
        return await self._read(select(table.c.document).where(is_untold).order_by(table.c.id).limit(limit))

    async def told(self, rebalance: Rebalance) -> None:
        """Note that this version was published."""
        statement = update(table).where(table.c.id == rebalance.id, table.c.told_version < rebalance.version)
        async with self._database.begin() as connection:
            await connection.execute(statement.values(told_version=rebalance.version))

    async def forget(self, before_ns: int) -> int:
        """Drop those made before a time; their ids, UUIDv7, begin with it."""
        is_old = (table.c.id < oldest_id(before_ns), table.c.state != State.EXECUTING.value)
        async with self._database.begin() as connection:
            dropped = await connection.execute(delete(table).where(*is_old, table.c.told_version == table.c.version))
            return int(dropped.rowcount)

    async def _read(self, query: Select[Any]) -> tuple[Rebalance, ...]:
        async with self._database.read() as connection:
            return tuple(_rebalances((await connection.execute(query)).all()))


def oldest_id(time_ns: int) -> str:
    """What every id made at this time or later is larger than: the first 48 bits of a UUIDv7 count milliseconds."""
    digits = f"{time_ns // _NS_PER_MS:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _changing(rebalance: Rebalance) -> dict[str, object]:
    document = msgspec.json.encode(rebalance).decode()
    return {"state": rebalance.state.value, "version": rebalance.version, "document": document}


def _rebalances(rows: Iterable[Row[Any]]) -> Iterable[Rebalance]:
    return (msgspec.json.decode(row.document, type=Rebalance) for row in rows)
