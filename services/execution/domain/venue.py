"""What a venue tells of orders and accounts, in words of the trade."""

from dataclasses import dataclass

from services.execution.domain.order import Execution
from trading.ids import OrderId, VenueOrderId
from trading.order import OrderEventKind, OrderStatus


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue sees it; amounts in nanos. `order_id` is None when the order is not ours."""

    order_id: OrderId | None
    venue_order_id: VenueOrderId
    status: OrderStatus
    filled_nanos: int = 0
    avg_price_nanos: int = 0
    event_time_ns: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VenueUpdate:
    """One message of the venue's order stream."""

    order: VenueOrder
    kind: OrderEventKind
    event_time_ns: int
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The order stream is up (again): what was said before is to be asked for."""


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """The venue's word on an account; amounts in nanos of its currency.

    `multiplier` is how often its equity may be used.
    """

    currency: str
    cash_nanos: int
    buying_power_nanos: int
    multiplier: int = 1
