"""Alpaca's orders in words of the trade, and ours in Alpaca's."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from services.execution.domain.order import Execution, OrderTerms
from services.execution.domain.venue import VenueAccount, VenueOrder, VenuePosition, VenueTerms, VenueUpdate
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument
from trading.ids import VenueOrderId, order_id_of_venue, replacement_of_venue, venue_client_order_id
from trading.instruments import AssetClass, Instrument
from trading.money import ONE, format_nanos, parse_nanos
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

VENUE = "alpaca"
Json = Mapping[str, Any]

_STATUSES = {
    "new": OrderStatus.ACCEPTED,
    "accepted": OrderStatus.ACCEPTED,
    "accepted_for_bidding": OrderStatus.ACCEPTED,
    "pending_new": OrderStatus.ACCEPTED,
    "pending_review": OrderStatus.ACCEPTED,
    "held": OrderStatus.ACCEPTED,
    "stopped": OrderStatus.ACCEPTED,
    "suspended": OrderStatus.ACCEPTED,
    "calculated": OrderStatus.ACCEPTED,
    "done_for_day": OrderStatus.ACCEPTED,
    "pending_cancel": OrderStatus.PENDING_CANCEL,
    "pending_replace": OrderStatus.PENDING_UPDATE,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
_EVENTS = {
    "new": OrderEventKind.ACCEPTED,
    "accepted": OrderEventKind.ACCEPTED,
    "partial_fill": OrderEventKind.FILL,
    "fill": OrderEventKind.FILL,
    "canceled": OrderEventKind.CANCELED,
    "expired": OrderEventKind.EXPIRED,
    "rejected": OrderEventKind.REJECTED,
    "order_cancel_rejected": OrderEventKind.CANCEL_REJECTED,
    "order_replace_rejected": OrderEventKind.MODIFY_REJECTED,
}
"""Events that change an order of ours; the others (pending_new, calculated, …) are Alpaca's own affair.

`replaced` is told of the order that is gone; that the new one took its place is told by its own `new`.
"""
_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.TRAILING_STOP,
}
_TIMES_IN_FORCE = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "gtd": TimeInForce.GTD,
}
_CRYPTO_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT})
_BASIS_POINT_IN_PERCENT = ONE // 100


def works(terms: OrderTerms, instrument: Instrument) -> bool:
    """Alpaca works every type of order in shares; in coins neither stops to market nor trailing ones."""
    return instrument.asset_class is AssetClass.EQUITY or terms.order_type in _CRYPTO_TYPES


def order_body(terms: OrderTerms) -> dict[str, str]:
    """The body of POST /v2/orders under our order id. Where we end an order ourselves it is GTC to Alpaca."""
    in_force = terms.time_in_force if terms.expire_time_ns is None else TimeInForce.GTC
    body = {
        "symbol": terms.venue_symbol or terms.symbol,
        "qty": format_nanos(terms.quantity_nanos),
        "side": terms.side.value.lower(),
        "type": terms.order_type.value.lower(),
        "time_in_force": in_force.value.lower(),
        "client_order_id": venue_client_order_id(terms.order_id),
    }
    return {**body, **_prices(terms)}


def replacement_body(terms: OrderTerms, replacement: int) -> dict[str, str]:
    """The body of PATCH /v2/orders/{id}: quantity and prices as they shall be."""
    name = venue_client_order_id(terms.order_id, replacement)
    prices = _prices(terms)
    trail = prices.pop("trail_price", None) or prices.pop("trail_percent", None)
    changes = {"qty": format_nanos(terms.quantity_nanos), "client_order_id": name, **prices}
    return {**changes, "trail": trail} if trail else changes


def _prices(terms: OrderTerms) -> dict[str, str]:
    prices = {}
    if terms.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) and terms.price_nanos is not None:
        prices["limit_price"] = format_nanos(terms.price_nanos)
    if terms.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) and terms.stop_price_nanos is not None:
        prices["stop_price"] = format_nanos(terms.stop_price_nanos)
    if terms.trail_nanos is not None:
        prices["trail_price"] = format_nanos(terms.trail_nanos)
    if terms.trail_bps is not None:
        prices["trail_percent"] = format_nanos(terms.trail_bps * _BASIS_POINT_IN_PERCENT)
    return prices


def venue_order(order: Json) -> VenueOrder:
    """An order as Alpaca tells it; raises InvalidArgument when it lacks what every order has."""
    try:
        return VenueOrder(
            order_id=order_id_of_venue(order["client_order_id"]),
            venue_order_id=VenueOrderId(order["id"]),
            status=_STATUSES[order["status"]],
            filled_nanos=_nanos(order.get("filled_qty")),
            avg_price_nanos=_nanos(order.get("filled_avg_price")),
            event_time_ns=_moved(order),
            reason=order.get("reject_reason") or "",
            replacement=replacement_of_venue(order["client_order_id"]),
            terms=_terms(order),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an order of Alpaca.", order=str(order)[:200]) from error


def venue_update(data: Json) -> VenueUpdate | None:
    """A trade update as Alpaca tells it, or None for an event that changes nothing of ours."""
    try:
        kind = _EVENTS.get(data["event"])
        if kind is None:
            return None
        order = venue_order(data["order"])
        if kind is OrderEventKind.ACCEPTED and order.replacement:
            kind = OrderEventKind.UPDATED
        time_ns = parse_time(data["timestamp"]) if data.get("timestamp") else order.event_time_ns
        execution = _execution(data, order) if kind is OrderEventKind.FILL else None
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not a trade update of Alpaca.", update=str(data)[:200]) from error
    return VenueUpdate(order, kind, time_ns, execution)


def venue_position(position: Json) -> VenuePosition:
    """A position as Alpaca tells it; raises InvalidArgument."""
    try:
        quantity: int = parse_nanos(position["qty"])
        if position.get("side") == "short":
            quantity = -abs(quantity)
        return VenuePosition(position["symbol"], quantity, _nanos(position.get("avg_entry_price")))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not a position of Alpaca.", position=str(position)[:200]) from error


def venue_account(account: Json) -> VenueAccount:
    """The account as Alpaca tells it."""
    try:
        return VenueAccount(
            currency=account["currency"],
            cash_nanos=parse_nanos(account["cash"]),
            buying_power_nanos=parse_nanos(account["buying_power"]),
            multiplier=max(int(float(account.get("multiplier") or 1)), 1),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an account of Alpaca.", account=str(account)[:200]) from error


def parse_time(text: str) -> int:
    """RFC 3339 with up to nine decimals, as ns UTC; raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"Expected RFC 3339, was {text[:40]!r}.")
    whole, fraction, zone = match.groups()
    return _second_ns(whole + zone) + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=64)
def _second_ns(text: str) -> int:
    """News comes many to a second."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _execution(data: Json, order: VenueOrder) -> Execution:
    return Execution(
        execution_id=data["execution_id"],
        price_nanos=_amount(data["price"]),
        quantity_nanos=_amount(data["qty"]),
        cumulative_nanos=order.filled_nanos,
    )


def _terms(order: Json) -> VenueTerms | None:
    """What the order asks for; None where it says it in words that are none of ours, such as orders by notional."""
    kind, in_force = _TYPES.get(order.get("type", "")), _TIMES_IN_FORCE.get(order.get("time_in_force", ""))
    if kind is None or in_force is None or not order.get("qty"):
        return None
    return VenueTerms(
        symbol=order["symbol"],
        side=Side(order["side"].upper()),
        order_type=kind,
        time_in_force=in_force,
        quantity_nanos=_amount(order["qty"]),
        price_nanos=_nanos(order.get("limit_price")) or None,
        stop_price_nanos=_nanos(order.get("stop_price")) or None,
    )


def _nanos(amount: str | None) -> int:
    return _amount(amount) if amount else 0


@lru_cache(maxsize=4096, typed=True)
def _amount(text: str) -> int:
    """The same few quantities and prices come again and again."""
    return parse_nanos(text)


def _moved(order: Json) -> int:
    moved = order.get("updated_at") or order.get("submitted_at") or order.get("created_at")
    return parse_time(moved) if moved else 0
