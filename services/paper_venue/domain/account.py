"""The customer's account: cash, positions with their cost, what open orders hold back, and buying power."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.paper_venue.domain.fees import FREE, Fee, FeeRules
from services.paper_venue.domain.orders import Execution, Order
from trading.instruments import Instrument
from trading.money import divide_half_even, notional_nanos
from trading.order import Side


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the account starts with and may do; money in nanos.

    `multiplier` is how often equity may be used for what can be bought on margin. `position_flips` lets one order
    carry a position through zero; Alpaca itself refuses that.
    """

    cash_nanos: int = 1_000_000 * 1_000_000_000
    multiplier: int = 4
    fees: FeeRules = field(default_factory=FeeRules)
    position_flips: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """A signed quantity and what it cost: `cost_nanos` has the sign of the quantity."""

    symbol: str
    quantity_nanos: int = 0
    cost_nanos: int = 0

    @property
    def entry_price_nanos(self) -> int:
        """The average price at which the position was entered."""
        return divide_half_even(self.cost_nanos * 1_000_000_000, self.quantity_nanos) if self.quantity_nanos else 0

    @property
    def closing_side(self) -> Side:
        """The side of an order that shrinks it."""
        return Side.SELL if self.quantity_nanos > 0 else Side.BUY

    def value_nanos(self, mark_nanos: int) -> int:
        """What it is worth at `mark_nanos` per unit; negative when short."""
        return notional_nanos(mark_nanos, self.quantity_nanos)

    def after(self, quantity: int, price: int) -> "Position":
        """The position after trading a signed quantity at a price."""
        total = self.quantity_nanos + quantity
        if self.quantity_nanos * quantity >= 0:
            return Position(self.symbol, total, self.cost_nanos + notional_nanos(price, quantity))
        if total * self.quantity_nanos >= 0:
            return Position(self.symbol, total, divide_half_even(self.cost_nanos * total, self.quantity_nanos))
        return Position(self.symbol, total, notional_nanos(price, total))


@dataclass(frozen=True, slots=True)
class Hold:
    """What one open order keeps back: money for the part that opens a position, and units on sale."""

    side: Side
    symbol: str
    price_nanos: int
    opening_nanos: int
    remaining_nanos: int

    @property
    def money_nanos(self) -> int:
        return notional_nanos(self.price_nanos, min(self.opening_nanos, self.remaining_nanos))


class Account:
    """Cash and positions, moved only by executions; `mark` tells what a unit of a symbol is worth now."""

    def __init__(self, rules: AccountRules, mark: Callable[[str], int]) -> None:
        self.rules = rules
        self._mark = mark
        self._cash = rules.cash_nanos
        self._fees = 0
        self._positions: dict[str, Position] = {}
        self._holds: dict[str, Hold] = {}
        self._held_money = 0
        self._held_units: defaultdict[tuple[str, Side], int] = defaultdict(int)

    @property
    def cash_nanos(self) -> int:
        return self._cash

    @property
    def fees_nanos(self) -> int:
        """The worth of all fees paid so far; already taken from the cash or the positions."""
        return self._fees

    def positions(self) -> Iterator[Position]:
        """Every position that is not flat, by symbol."""
        return (self._positions[symbol] for symbol in sorted(self._positions))

    def position(self, symbol: str) -> Position:
        """The position in a symbol, flat when there is none."""
        return self._positions.get(symbol) or Position(symbol)

    def mark_nanos(self, symbol: str) -> int:
        """What a unit is worth now."""
        return self._mark(symbol)

    def market_value_nanos(self, side: Side) -> int:
        """The value of all long (BUY) or all short (SELL, negative) positions."""
        return sum(
            position.value_nanos(self._mark(position.symbol))
            for position in self._positions.values()
            if position.quantity_nanos * side.sign > 0
        )

    @property
    def equity_nanos(self) -> int:
        """Cash and positions at their marks."""
        return self._cash + self.market_value_nanos(Side.BUY) + self.market_value_nanos(Side.SELL)

    def buying_power_nanos(self, instrument: Instrument | None = None) -> int:
        """What may still be opened: equity × multiplier, less what is open and what is held back.

        What cannot be sold short (crypto) cannot be bought on margin either: there it is the free cash.
        """
        gross = self.market_value_nanos(Side.BUY) - self.market_value_nanos(Side.SELL)
        power = self.equity_nanos * self.rules.multiplier - gross - self._held_money
        if instrument is not None and not instrument.shortable:
            power = min(power, self._cash - self._held_money)
        return max(0, power)

    def available_nanos(self, symbol: str) -> int:
        """Units of the position that no open order is closing already; 0 or more."""
        position = self.position(symbol)
        return max(0, abs(position.quantity_nanos) - self._held_units[symbol, position.closing_side])

    def opening_nanos(self, symbol: str, side: Side, quantity: int) -> int:
        """How much of an order of `quantity` opens or grows a position instead of closing one."""
        closable = self.available_nanos(symbol) if self.position(symbol).quantity_nanos * side.sign < 0 else 0
        return max(0, quantity - closable)

    def hold(self, order: Order, price_nanos: int) -> None:
        """Keep back what an accepted order may need, at `price_nanos` per unit."""
        opening = self.opening_nanos(order.symbol, order.side, order.quantity_nanos)
        self._set_hold(order.order_id, Hold(order.side, order.symbol, price_nanos, opening, order.remaining_nanos))

    def holds(self, order_id: str) -> bool:
        """Something is kept back for the order."""
        return order_id in self._holds

    def release(self, order_id: str) -> None:
        """An order closed: what it held is free again."""
        self._set_hold(order_id, None)

    def apply(self, order: Order, execution: Execution, fee: Fee = FREE) -> int:
        """Book one execution of `order` (as it stands after it) and its fee; returns the new position in nanos."""
        price = execution.price_nanos
        self._cash -= order.side.sign * notional_nanos(price, execution.quantity_nanos)
        position = self.position(order.symbol).after(order.side.sign * execution.quantity_nanos, price)
        if fee.nanos:
            position = self._charge(fee, position, price)
        if position.quantity_nanos:
            self._positions[order.symbol] = position
        else:
            self._positions.pop(order.symbol, None)
        self.shrink_hold(order)
        return position.quantity_nanos

    def _charge(self, fee: Fee, position: Position, price: int) -> Position:
        """Take a fee from the cash, or from the position: then what is left of it keeps its entry price."""
        if fee.in_units:
            self._fees += notional_nanos(price, fee.nanos)
            return position.after(-fee.nanos, price)
        self._fees += fee.nanos
        self._cash -= fee.nanos
        return position

    def shrink_hold(self, order: Order) -> None:
        """Keep back only what is left of an order to be filled."""
        held = self._holds.get(order.order_id)
        if held is not None:
            left = Hold(held.side, held.symbol, held.price_nanos, held.opening_nanos, order.remaining_nanos)
            self._set_hold(order.order_id, left if order.status.is_open else None)

    def _set_hold(self, order_id: str, hold: Hold | None) -> None:
        before = self._holds.pop(order_id, None)
        if before is not None:
            self._held_money -= before.money_nanos
            self._held_units[before.symbol, before.side] -= before.remaining_nanos
        if hold is not None:
            self._holds[order_id] = hold
            self._held_money += hold.money_nanos
            self._held_units[hold.symbol, hold.side] += hold.remaining_nanos
