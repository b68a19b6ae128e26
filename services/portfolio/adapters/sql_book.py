"""The book in SQLite or Postgres: entries, positions, cash, outbox and progress move in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import Select, func, select, text

from fleet.database import Database
from services.portfolio.adapters import book_rows as rows
from services.portfolio.adapters import tables
from services.portfolio.adapters.book_rows import Shape
from services.portfolio.adapters.sql_pens import Pen, SomeKnown, Writer, writer_of
from services.portfolio.adapters.sql_stories import (
    Memory,
    Request,
    Scan,
    Stories,
    not_recorded,
    pending_rows,
)
from services.portfolio.domain.account import AccountBook, BookTotals
from services.portfolio.domain.entries import Charge, Fill, Transfer, fills_in_order, in_order
from services.portfolio.domain.ledger import Cash, Position
from services.portfolio.ports import Import, PendingChange, Posting

_FILLS, _CHARGES = "execution", "execution charges"
"""What is scanned: execution's log, and its record of charges."""
_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
"""Postgres gives each statement a moment of its own unless told; SQLite always gives a transaction one."""


@asynccontextmanager
async def open_book(database: Database) -> AsyncIterator["SqlBook"]:
    """A book over an open database; what was handed over is written before the block ends."""
    writer = writer_of(database)
    try:
        yield SqlBook(database, writer)
    finally:
        await writer.close()


class SqlBook:
    """Book and Outbox."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._memory = Memory()
        self._stories = Stories(self._memory)
        self._turn = asyncio.Lock()  # one transaction at a time: the memory belongs to it

    async def apply(self, fills: Sequence[Fill], *, scanned_to: int | None = None) -> Posting:
        """Fold in the fills that are new, in the order of the log, whatever order they came in."""
        scan = None if scanned_to is None else Scan(_FILLS, scanned_to)
        return await self._book(fills_in_order(fills), len(fills), rows.FILLS, scan)

    async def apply_charges(self, charges: Sequence[Charge], *, scanned_to: int | None = None) -> Posting:
        """Fold in the charges that are new, each where it counts among the fills."""
        scan = None if scanned_to is None else Scan(_CHARGES, scanned_to)
        async with self._turn:
            fresh = await self._writer.write(partial(not_recorded, charges=in_order(charges)))
        return await self._book(fresh, len(charges), rows.CHARGES, scan)

    async def _book(self, entries: Sequence[Fill | Charge], told: int, inbox: Shape, scan: Scan | None) -> Posting:
        """In the hope that all of it is new, or none; and otherwise once more, looking first."""
        if not entries and scan is None:
            return Posting(0, told)
        story = partial(self._stories.book, entries=entries, inbox=inbox, scan=scan)
        async with self._turn:
            try:
                written = await self._writer.write(partial(story, careful=False))
            except SomeKnown:
                written = await self._writer.write(partial(story, careful=True))
            self._memory.keep(written.totals)
        return Posting(written.applied, told - written.applied)

    async def transfer(self, transfer: Transfer) -> bool:
        """Book cash that was paid in or out, once."""
        async with self._turn:
            return self._kept(await self._writer.write(partial(self._stories.transfer, transfer=transfer)))

    async def acquire(self, order: Import) -> bool:
        """Book the positions of an import, once."""
        async with self._turn:
            return self._kept(await self._writer.write(partial(self._stories.acquire, order=order)))

    def _kept(self, request: Request) -> bool:
        self._memory.keep(request.written.totals)
        return not request.repeated

    async def read(self, account: str) -> AccountBook:
        """One account at one moment: three tables in one read transaction."""
        async with self._database.read() as connection:
            if self._database.dialect == "postgresql":
                await connection.execute(_ONE_MOMENT)
            totals = (await connection.execute(_of(tables.books, account))).one_or_none()
            positions = (await connection.execute(_of(tables.positions, account))).all()
            cash = (await connection.execute(_of(tables.cash_flows, account))).all()
        return AccountBook(
            BookTotals(*totals) if totals else BookTotals(account),
            tuple(Position(*row) for row in positions),
            {row.currency: Cash(*row[2:]) for row in cash},
        )

    async def accounts(self) -> tuple[str, ...]:
        """Names of the accounts on which something was booked, sorted."""
        async with self._database.read() as connection:
            names = await connection.execute(select(tables.books.c.account).order_by(tables.books.c.account))
            return tuple(names.scalars())

    async def newest_log_sequence(self) -> int:
        """Newest position in the log among all accounts."""
        return await self._number(select(func.max(tables.books.c.log_sequence)))

    async def scanned_to(self) -> int:
        """How far execution's log was scanned."""
        return await self._scanned_to(_FILLS)

    async def charges_scanned_to(self) -> int:
        """How far execution's record of charges was scanned."""
        return await self._scanned_to(_CHARGES)

    async def _scanned_to(self, source: str) -> int:
        return await self._number(select(tables.scans.c.scanned_to).where(tables.scans.c.source == source))

    async def _number(self, query: Select[Any]) -> int:
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar() or 0

    async def pending(self, limit: int) -> tuple[PendingChange, ...]:
        """The oldest changes that wait, in the order they were booked."""
        found = await self._writer.write(partial(pending_rows, limit=limit))
        return tuple(map(rows.pending_of, found))

    async def forget(self, places: Sequence[int]) -> None:
        """Take published changes away."""

        async def story(pen: Pen) -> None:
            await pen.remove(rows.OUTBOX, "place", places)

        await self._writer.write(story)


def _of(table: Any, account: str) -> Select[Any]:
    return select(table).where(table.c.account == account)
