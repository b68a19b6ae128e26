"""The book as an exact fold of its entries: integers only, no clock, no rounding but that of each notional.

A position is a signed quantity and its exact cost. Opening adds the fill's notional to the cost; closing
takes away cost × closed / held, rounded half-even; a fill that crosses zero closes first and then opens
with what is left of its own notional. A charge of a position is among its fees, a dividend realised; units that are
taken as a fee take away what they cost. An acquisition is a trade at its mean price without a fee. So, to the nano
and after every fill, every charge of a position, and every acquisition that takes cash:

    Σ cash flow + Σ cost = Σ realised − Σ fees

What is charged to the account, and what is paid in or out, moves the cash alone; what is brought in moves the
position alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.portfolio.domain.entries import (
    DIVIDEND,
    TRANSFER,
    Acquisition,
    CashKey,
    Charge,
    Entry,
    Fill,
    Moving,
    Place,
    PositionKey,
    Transfer,
    place_of,
)
from trading.money import ONE, divide_half_even, notional_nanos
from trading.order import Side


class Position(NamedTuple):
    """What an account holds of one symbol. A short has a negative quantity and a negative cost.

    `log_sequence` and `rank` are the place of the newest entry in it.
    """

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
    rank: int = 0

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.symbol, self.currency)

    @property
    def place(self) -> Place:
        return self.log_sequence, self.rank

    @property
    def avg_price_nanos(self) -> int:
        """Mean price of what is held, rounded half-even; 0 when flat."""
        return divide_half_even(self.cost_nanos * ONE, self.quantity_nanos) if self.quantity_nanos else 0


class Cash(NamedTuple):
    """What moved an account's cash of one currency since the beginning, in nanos.

    `flow` is everything; `paid_in` what came from outside or went there, positions that were brought in included at
    their value then; `charged` what the account paid beside fills and positions; `traded` the value of all trades,
    bought or sold.
    """

    flow_nanos: int = 0
    paid_in_nanos: int = 0
    charged_nanos: int = 0
    traded_nanos: int = 0


def flat(key: PositionKey) -> Position:
    """A position before its first entry."""
    return Position(*key)


def fold(position: Position, entry: Moving) -> Position:
    """The position after one more entry of its key."""
    if isinstance(entry, Charge):
        return fold_charge(position, entry)
    quantity, fee, is_fill = _traded(entry)
    notional = notional_nanos(entry.price_nanos, abs(quantity))
    held, cost = position.quantity_nanos, position.cost_nanos
    if held * quantity >= 0:
        cost, realized = cost + (notional if quantity > 0 else -notional), 0
    else:
        cost, realized = _close(held, cost, quantity, entry.price_nanos, notional)
    return Position(
        position.account,
        position.symbol,
        position.currency,
        held + quantity,
        cost,
        position.realized_nanos + realized,
        position.fees_nanos + fee,
        position.fill_count + is_fill,
        max(position.updated_time_ns, entry.event_time_ns),
        *max(position.place, place_of(entry)),
    )


def _traded(entry: Fill | Acquisition) -> tuple[int, int, int]:
    """Signed quantity, fee, and whether it is a fill."""
    if isinstance(entry, Fill):
        return entry.side.sign * entry.quantity_nanos, entry.fee_nanos, 1
    return entry.quantity_nanos, 0, 0


def _close(held: int, cost: int, quantity: int, price: int, notional: int) -> tuple[int, int]:
    """Cost that is left and P&L that became real when `quantity` trades against what is held."""
    sign = 1 if quantity > 0 else -1
    closed = min(abs(held), abs(quantity))
    closing = notional_nanos(price, closed) if closed < abs(quantity) else notional
    removed = divide_half_even(cost * closed, abs(held))
    return cost - removed + sign * (notional - closing), -sign * closing - removed


def fold_charge(position: Position, charge: Charge) -> Position:
    """The position after one more charge of its key."""
    held, cost = position.quantity_nanos, position.cost_nanos
    taken, removed = charge.quantity_nanos, 0
    if held * taken > 0:
        removed = divide_half_even(cost * min(abs(taken), abs(held)), abs(held))
    is_dividend = charge.kind == DIVIDEND
    log_sequence, rank = max(position.place, place_of(charge))
    return position._replace(
        quantity_nanos=held - taken,
        cost_nanos=cost - removed,
        realized_nanos=position.realized_nanos - (charge.amount_nanos if is_dividend else 0),
        fees_nanos=position.fees_nanos + removed + (0 if is_dividend else charge.amount_nanos),
        updated_time_ns=max(position.updated_time_ns, charge.event_time_ns),
        log_sequence=log_sequence,
        rank=rank,
    )


def pay(cash: Cash, entry: Entry) -> Cash:
    """The cash of an account and currency after one more entry."""
    match entry:
        case Fill():
            notional = notional_nanos(entry.price_nanos, entry.quantity_nanos)
            flow = cash.flow_nanos - entry.side.sign * notional - entry.fee_nanos
            return Cash(flow, cash.paid_in_nanos, cash.charged_nanos, cash.traded_nanos + notional)
        case Charge():
            return _pay_charge(cash, entry)
        case Transfer():
            paid_in = cash.paid_in_nanos + entry.amount_nanos
            return cash._replace(flow_nanos=cash.flow_nanos + entry.amount_nanos, paid_in_nanos=paid_in)
        case Acquisition(takes_cash=True):
            return cash._replace(flow_nanos=cash.flow_nanos - notional_nanos(entry.price_nanos, entry.quantity_nanos))
        case Acquisition():
            return cash._replace(paid_in_nanos=cash.paid_in_nanos + entry.value_nanos)


def _pay_charge(cash: Cash, charge: Charge) -> Cash:
    """A venue's transfer is paid in; a charge without a symbol is the account's own."""
    is_transfer = charge.kind == TRANSFER
    is_own = not is_transfer and not charge.symbol
    return cash._replace(
        flow_nanos=cash.flow_nanos - charge.amount_nanos,
        paid_in_nanos=cash.paid_in_nanos - (charge.amount_nanos if is_transfer else 0),
        charged_nanos=cash.charged_nanos + (charge.amount_nanos if is_own else 0),
    )


@dataclass(slots=True)
class Ledger:
    """Positions and cash of some accounts, folded as entries come."""

    positions: dict[PositionKey, Position] = field(default_factory=dict)
    cash: dict[CashKey, Cash] = field(default_factory=dict)

    def post(self, entry: Entry) -> Position | None:
        """Fold in an entry that was not folded before; give back the position it moved, if it moves one."""
        self.pay(entry)
        key = entry.key
        if key is None or isinstance(entry, Transfer):
            return None
        position = self.positions[key] = fold(self.positions.get(key) or flat(key), entry)
        return position

    def pay(self, entry: Entry) -> None:
        """Fold in the cash of an entry alone, whose position is folded elsewhere."""
        key = CashKey(entry.account, entry.currency)
        self.cash[key] = pay(self.cash.get(key) or Cash(), entry)

    def post_fills(self, fills: Iterable[Fill]) -> Mapping[PositionKey, Sequence[Fill]]:
        """Fold in many fills at once: what `post` of each would give, several times as fast; gives them by position."""
        runs = runs_of(fills)
        for key, run in runs.items():
            position, flow, traded = _fold_run(self.positions.get(key) or flat(key), run)
            self.positions[key] = position
            cash_key = CashKey(key.account, key.currency)
            cash = self.cash.get(cash_key) or Cash()
            self.cash[cash_key] = cash._replace(
                flow_nanos=cash.flow_nanos + flow, traded_nanos=cash.traded_nanos + traded
            )
        return runs


def runs_of(fills: Iterable[Fill]) -> dict[PositionKey, list[Fill]]:
    """Fills by position, each run in the order given."""
    runs: dict[tuple[object, ...], list[Fill]] = {}
    for fill in fills:
        runs.setdefault(fill[1:4], []).append(fill)  # a slice is a tenth of the cost of the key it equals
    return {run[0].key: run for run in runs.values()}


_HALF = ONE // 2


def _fold_run(start: Position, fills: Sequence[Fill]) -> tuple[Position, int, int]:
    """`fold` of each fill of one position, with cash flow and traded value; one loop over plain integers."""
    _, _, _, held, cost, realized, fees, count, updated, newest, rank = start
    flow, traded = 0, 0
    for _, _, _, _, side, price, quantity, fee, _, _, time_ns, sequence in fills:
        notional, rest = divmod(price * quantity, ONE)
        if rest > _HALF or (rest == _HALF and notional & 1):
            notional += 1
        signed, value = (quantity, notional) if side is Side.BUY else (-quantity, -notional)
        if held * signed >= 0:
            cost += value
        else:
            cost, gained = _close(held, cost, signed, price, notional)
            realized += gained
        held += signed
        fees += fee
        flow -= value + fee
        traded += notional
        if time_ns > updated:
            updated = time_ns
        if sequence > newest:
            newest, rank = sequence, 0
    account, symbol, currency = start.key
    end = (held, cost, realized, fees, count + len(fills), updated, newest, rank)
    return Position(account, symbol, currency, *end), flow, traded


def refold(key: PositionKey, entries: Iterable[Moving], so_far: Position | None = None) -> Position:
    """A position from all its entries, or from those after `so_far`; they must come in their order."""
    position = so_far or flat(key)
    for entry in entries:
        position = fold(position, entry)
    return position


def late_keys(positions: Mapping[PositionKey, Position], entries: Sequence[Entry]) -> set[PositionKey]:
    """Positions that already hold an entry that counts after one of `entries`, which come in their order."""
    first: dict[tuple[object, ...], Moving] = {}
    for entry in reversed(entries):
        if isinstance(entry, Fill):
            first[entry[1:4]] = entry
        elif not isinstance(entry, Transfer) and entry.key is not None:
            first[entry.key] = entry
    held = [(entry, positions.get(entry.key)) for entry in first.values() if entry.key is not None]
    return {position.key for entry, position in held if position is not None and place_of(entry) <= position.place}
