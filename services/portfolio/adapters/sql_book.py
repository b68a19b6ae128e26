"""The book in SQLite or Postgres: fills, charges, positions, cash, outbox and progress move in one transaction."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, delete, func, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from fleet.database import Database
from services.portfolio.adapters import tables
from services.portfolio.domain.account import BookTotals, PositionChange
from services.portfolio.domain.ledger import (
    TRANSFER,
    CashKey,
    Charge,
    Entry,
    Fill,
    Ledger,
    Position,
    PositionKey,
    flat,
    in_log_order,
    late_keys,
    place_of,
    refold,
)
from services.portfolio.ports import AccountBook, PendingChange, Posting
from trading.order import Side

_FILLS, _CHARGES = "execution", "execution charges"
"""What is scanned: execution's log, and its record of charges."""
_CHUNK = 500
"""Keys asked for in one statement."""
_REFOLD_ROWS = 5_000
"""Fills fetched at a time when a position is folded again."""
_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
"""Postgres gives each statement a moment of its own unless told; SQLite always gives a transaction one."""


class SqlBook:
    """Book and Outbox over SQLAlchemy Core."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, fills: Sequence[Fill], *, scanned_to: int | None = None) -> Posting:
        """Fold in the fills that are new, in the order of the log, whatever order they came in."""
        return await self._apply(fills, tables.fills, _FILLS, scanned_to)

    async def apply_charges(self, charges: Sequence[Charge], *, scanned_to: int | None = None) -> Posting:
        """Fold in the charges that are new, each where it counts among the fills."""
        return await self._apply(charges, tables.charges, _CHARGES, scanned_to)

    async def _apply(self, entries: Sequence[Entry], inbox: Table, source: str, scanned_to: int | None) -> Posting:
        fresh = await self._unknown(in_log_order(entries), inbox)
        if not fresh and (scanned_to is None or scanned_to <= await self._scanned_to(source)):
            return Posting(0, len(entries))
        async with self._database.begin() as connection:
            batch = _Batch(connection, self._database.dialect)
            applied = await batch.post(fresh, inbox) if fresh else 0
            if scanned_to is not None:
                await batch.note_scan(source, scanned_to)
        return Posting(applied, len(entries) - applied)

    async def _unknown(self, entries: Sequence[Entry], inbox: Table) -> list[Entry]:
        """Entries that were not booked before; looked at first, so that a redelivery costs no write."""
        known: set[str] = set()
        async with self._database.read() as connection:
            for chunk in _chunks([entry.event_id for entry in entries]):
                column = inbox.c.event_id
                known.update((await connection.execute(select(column).where(column.in_(chunk)))).scalars())
        return [entry for entry in entries if entry.event_id not in known]

    async def transferred_since(self, account: str, time_ns: int) -> int:
        """What was paid in and out."""
        table = tables.charges
        is_newer = (table.c.account == account, table.c.kind == TRANSFER, table.c.receive_time_ns >= time_ns)
        async with self._database.read() as connection:
            amounts: Sequence[int] = (
                (await connection.execute(select(table.c.amount_nanos).where(*is_newer))).scalars().all()
            )
        return -sum(amounts)

    async def read(self, account: str) -> AccountBook:
        """One account at one moment: three tables in one read transaction."""
        async with self._database.read() as connection:
            if self._database.dialect == "postgresql":
                await connection.execute(_ONE_MOMENT)
            totals = (await connection.execute(_of(tables.books, account))).one_or_none()
            positions = (await connection.execute(_of(tables.positions, account))).all()
            flows = (await connection.execute(_of(tables.cash_flows, account))).all()
        return AccountBook(
            BookTotals(*totals) if totals else BookTotals(account),
            tuple(Position(*row) for row in positions),
            {row.currency: row.flow_nanos for row in flows},
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
        query = select(tables.outbox).order_by(tables.outbox.c.place).limit(limit)
        async with self._database.read() as connection:
            return tuple(_pending(row) for row in (await connection.execute(query)).all())

    async def forget(self, places: Sequence[int]) -> None:
        """Take published changes away."""
        async with self._database.begin() as connection:
            for chunk in _chunks(places):
                await connection.execute(delete(tables.outbox).where(tables.outbox.c.place.in_(chunk)))


class _Batch:
    """The writes of one transaction."""

    def __init__(self, connection: AsyncConnection, dialect: str) -> None:
        self._connection = connection
        self._insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert

    async def post(self, entries: Sequence[Entry], inbox: Table) -> int:
        """Book fills or charges in log order and give back how many were new after all."""
        totals = await self._hold_books(sorted({entry.account for entry in entries}))
        fresh = await self._receive(entries, inbox)
        if not fresh:
            return 0
        ledger = await self._load(fresh)
        late = late_keys(ledger.positions, fresh)
        await self._refold(ledger, late)
        changes = _post_all(ledger, fresh, late, totals)
        await self._save(ledger, {CashKey(entry.account, entry.currency) for entry in fresh}, totals, changes)
        return len(fresh)

    async def note_scan(self, source: str, scanned_to: int) -> None:
        """Move the scan forward; it never goes back."""
        row = {"source": source, "scanned_to": scanned_to}
        statement = self._insert(tables.scans).values(row)
        newer = tables.scans.c.scanned_to < scanned_to
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["source"], set_={"scanned_to": scanned_to}, where=newer)
        )

    async def _hold_books(self, accounts: Sequence[str]) -> dict[str, BookTotals]:
        """Lock the accounts, always in the same order, so that two writers never wait for each other."""
        rows = [BookTotals(account)._asdict() for account in accounts]
        await self._connection.execute(self._insert(tables.books).on_conflict_do_nothing(), rows)
        column = tables.books.c.account
        query = select(tables.books).where(column.in_(accounts)).order_by(column).with_for_update()
        return {row.account: BookTotals(*row) for row in (await self._connection.execute(query)).all()}

    async def _receive(self, entries: Sequence[Entry], inbox: Table) -> list[Entry]:
        """Enter entries into their inbox; those that another process entered meanwhile are left out."""
        statement = self._insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
        entered = set((await self._connection.execute(statement, [_entry_row(entry) for entry in entries])).scalars())
        return [entry for entry in entries if entry.event_id in entered]

    async def _load(self, entries: Sequence[Entry]) -> Ledger:
        ledger = Ledger()
        table = tables.positions
        by_key = tuple_(table.c.account, table.c.symbol, table.c.currency)
        for chunk in _chunks(sorted({entry.key for entry in entries if entry.key is not None})):
            for row in (await self._connection.execute(select(table).where(by_key.in_(chunk)))).all():
                position = Position(*row)
                ledger.positions[position.key] = position
        flows = tables.cash_flows
        accounts = sorted({entry.account for entry in entries})
        for row in (await self._connection.execute(select(flows).where(flows.c.account.in_(accounts)))).all():
            ledger.flows[CashKey(row.account, row.currency)] = row.flow_nanos
        return ledger

    async def _refold(self, ledger: Ledger, keys: Iterable[PositionKey]) -> None:
        """Fold positions again from all their entries, the late ones in their place; rare, and exact."""
        for key in sorted(keys):
            waiting = deque([charge for charge in await self._charges_of(key) if charge.key == key])
            query = _of_position(tables.fills, key).execution_options(yield_per=_REFOLD_ROWS)
            position = flat(key)
            async with self._connection.stream(query) as result:
                async for rows in result.partitions():
                    fills = [_fill(row) for row in rows]
                    before = _taken_before(waiting, fills[-1])
                    position = refold(key, sorted([*fills, *before], key=place_of), position)
            ledger.positions[key] = refold(key, waiting, position)

    async def _charges_of(self, key: PositionKey) -> list[Charge]:
        rows = (await self._connection.execute(_of_position(tables.charges, key))).all()
        return sorted((Charge(*row) for row in rows), key=place_of)

    async def _save(
        self,
        ledger: Ledger,
        paid: Collection[CashKey],
        totals: Mapping[str, BookTotals],
        changes: Sequence[PositionChange],
    ) -> None:
        touched = {change.position.key for change in changes}
        flows = [key._asdict() | {"flow_nanos": ledger.flows[key]} for key in sorted(paid)]
        await self._upsert(tables.cash_flows, flows)
        await self._upsert(tables.books, [book._asdict() for book in totals.values()])
        if changes:
            await self._upsert(tables.positions, [ledger.positions[key]._asdict() for key in sorted(touched)])
            await self._connection.execute(self._insert(tables.outbox), [_change_row(change) for change in changes])

    async def _upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        fresh = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        await self._connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh), rows)


def _post_all(
    ledger: Ledger, entries: Sequence[Entry], late: set[PositionKey], totals: dict[str, BookTotals]
) -> list[PositionChange]:
    """Fold entries in log order; one change for each that moves a position, numbered by account."""
    changes = []
    for entry in entries:
        position = _post(ledger, entry, late)
        if position is not None:
            totals[entry.account] = book = _counted(totals[entry.account], entry)
            flow = ledger.flows[CashKey(entry.account, entry.currency)]
            changes.append(PositionChange(position, entry.event_id, book.sequence, flow))
    return changes


def _post(ledger: Ledger, entry: Entry, late: set[PositionKey]) -> Position | None:
    key = entry.key
    if key is not None and key in late:
        ledger.pay(entry)
        return ledger.positions[key]
    return ledger.post(entry) if isinstance(entry, Fill) else ledger.post_charge(entry)


def _counted(book: BookTotals, entry: Entry) -> BookTotals:
    """A charge says nothing of how much of the log is in the book: fills before it may still be on their way."""
    if isinstance(entry, Charge):
        return book._replace(sequence=book.sequence + 1)
    newest = max(book.log_sequence, entry.log_sequence)
    return BookTotals(book.account, book.sequence + 1, newest, book.fill_count + 1)


def _taken_before(waiting: "deque[Charge]", fill: Fill) -> list[Charge]:
    taken = []
    while waiting and place_of(waiting[0]) < place_of(fill):
        taken.append(waiting.popleft())
    return taken


def _of_position(table: Table, key: PositionKey) -> Select[Any]:
    """The entries of a position in the order of the log."""
    return (
        select(table)
        .where(table.c.account == key.account, table.c.symbol == key.symbol, table.c.currency == key.currency)
        .order_by(table.c.log_sequence, table.c.event_id)
    )


def _of(table: Table, account: str) -> Select[Any]:
    return select(table).where(table.c.account == account)


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _entry_row(entry: Entry) -> dict[str, Any]:
    return entry._asdict() | ({"side": entry.side.value} if isinstance(entry, Fill) else {})


def _fill(row: Row[Any]) -> Fill:
    return Fill(**(row._asdict() | {"side": Side(row.side)}))


def _change_row(change: PositionChange) -> dict[str, Any]:
    words = {
        "event_id": change.event_id,
        "account_sequence": change.account_sequence,
        "flow_nanos": change.flow_nanos,
    }
    return change.position._asdict() | words


def _pending(row: Row[Any]) -> PendingChange:
    words = row._asdict()
    position = Position(**{name: words[name] for name in Position._fields})
    return PendingChange(row.place, PositionChange(position, row.event_id, row.account_sequence, row.flow_nanos))
