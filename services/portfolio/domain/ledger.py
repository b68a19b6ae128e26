"""The book as an exact fold of fills and charges: integers only, no clock, no rounding but that of each notional.

A position is a signed quantity and its exact cost. Opening adds the fill's notional to the cost; closing
takes away cost × closed / held, rounded half-even; a fill that crosses zero closes first and then opens
with what is left of its own notional. A charge of a position is among its fees, a dividend realised; units that are
taken as a fee take away what they cost. So, to the nano and after every fill and every charge of a position:

    Σ cash flow + Σ cost = Σ realised − Σ fees

What is charged to the account, and what is paid in or out, moves the cash alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from trading.money import ONE, divide_half_even, notional_nanos
from trading.order import Side


class Fill(NamedTuple):
    """One trade of an order, told once; `event_id` is the key of exactly-once. Amounts in nanos."""

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
    def key(self) -> "PositionKey":
        return PositionKey(self.account, self.symbol, self.currency)


class Charge(NamedTuple):
    """What the venue took from an account beside fills (negative: gave), told once. Amounts in nanos.

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
    def key(self) -> "PositionKey | None":
        """The position it belongs to; None when it is the account's."""
        is_own = self.symbol and self.kind != TRANSFER
        return PositionKey(self.account, self.symbol, self.currency) if is_own else None


DIVIDEND, TRANSFER = "DIVIDEND", "TRANSFER"
Entry = Fill | Charge


class PositionKey(NamedTuple):
    """What makes a position one: the same symbol in two currencies is two positions."""

    account: str
    symbol: str
    currency: str


class Position(NamedTuple):
    """What an account holds of one symbol. A short has a negative quantity and a negative cost."""

    account: str
    symbol: str
    currency: str
    quantity_nanos: int = 0
    cost_nanos: int = 0
    realized_nanos: int = 0
    fees_nanos: int = 0
    fill_count: int = 0
    updated_time_ns: int = 0
    log_sequence: int = 0

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.symbol, self.currency)

    @property
    def avg_price_nanos(self) -> int:
        """Mean price of what is held, rounded half-even; 0 when flat."""
        return divide_half_even(self.cost_nanos * ONE, self.quantity_nanos) if self.quantity_nanos else 0


def flat(key: PositionKey) -> Position:
    """A position before its first fill."""
    return Position(*key)


def fold(position: Position, fill: Fill) -> Position:
    """The position after one more fill of its key."""
    return _fold(position, fill, notional_nanos(fill.price_nanos, fill.quantity_nanos))


def fold_charge(position: Position, charge: Charge) -> Position:
    """The position after one more charge of its key."""
    held, cost = position.quantity_nanos, position.cost_nanos
    taken, removed = charge.quantity_nanos, 0
    if held * taken > 0:
        removed = divide_half_even(cost * min(abs(taken), abs(held)), abs(held))
    is_dividend = charge.kind == DIVIDEND
    return position._replace(
        quantity_nanos=held - taken,
        cost_nanos=cost - removed,
        realized_nanos=position.realized_nanos - (charge.amount_nanos if is_dividend else 0),
        fees_nanos=position.fees_nanos + removed + (0 if is_dividend else charge.amount_nanos),
        updated_time_ns=max(position.updated_time_ns, charge.event_time_ns),
        log_sequence=max(position.log_sequence, charge.log_sequence),
    )


def _fold(position: Position, fill: Fill, notional: int) -> Position:
    sign = fill.side.sign
    held, cost = position.quantity_nanos, position.cost_nanos
    if held * sign >= 0:
        cost, realized = cost + sign * notional, 0
    else:
        cost, realized = _close(held, cost, fill, notional)
    return Position(
        position.account,
        position.symbol,
        position.currency,
        held + sign * fill.quantity_nanos,
        cost,
        position.realized_nanos + realized,
        position.fees_nanos + fill.fee_nanos,
        position.fill_count + 1,
        max(position.updated_time_ns, fill.event_time_ns),
        max(position.log_sequence, fill.log_sequence),
    )


def _close(held: int, cost: int, fill: Fill, notional: int) -> tuple[int, int]:
    """Cost that is left and P&L that became real when a fill trades against what is held."""
    sign = fill.side.sign
    closed = min(abs(held), fill.quantity_nanos)
    opens = closed < fill.quantity_nanos
    closing = notional_nanos(fill.price_nanos, closed) if opens else notional
    removed = divide_half_even(cost * closed, abs(held))
    return cost - removed + sign * (notional - closing), -sign * closing - removed


class CashKey(NamedTuple):
    """Cash is kept by account and currency."""

    account: str
    currency: str


@dataclass(slots=True)
class Ledger:
    """Positions and cash flows of some accounts, folded as fills come."""

    positions: dict[PositionKey, Position] = field(default_factory=dict)
    flows: dict[CashKey, int] = field(default_factory=dict)

    def post(self, fill: Fill) -> Position:
        """Fold in a fill that was not folded before; give back the position it changed."""
        key = fill.key
        notional = notional_nanos(fill.price_nanos, fill.quantity_nanos)
        position = self.positions[key] = _fold(self.positions.get(key) or flat(key), fill, notional)
        self._pay(fill, notional)
        return position

    def post_charge(self, charge: Charge) -> Position | None:
        """Fold in a charge that was not folded before; give back the position it changed, if it belongs to one."""
        self.pay(charge)
        key = charge.key
        if key is None:
            return None
        position = self.positions[key] = fold_charge(self.positions.get(key) or flat(key), charge)
        return position

    def pay(self, entry: Entry) -> None:
        """Fold in the cash of a fill or a charge alone, whose position is folded elsewhere."""
        if isinstance(entry, Fill):
            self._pay(entry, notional_nanos(entry.price_nanos, entry.quantity_nanos))
        else:
            key = CashKey(entry.account, entry.currency)
            self.flows[key] = self.flows.get(key, 0) - entry.amount_nanos

    def _pay(self, fill: Fill, notional: int) -> None:
        """Cash moves by − signed notional − fee."""
        key = CashKey(fill.account, fill.currency)
        self.flows[key] = self.flows.get(key, 0) - fill.side.sign * notional - fill.fee_nanos


EntryT = TypeVar("EntryT", Fill, Charge, Entry)


def in_log_order(entries: Iterable[EntryT]) -> list[EntryT]:
    """Each entry once, in the order of the log: the one order in which a book is folded."""
    distinct = {entry.event_id: entry for entry in entries}
    return sorted(distinct.values(), key=place_of)


def place_of(entry: Entry) -> tuple[int, int, str]:
    """Where an entry counts: a charge after the fill at its place."""
    return (entry.log_sequence, 0 if isinstance(entry, Fill) else entry.sequence, entry.event_id)


def refold(key: PositionKey, entries: Iterable[Entry], so_far: Position | None = None) -> Position:
    """A position from all its entries, or from those after `so_far`; they must come in the order of the log."""
    position = so_far or flat(key)
    for entry in entries:
        position = fold(position, entry) if isinstance(entry, Fill) else fold_charge(position, entry)
    return position


def late_keys(positions: dict[PositionKey, Position], entries: Iterable[Entry]) -> set[PositionKey]:
    """Positions that already hold an entry that counts after one of `entries`."""
    late = set()
    for entry in entries:
        key = entry.key
        if key is not None and key in positions and _is_late(entry, positions[key].log_sequence):
            late.add(key)
    return late


def _is_late(entry: Entry, newest: int) -> bool:
    """A fill at the newest place itself came before the charge that was folded there."""
    return entry.log_sequence <= newest if isinstance(entry, Fill) else entry.log_sequence < newest
