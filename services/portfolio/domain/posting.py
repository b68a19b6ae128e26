"""What a batch of entries does to a ledger: the changes to tell, and the new totals of each account."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from services.portfolio.domain.account import BookTotals, PositionChange
from services.portfolio.domain.entries import CashKey, Entry, Fill, PositionKey
from services.portfolio.domain.ledger import Ledger, Position, runs_of

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
    fills = [entry for entry in entries if isinstance(entry, Fill)]
    if len(fills) > TOLD_EACH:
        return _post_many(ledger, fills, late, totals)
    counted = _counted(totals, fills)
    changes = []
    for entry in entries:
        position = _post(ledger, entry, late)
        if position is not None:
            changes.append(_change(ledger, position, entry.event_id, counted))
    return _posted(ledger, {(entry.account, entry.currency) for entry in entries}, counted, changes)


def _post_many(ledger: Ledger, fills: Sequence[Fill], late: set[PositionKey], totals: dict[str, BookTotals]) -> Posted:
    """One change for each position that was moved, after all of it; its cause is the last fill."""
    runs = dict(ledger.post_fills(fill for fill in fills if not late or fill[1:4] not in late))
    if late:
        runs |= runs_of(fill for fill in fills if fill[1:4] in late)
        for fill in fills:
            if fill[1:4] in late:
                ledger.pay(fill)
    counted = _counted(totals, fills)
    changes = [_change(ledger, ledger.positions[key], run[-1].event_id, counted) for key, run in runs.items()]
    return _posted(ledger, {(key.account, key.currency) for key in runs}, counted, changes)


def _posted(
    ledger: Ledger, paid: set[tuple[str, str]], totals: dict[str, BookTotals], changes: Sequence[PositionChange]
) -> Posted:
    moved = sorted({change.position.key for change in changes})
    cash = tuple(CashKey(*pair) for pair in sorted(paid))
    return Posted(tuple(ledger.positions[key] for key in moved), cash, totals, tuple(changes))


def _post(ledger: Ledger, entry: Entry, late: set[PositionKey]) -> Position | None:
    key = entry.key
    if key is not None and key in late:
        ledger.pay(entry)
        return ledger.positions[key]
    return ledger.post(entry)


def _change(ledger: Ledger, position: Position, cause: str, totals: dict[str, BookTotals]) -> PositionChange:
    """The next change of its account, numbered."""
    book = totals[position.account]
    totals[position.account] = book = book._replace(sequence=book.sequence + 1)
    cash = ledger.cash[CashKey(position.account, position.currency)]
    return PositionChange(position, cause, book.sequence, cash.flow_nanos)


def _counted(totals: dict[str, BookTotals], fills: Sequence[Fill]) -> dict[str, BookTotals]:
    """Totals after one more transaction. Only fills say how much of the log is in the book: charges may come first."""
    counts = Counter([fill.account for fill in fills])
    newest = {fill.account: fill.log_sequence for fill in fills}
    return {
        account: book._replace(
            log_sequence=max(book.log_sequence, newest.get(account, 0)),
            fill_count=book.fill_count + counts[account],
            version=book.version + 1,
        )
        for account, book in totals.items()
    }
