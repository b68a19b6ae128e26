"""What a batch of entries does to a ledger: the changes to tell, and the new totals of each account."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from services.portfolio.domain.account import BookTotals, PositionChange
from services.portfolio.domain.entries import CashKey, Entry, Fill, PositionKey
from services.portfolio.domain.ledger import Ledger, Position

TOLD_EACH = 256
"""A batch of more entries than the stream ever brings at a time (a catch-up, a rebuild) tells each position once."""


class Posted(NamedTuple):
    """What has changed: rows to save, and changes to tell in order."""

    positions: tuple[Position, ...]
    cash: tuple[CashKey, ...]
    totals: dict[str, BookTotals]
    changes: tuple[PositionChange, ...]


def post_all(ledger: Ledger, entries: Sequence[Entry], late: set[PositionKey], totals: dict[str, BookTotals]) -> Posted:
    """Fold entries of one kind, in their order; positions in `late` hold them already: only their cash is folded."""
    telling = _tell_last if len(entries) > TOLD_EACH else _tell_each
    changes = telling(ledger, entries, late, totals)
    counted = _counted(totals, entries)
    moved = {change.position.key for change in changes}
    return Posted(
        tuple(ledger.positions[key] for key in sorted(moved)),
        tuple(CashKey(*pair) for pair in sorted({(entry.account, entry.currency) for entry in entries})),
        counted,
        tuple(changes),
    )


def _tell_each(
    ledger: Ledger, entries: Sequence[Entry], late: set[PositionKey], totals: dict[str, BookTotals]
) -> list[PositionChange]:
    """One change for each entry that moves a position."""
    changes = []
    for entry in entries:
        key = entry.key
        if key is not None and key in late:
            ledger.pay(entry)
            position: Position | None = ledger.positions[key]
        else:
            position = ledger.post(entry)
        if position is not None:
            changes.append(_change(ledger, position, entry.event_id, totals))
    return changes


def _tell_last(
    ledger: Ledger, entries: Sequence[Entry], late: set[PositionKey], totals: dict[str, BookTotals]
) -> list[PositionChange]:
    """One change for each position that was moved, after all of it; its cause is the last entry."""
    fills = [entry for entry in entries if isinstance(entry, Fill)]
    others = [entry for entry in entries if not isinstance(entry, Fill)]
    causes: dict[tuple[object, ...], str] = {fill[1:4]: fill.event_id for fill in fills}
    ledger.post_fills(fill for fill in fills if fill[1:4] not in late)
    for fill in fills:
        if late and fill[1:4] in late:
            ledger.pay(fill)
    for change in _tell_each(ledger, others, late, dict(totals)):
        causes[change.position.key] = change.event_id
    moved = ((ledger.positions[key], cause) for key, cause in causes.items())  # type: ignore[index]  # a slice equals
    return [_change(ledger, position, cause, totals) for position, cause in moved]


def _change(ledger: Ledger, position: Position, cause: str, totals: dict[str, BookTotals]) -> PositionChange:
    """The next change of its account, numbered."""
    book = totals[position.account]
    totals[position.account] = book = book._replace(sequence=book.sequence + 1)
    cash = ledger.cash[CashKey(position.account, position.currency)]
    return PositionChange(position, cause, book.sequence, cash.flow_nanos)


def _counted(totals: dict[str, BookTotals], entries: Sequence[Entry]) -> dict[str, BookTotals]:
    """Totals after the entries. Only fills say how much of the log is in the book: charges may come before them."""
    fills = Counter(entry.account for entry in entries if isinstance(entry, Fill))
    newest = {entry.account: entry.log_sequence for entry in entries if isinstance(entry, Fill)}
    return {
        account: book._replace(
            log_sequence=max(book.log_sequence, newest.get(account, 0)),
            fill_count=book.fill_count + fills[account],
            version=book.version + 1,
        )
        for account, book in totals.items()
    }
