"""The exchange's own view of an order: one frozen value, its states, and the events that move it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from trading.money import ONE, divide_half_even
from trading.order import OrderType, Side, TimeInForce


class Status(StrEnum):
    """Where an order stands at the exchange."""

    PENDING_NEW = "PENDING_NEW"
    HELD = "HELD"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"

    @property
    def is_open(self) -> bool:
        """The order may still trade."""
        return self in _OPEN


_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
_OPEN = frozenset({Status.PENDING_NEW, Status.HELD, Status.NEW, Status.PARTIALLY_FILLED})


class EventKind(StrEnum):
    """What can happen to an order.

    HELD waits for another order of its group, TRAILED is a stop that moved with the market, AMENDED a smaller quantity
    in the same place of the queue, REPLACE_REJECTED a replacement that was refused and changed nothing.
    """

    HELD = "HELD"
    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    TRAILED = "TRAILED"
    FILL = "FILL"
    AMENDED = "AMENDED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    REPLACE_REJECTED = "REPLACE_REJECTED"


class GroupKind(StrEnum):
    """How the orders of a group hang together.

    OTO: the first one's complete fill releases the other. OCO: each one's fill or trigger ends the other.
    BRACKET: the first one's complete fill releases two others, of which each ends the other.
    """

    OTO = "OTO"
    OCO = "OCO"
    BRACKET = "BRACKET"


@dataclass(frozen=True, slots=True)
class Membership:
    """The group that an order belongs to; an entry is the order that the others wait for."""

    group_id: str
    kind: GroupKind
    is_entry: bool = False


@dataclass(frozen=True, slots=True)
class Trail:
    """How far a stop stays behind the best price: an amount in nanos, or a share of that price (10⁹ is all of it)."""

    amount_nanos: int = 0
    share_nanos: int = 0

    def stop_nanos(self, best: int, side: Side) -> int:
        """Where the stop stands when `best` is the lowest (BUY) or highest (SELL) price so far."""
        return best + side.sign * (self.amount_nanos or best * self.share_nanos // ONE)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a customer asks for; amounts in nanos.

    Either `quantity_nanos` or `notional_nanos` (a sum of money for a MARKET order) is positive. A stop that is a
    `take_profit` triggers where the price is good instead of bad. A stop with a `trail` follows the market, from
    `stop_nanos` on where there is one. Who is `post_only` was sent not to take; the protocol has checked that.
    """

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity_nanos: int = 0
    limit_nanos: int | None = None
    stop_nanos: int | None = None
    notional_nanos: int | None = None
    client_order_id: str = ""
    extended_hours: bool = False
    trail: Trail | None = None
    take_profit: bool = False
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order; amounts in nanos, times in ns UTC of the exchange's own clock.

    `sequence` is its place in the queue; `filled_value` the sum of price × quantity of its fills (10⁻¹⁸ units);
    `best_nanos` the best price that a trailing stop has seen since `trailing_ns`, when it began to follow.
    """

    order_id: str
    request: OrderRequest
    quantity_nanos: int
    sequence: int
    created_ns: int
    updated_ns: int
    status: Status = Status.PENDING_NEW
    triggered: bool = False
    filled_nanos: int = 0
    filled_value: int = 0
    filled_ns: int | None = None
    canceled_ns: int | None = None
    expired_ns: int | None = None
    replaced_ns: int | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    group: Membership | None = None
    best_nanos: int | None = None
    trailing_ns: int | None = None

    @property
    def symbol(self) -> str:
        return self.request.symbol

    @property
    def side(self) -> Side:
        return self.request.side

    @property
    def client_order_id(self) -> str:
        return self.request.client_order_id

    @property
    def time_in_force(self) -> TimeInForce:
        return self.request.time_in_force

    @property
    def limit_nanos(self) -> int | None:
        """The worst price it accepts; None takes any."""
        return self.request.limit_nanos

    @property
    def stop_nanos(self) -> int | None:
        """The price that triggers it now; of a stop that is yet to follow the market, the price that starts that."""
        trail = self.request.trail
        if trail is None or self.best_nanos is None:
            return self.request.stop_nanos
        return trail.stop_nanos(self.best_nanos, self.side)

    @property
    def remaining_nanos(self) -> int:
        return self.quantity_nanos - self.filled_nanos

    @property
    def average_price_nanos(self) -> int | None:
        """The mean price of its fills, rounded half-even to the nano; None before the first."""
        return divide_half_even(self.filled_value, self.filled_nanos) if self.filled_nanos else None

    @property
    def waits_for_trigger(self) -> bool:
        """A stop that the market has not reached yet."""
        return self.request.order_type in _STOPS and not self.triggered

    def at(self, now_ns: int, **changes: Any) -> "Order":
        """The order after a change at `now_ns`."""
        return replace(self, updated_ns=now_ns, **changes)

    def filled(self, price_nanos: int, quantity_nanos: int, now_ns: int) -> "Order":
        """The order after one more fill."""
        total = self.filled_nanos + quantity_nanos
        done = total == self.quantity_nanos
        return self.at(
            now_ns,
            status=Status.FILLED if done else Status.PARTIALLY_FILLED,
            filled_nanos=total,
            filled_value=self.filled_value + price_nanos * quantity_nanos,
            filled_ns=now_ns if done else self.filled_ns,
        )


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of an order; `position_nanos` is the account's signed position after it.

    The maker's order had rested in the book. The fee is money, or units of what was bought (`fee_in_units`).
    """

    execution_id: str
    price_nanos: int
    quantity_nanos: int
    is_maker: bool = False
    fee_nanos: int = 0
    fee_in_units: bool = False
    position_nanos: int = 0


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order, with the order as it stands after it."""

    kind: EventKind
    order: Order
    time_ns: int
    execution: Execution | None = None
