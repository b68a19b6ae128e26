"""A bracket: an entry, and two held orders that close what it opened, one at a profit, one at a loss."""

from collections.abc import Iterable
from dataclasses import replace

from services.execution.domain.order import Order, OrderTerms
from trading.ids import ClientOrderId, OrderId, hashed_id
from trading.order import OrderRole, OrderType, TimeInForce

MOST_ATTEMPTS = 5
"""How often a leg is made that the venue refuses each time it is sent."""


def leg_terms(entry: OrderTerms, attempt: int = 1) -> list[OrderTerms]:
    """The orders that close an entry; the same entry and attempt give the same ids."""
    legs = []
    if entry.take_profit_nanos is not None:
        profit = _leg(entry, OrderRole.TAKE_PROFIT, attempt)
        legs.append(replace(profit, order_type=OrderType.LIMIT, price_nanos=entry.take_profit_nanos))
    if entry.stop_loss_nanos is not None:
        loss = _leg(entry, OrderRole.STOP_LOSS, attempt)
        legs.append(replace(loss, order_type=OrderType.STOP, stop_price_nanos=entry.stop_loss_nanos))
    return legs


def attempt_of(entry: OrderTerms, leg: OrderTerms) -> int:
    """Which of an entry's attempts a leg is; 0 when it is none of them."""
    attempts = range(1, MOST_ATTEMPTS + 1)
    return next((attempt for attempt in attempts if _leg_id(entry, leg.role, attempt) == leg.order_id), 0)


def open_nanos(entry: Order, legs: Iterable[Order]) -> int:
    """What the entry has opened and no leg has closed yet."""
    return entry.filled_nanos - sum(leg.filled_nanos for leg in legs)


def _leg_id(entry: OrderTerms, role: OrderRole | None, attempt: int) -> OrderId:
    return OrderId(hashed_id("bracket", entry.order_id, role, *([attempt] if attempt > 1 else [])))


def _leg(entry: OrderTerms, role: OrderRole, attempt: int) -> OrderTerms:
    order_id = _leg_id(entry, role, attempt)
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
