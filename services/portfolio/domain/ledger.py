"""The book as an exact fold of fills: integers only, no clock, no rounding but the one of each notional.

A position is a signed quantity and its exact cost. Opening adds the fill's notional to the cost; closing
takes away cost × closed / held, rounded half-even; a fill that crosses zero closes first and then opens
with what is left of its own notional. So, to the nano and after every fill:

    Σ cash flow + Σ cost = Σ realised − Σ fees
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

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

    def pay(self, fill: Fill) -> None:
        """Fold in the cash of a fill alone, whose position is folded elsewhere."""
        self._pay(fill, notional_nanos(fill.price_nanos, fill.quantity_nanos))

    def _pay(self, fill: Fill, notional: int) -> None:
        """Cash moves by − signed notional − fee."""
        key = CashKey(fill.account, fill.currency)
        self.flows[key] = self.flows.get(key, 0) - fill.side.sign * notional - fill.fee_nanos


def in_log_order(fills: Iterable[Fill]) -> list[Fill]:
    """Each fill once, in the order of the log: the one order in which a book is folded."""
    distinct = {fill.event_id: fill for fill in fills}
    return sorted(distinct.values(), key=lambda fill: (fill.log_sequence, fill.event_id))


def refold(key: PositionKey, fills: Iterable[Fill], so_far: Position | None = None) -> Position:
    """A position from all its fills, or from those after `so_far`; they must come in the order of the log."""
    position = so_far or flat(key)
    for fill in fills:
        position = fold(position, fill)
    return position


def late_keys(positions: dict[PositionKey, Position], fills: Iterable[Fill]) -> set[PositionKey]:
    """Positions that already hold a fill from later in the log than one of `fills`."""
    return {
        fill.key for fill in fills if fill.key in positions and fill.log_sequence < positions[fill.key].log_sequence
    }
