"""What a venue tells of orders and accounts, in words of the trade."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.execution.domain.order import Execution
from trading.ids import OrderId, VenueOrderId
from trading.money import divide_half_even
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class VenueTerms:
    """What an order asks for, as the venue spells it; amounts in nanos."""

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity_nanos: int
    price_nanos: int | None = None
    stop_price_nanos: int | None = None


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue sees it; amounts in nanos. `order_id` is None when the order is not ours.

    `replacement` says which of the orders that stood in our order's place it is, 0 for the first. `terms` are None
    where the venue's words fit none of ours.
    """

    order_id: OrderId | None
    venue_order_id: VenueOrderId
    status: OrderStatus
    filled_nanos: int = 0
    avg_price_nanos: int = 0
    event_time_ns: int = 0
    reason: str = ""
    replacement: int = 0
    terms: VenueTerms | None = None


def whole_view(replacements: Sequence[VenueOrder]) -> VenueOrder | None:
    """One view of an order and of all that took its place, the oldest first: where the newest stands, all fills."""
    if not replacements:
        return None
    newest = replacements[-1]
    filled = sum(each.filled_nanos for each in replacements)
    value = sum(each.filled_nanos * each.avg_price_nanos for each in replacements)
    average = divide_half_even(value, filled) if filled else 0
    return replace(newest, filled_nanos=filled, avg_price_nanos=average)


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


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """The venue's word on a position: its own spelling of the symbol, a signed quantity and the mean cost, in nanos."""

    symbol: str
    quantity_nanos: int
    avg_price_nanos: int = 0
