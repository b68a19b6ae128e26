"""The exchange's own view of an order: one frozen value, its states, and the events that move it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from trading.money import divide_half_even
from trading.order import OrderType, Side, TimeInForce


class Status(StrEnum):
    """Where an order stands at the exchange."""

    PENDING_NEW = "PENDING_NEW"
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


_OPEN = frozenset({Status.PENDING_NEW, Status.NEW, Status.PARTIALLY_FILLED})


class EventKind(StrEnum):
    """What can happen to an order."""

    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    FILL = "FILL"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a customer asks for; amounts in nanos.

    Either `quantity_nanos` or `notional_nanos` (a sum of money for a MARKET order) is positive.
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


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order; amounts in nanos, times in ns UTC of the exchange's own clock.

    `sequence` is its place in the queue; `filled_value` the sum of price × quantity of its fills (10⁻¹⁸ units).
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
    def remaining_nanos(self) -> int:
        return self.quantity_nanos - self.filled_nanos

    @property
    def average_price_nanos(self) -> int | None:
        """The mean price of its fills, rounded half-even to the nano; None before the first."""
        return divide_half_even(self.filled_value, self.filled_nanos) if self.filled_nanos else None

    @property
    def waits_for_trigger(self) -> bool:
        """A stop that the market has not reached yet."""
        return self.request.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) and not self.triggered

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
    """One fill of an order; `position_nanos` is the account's signed position after it."""

    execution_id: str
    price_nanos: int
    quantity_nanos: int
    fee_nanos: int = 0
    position_nanos: int = 0


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order, with the order as it stands after it."""

    kind: EventKind
    order: Order
    time_ns: int
    execution: Execution | None = None
