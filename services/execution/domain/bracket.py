"""A bracket: an entry, and two held orders that close what it opened, one at a profit, one at a loss."""

from collections.abc import Iterable
from dataclasses import replace

from services.execution.domain.order import Order, OrderTerms
from trading.ids import ClientOrderId, OrderId, hashed_id
from trading.order import OrderRole, OrderType, TimeInForce


def leg_terms(entry: OrderTerms) -> list[OrderTerms]:
    """The orders that close an entry; the same entry gives the same ids."""
    legs = []
    if entry.take_profit_nanos is not None:
        legs.append(
            replace(_leg(entry, OrderRole.TAKE_PROFIT), order_type=OrderType.LIMIT, price_nanos=entry.take_profit_nanos)
        )
    if entry.stop_loss_nanos is not None:
        legs.append(
            replace(_leg(entry, OrderRole.STOP_LOSS), order_type=OrderType.STOP, stop_price_nanos=entry.stop_loss_nanos)
        )
    return legs


def open_nanos(entry: Order, legs: Iterable[Order]) -> int:
    """What the entry has opened and no leg has closed yet."""
    return entry.filled_nanos - sum(leg.filled_nanos for leg in legs)


def _leg(entry: OrderTerms, role: OrderRole) -> OrderTerms:
    order_id = OrderId(hashed_id("bracket", entry.order_id, role))
    return replace(
        entry,
        order_id=order_id,
        client_order_id=ClientOrderId(order_id),
        side=entry.side.opposite,
        time_in_force=TimeInForce.GTC,
        price_nanos=None,
        stop_price_nanos=None,
        trail_nanos=None,
        trail_bps=None,
        take_profit_nanos=None,
        stop_loss_nanos=None,
        expire_time_ns=None,
        post_only=False,
        reduce_only=True,
        client_timestamp_ns=None,
        fingerprint="",
        parent_order_id=entry.order_id,
        role=role,
    )
