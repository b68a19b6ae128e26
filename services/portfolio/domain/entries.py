"""What is entered into the book: fills and charges that execution tells, transfers and positions booked by hand.

Each is told once or many times and counts once, by its `event_id`. All that moves a position has a place in one
order, `place_of`, and a position is the fold of its entries in that order, whatever order they came in. Amounts in
nanos, times in ns UTC.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple, TypeVar

from trading.order import Side

DIVIDEND, TRANSFER = "DIVIDEND", "TRANSFER"
BEHIND_CHARGES = 1 << 62
"""Where acquisitions count among what follows one event of the log: execution's numbers of charges stay below."""


class PositionKey(NamedTuple):
    """What makes a position one: the same symbol in two currencies is two positions."""

    account: str
    symbol: str
    currency: str


class CashKey(NamedTuple):
    """Cash is kept by account and currency."""

    account: str
    currency: str


class Fill(NamedTuple):
    """One trade of an order, told once; `event_id` is the key of exactly-once."""

    event_id: str
    account: str
    symbol: str
    currency: str
    side: Side
    price_nanos: int
    quantity_nanos: int
    fee_nanos: int
    order_id: str
    execution_id: str
    event_time_ns: int
    log_sequence: int

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.symbol, self.currency)


class Charge(NamedTuple):
    """What the venue took from an account beside fills (negative: gave), told once.

    `quantity_nanos` units of `symbol` are taken with it. It counts after the event at `log_sequence` of the log.
    """

    event_id: str
    account: str
    kind: str
    symbol: str
    currency: str
    amount_nanos: int
    quantity_nanos: int
    event_time_ns: int
    receive_time_ns: int
    sequence: int
    log_sequence: int

    @property
    def key(self) -> PositionKey | None:
        """The position it belongs to; None when it is the account's."""
        is_own = self.symbol and self.kind != TRANSFER
        return PositionKey(self.account, self.symbol, self.currency) if is_own else None


class Transfer(NamedTuple):
    """Cash that was paid in, or out when negative, as a caller booked it; `fingerprint` tells one body from another."""

    event_id: str
    account: str
    transfer_id: str
    currency: str
    amount_nanos: int
    note: str
    event_time_ns: int
    receive_time_ns: int
    fingerprint: str

    @property
    def key(self) -> None:
        """It moves no position."""
        return None


class Acquisition(NamedTuple):
    """A signed quantity that was acquired elsewhere at a mean price, one of the positions of an import.

    It is folded as a trade at that price, after the event at `log_sequence` of the log. Without `takes_cash` it was
    brought in, and `value_nanos` is what it was worth at that moment.
    """

    event_id: str
    account: str
    import_id: str
    symbol: str
    currency: str
    quantity_nanos: int
    price_nanos: int
    takes_cash: bool
    value_nanos: int
    event_time_ns: int
    sequence: int
    log_sequence: int

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.symbol, self.currency)


Moving = Fill | Charge | Acquisition
"""What can move a position, and has a place in the order."""
Entry = Moving | Transfer
Place = tuple[int, int]
"""Position in execution's log, and rank among what follows it: 0 the fill itself, then charges, then acquisitions."""
MovingT = TypeVar("MovingT", Fill, Charge, Acquisition, Moving)


def place_of(entry: Moving) -> Place:
    """Where an entry counts."""
    if isinstance(entry, Fill):
        return entry.log_sequence, 0
    if isinstance(entry, Charge):
        return entry.log_sequence, entry.sequence
    return entry.log_sequence, BEHIND_CHARGES + entry.sequence


def fills_in_order(fills: Iterable[Fill]) -> list[Fill]:
    """The same for fills alone, several times as fast."""
    return sorted({fill.event_id: fill for fill in fills}.values(), key=_FILL_ORDER)


_FILL_ORDER = itemgetter(Fill._fields.index("log_sequence"), Fill._fields.index("event_id"))


def _order(entry: Moving) -> tuple[Place, str]:
    return place_of(entry), entry.event_id


def in_order(entries: Iterable[MovingT]) -> list[MovingT]:
    """Each entry once, in the one order in which a book is folded."""
    distinct = {entry.event_id: entry for entry in entries}
    return sorted(distinct.values(), key=_order)
