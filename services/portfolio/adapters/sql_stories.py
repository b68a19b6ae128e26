"""What is written into the book, and in which order; the same on every database."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.portfolio.adapters import book_rows as rows
from services.portfolio.adapters.book_rows import Shape
from services.portfolio.adapters.sql_pens import Pen, SomeKnown
from services.portfolio.domain.account import BookTotals
from services.portfolio.domain.entries import (
    TRANSFER,
    Acquisition,
    Charge,
    Entry,
    Fill,
    Moving,
    PositionKey,
    Transfer,
    in_order,
    place_of,
)
from services.portfolio.domain.ledger import Ledger, Position, flat, late_keys, refold
from services.portfolio.domain.posting import Posted, post_all
from services.portfolio.ports import Import
from trading.errors import IdempotencyConflict

_KEPT = 200_000
"""Positions remembered between transactions."""
_PAGE = 5_000
"""Fills fetched at a time when a position is folded again."""


class Scan(NamedTuple):
    """How far a source was scanned."""

    source: str
    scanned_to: int


@dataclass(slots=True)
class Memory:
    """Accounts as the last transaction left them: good for as long as their version in the database is the same."""

    ledger: Ledger = field(default_factory=Ledger)
    versions: dict[str, int] = field(default_factory=dict)

    def take(self, totals: BookTotals) -> bool:
        """Whether the account is in the ledger as the database has it.

        Whoever takes it changes it, so it is not good again before `keep`: after a failure it is read anew.
        """
        return self.versions.pop(totals.account, -1) == totals.version

    def drop(self, account: str) -> None:
        """Make room for the account to be read anew."""
        if len(self.ledger.positions) > _KEPT:
            self.versions.clear()
        for kept in (self.ledger.positions, self.ledger.cash):
            for key in [key for key in kept if key.account == account]:
                del kept[key]  # type: ignore[arg-type]  # its own key

    def keep(self, accounts: Iterable[BookTotals]) -> None:
        """Remember what was written, once it is committed."""
        self.versions.update((totals.account, totals.version) for totals in accounts)


class Written(NamedTuple):
    """What a transaction did; `totals` are remembered after its commit."""

    applied: int
    totals: tuple[BookTotals, ...] = ()


class Request(NamedTuple):
    """What a caller books by hand under an id of its own, and what was found of it."""

    repeated: bool
    written: Written


@dataclass(frozen=True, slots=True)
class Stories:
    """The transactions of the book."""

    memory: Memory

    async def book(
        self, pen: Pen, entries: Sequence[Fill | Charge], inbox: Shape, scan: Scan | None, *, careful: bool
    ) -> Written:
        """Enter what is new, in order, and fold it in.

        Raises SomeKnown when not all of it is new, unless it is `careful` and looks first.
        """
        totals = await self._hold(pen, entries)
        if careful:
            known = await pen.known(inbox, [entry.event_id for entry in entries])
            entries = [entry for entry in entries if entry.event_id not in known]
        entered = await pen.enter(inbox, [rows.entry_row(entry) for entry in entries]) if entries else 0
        if entered not in (0, len(entries)):
            raise SomeKnown
        if scan is not None:
            await _note(pen, scan)
        return await self._post(pen, entries, totals) if entered else Written(0)

    async def transfer(self, pen: Pen, transfer: Transfer) -> Request:
        """Book a transfer, unless it was booked before or the venue told it under the same id."""
        totals = await self._hold(pen, [transfer])
        for found in map(rows.transfer_of, await pen.find(rows.TRANSFERS, "event_id", [transfer.event_id])):
            _require_same(found.fingerprint, transfer.fingerprint, transfer_id=transfer.transfer_id)
            return Request(True, Written(0))
        for charge in map(rows.charge_of, await pen.find(rows.CHARGES, "event_id", [transfer.transfer_id])):
            if charge.account == transfer.account and charge.kind == TRANSFER:
                told = (charge.currency, -charge.amount_nanos)
                _require_same(told, (transfer.currency, transfer.amount_nanos), transfer_id=transfer.transfer_id)
                return Request(True, Written(0))
        await pen.enter(rows.TRANSFERS, [rows.entry_row(transfer)])
        return Request(False, await self._post(pen, [transfer], totals))

    async def acquire(self, pen: Pen, order: Import) -> Request:
        """Book the positions of an import, unless it was booked before."""
        totals = await self._hold(pen, order.acquisitions)
        sql = f"SELECT fingerprint FROM {rows.IMPORTS.name} WHERE account = ? AND import_id = ?"
        for (fingerprint,) in await pen.query(sql, order.account, order.import_id):
            _require_same(fingerprint, order.fingerprint, import_id=order.import_id)
            return Request(True, Written(0))
        placed = _placed(order.acquisitions, totals[order.account])
        await pen.enter(rows.IMPORTS, [(order.account, order.import_id, order.fingerprint, order.receive_time_ns)])
        await pen.enter(rows.ACQUISITIONS, [rows.entry_row(entry) for entry in placed])
        return Request(False, await self._post(pen, placed, totals))

    async def _hold(self, pen: Pen, entries: Sequence[Entry]) -> dict[str, BookTotals]:
        held = await pen.hold(sorted({entry.account for entry in entries}))
        return {row[0]: rows.totals_of(row) for row in held}

    async def _post(self, pen: Pen, entries: Sequence[Entry], totals: dict[str, BookTotals]) -> Written:
        ledger = await self._load(pen, totals)
        late = late_keys(ledger.positions, entries)
        for key in sorted(late):
            ledger.positions[key] = await _refolded(pen, key)
        posted = post_all(ledger, entries, late, totals)
        await _save(pen, ledger, posted)
        return Written(len(entries), tuple(posted.totals.values()))

    async def _load(self, pen: Pen, totals: dict[str, BookTotals]) -> Ledger:
        ledger = self.memory.ledger
        absent = [account for account, book in totals.items() if not self.memory.take(book)]
        for account in absent:
            self.memory.drop(account)
        if absent:
            for position in map(rows.position_of, await pen.find(rows.POSITIONS, "account", absent)):
                ledger.positions[position.key] = position
            ledger.cash.update(map(rows.cash_of, await pen.find(rows.CASH, "account", absent)))
        return ledger


async def pending_rows(pen: Pen, limit: int) -> list[rows.Row]:
    """The oldest rows of the outbox, their places first."""
    columns = ", ".join(("place", *rows.OUTBOX.columns))
    return await pen.query(f"SELECT {columns} FROM {rows.OUTBOX.name} ORDER BY place LIMIT {limit:d}")


async def not_recorded(pen: Pen, charges: Sequence[Charge]) -> list[Charge]:
    """Charges without the transfers that a caller had booked under the venue's own id."""
    ids = [charge.event_id for charge in charges if charge.kind == TRANSFER]
    found = await pen.find(rows.TRANSFERS, "transfer_id", ids) if ids else []
    recorded = {(transfer.account, transfer.transfer_id) for transfer in map(rows.transfer_of, found)}
    return [charge for charge in charges if (charge.account, charge.event_id) not in recorded]


def _require_same(found: object, given: object, **facts: str) -> None:
    if found != given:
        raise IdempotencyConflict("This id was booked before with another content.", **facts)


def _placed(acquisitions: Sequence[Acquisition], book: BookTotals) -> list[Acquisition]:
    """Behind everything that is in the account's book now, in the order given."""
    first = book.version << 20
    return [
        entry._replace(sequence=first + number, log_sequence=book.log_sequence)
        for number, entry in enumerate(acquisitions)
    ]


async def _note(pen: Pen, scan: Scan) -> None:
    """Move the scan forward; it never goes back."""
    sql = (
        f"INSERT INTO {rows.SCANS.name} (source, scanned_to) VALUES (?, ?) ON CONFLICT (source) DO UPDATE "
        f"SET scanned_to = excluded.scanned_to WHERE {rows.SCANS.name}.scanned_to < excluded.scanned_to"
    )
    await pen.run(sql, scan.source, scan.scanned_to)


async def _save(pen: Pen, ledger: Ledger, posted: Posted) -> None:
    await pen.save(rows.CASH, [rows.cash_row(key, ledger.cash[key]) for key in posted.cash])
    await pen.save(rows.BOOKS, list(posted.totals.values()))
    if posted.changes:
        await pen.save(rows.POSITIONS, [rows.position_row(position) for position in posted.positions])
        await pen.enter(rows.OUTBOX, [rows.change_row(change) for change in posted.changes])


async def _refolded(pen: Pen, key: PositionKey) -> Position:
    """A position from all its entries, the late ones in their place; rare, and exact."""
    charges = [charge for charge in map(rows.charge_of, await _of(pen, rows.CHARGES, key)) if charge.key == key]
    acquired = map(rows.acquisition_of, await _of(pen, rows.ACQUISITIONS, key))
    others: list[Moving] = [*charges, *acquired]
    waiting = deque(in_order(others))
    position = flat(key)
    after = (-1, "")
    while page := await _fills_after(pen, key, after):
        after = (page[-1].log_sequence, page[-1].event_id)
        stretch: list[Moving] = [*page, *_taken_before(waiting, page[-1])]
        position = refold(key, in_order(stretch), position)
    return refold(key, waiting, position)


async def _of(pen: Pen, shape: Shape, key: PositionKey) -> list[rows.Row]:
    columns = ", ".join(shape.columns)
    sql = f"SELECT {columns} FROM {shape.name} WHERE account = ? AND symbol = ? AND currency = ?"
    return await pen.query(sql, *key)


async def _fills_after(pen: Pen, key: PositionKey, after: tuple[int, str]) -> list[Fill]:
    sql = (
        f"SELECT {', '.join(rows.FILLS.columns)} FROM {rows.FILLS.name} WHERE account = ? AND symbol = ? "
        f"AND currency = ? AND (log_sequence, event_id) > (?, ?) ORDER BY log_sequence, event_id LIMIT {_PAGE}"
    )
    return [rows.fill_of(row) for row in await pen.query(sql, *key, *after)]


def _taken_before(waiting: "deque[Moving]", fill: Fill) -> list[Moving]:
    taken: list[Moving] = []
    while waiting and place_of(waiting[0]) < place_of(fill):
        taken.append(waiting.popleft())
    return taken
