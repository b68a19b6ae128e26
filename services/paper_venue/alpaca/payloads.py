"""The exchange's facts as Alpaca's JSON objects; money and quantities are decimal strings."""

from collections.abc import Sequence
from typing import Any

from services.paper_venue.alpaca.listing import Listing, asset_class, exchange_of
from services.paper_venue.alpaca.times import optional_rfc3339, rfc3339
from services.paper_venue.domain.account import Account, Position
from services.paper_venue.domain.checks import price_increment
from services.paper_venue.domain.orders import EventKind, GroupKind, Order, OrderEvent, Status
from trading.instruments import Instrument
from trading.money import ONE, divide_half_even, format_nanos
from trading.order import Side

Payload = dict[str, Any]

_EVENTS = {
    EventKind.HELD: "held",
    EventKind.NEW: "new",
    EventKind.AMENDED: "restated",
    EventKind.CANCELED: "canceled",
    EventKind.EXPIRED: "expired",
    EventKind.REPLACED: "replaced",
    EventKind.REPLACE_REJECTED: "order_replace_rejected",
}


def _optional(nanos: int | None) -> str | None:
    return None if nanos is None else format_nanos(nanos)


def order_payload(order: Order, listing: Listing, legs: Sequence[Order] = ()) -> Payload:
    """An order object of the trading API, with its legs where they are to be shown."""
    request, instrument = order.request, listing.find(order.symbol)
    by_money = request.notional_nanos is not None
    return {
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "created_at": rfc3339(order.created_ns),
        "updated_at": rfc3339(order.updated_ns),
        "submitted_at": rfc3339(order.created_ns),
        "filled_at": optional_rfc3339(order.filled_ns),
        "expired_at": optional_rfc3339(order.expired_ns),
        "expires_at": None,
        "canceled_at": optional_rfc3339(order.canceled_ns),
        "failed_at": None,
        "replaced_at": optional_rfc3339(order.replaced_ns),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": listing.asset_id(instrument.symbol),
        "symbol": listing.spelling(order.symbol),
        "asset_class": asset_class(instrument),
        "notional": _optional(request.notional_nanos),
        "qty": None if by_money else format_nanos(order.quantity_nanos),
        "filled_qty": format_nanos(order.filled_nanos),
        "filled_avg_price": _optional(order.average_price_nanos),
        "order_class": order.group.kind.value.lower() if order.group else "",
        "order_type": request.order_type.value.lower(),
        "type": request.order_type.value.lower(),
        "side": request.side.value.lower(),
        "position_intent": None,
        "time_in_force": request.time_in_force.value.lower(),
        "limit_price": _optional(request.limit_nanos),
        "stop_price": _optional(order.stop_nanos),
        "status": "held" if _stands_guard(order) else order.status.value.lower(),
        "extended_hours": request.extended_hours,
        "legs": [order_payload(leg, listing) for leg in legs] or None,
        "trail_percent": _optional(request.trail.share_nanos * 100 or None) if request.trail else None,
        "trail_price": _optional(request.trail.amount_nanos or None) if request.trail else None,
        "hwm": _optional(order.best_nanos),
        "subtag": None,
        "source": None,
    }


def trade_update(event: OrderEvent, listing: Listing) -> Payload:
    """The `trade_updates` message of an order event."""
    data: Payload = {
        "event": event_name(event),
        "timestamp": rfc3339(event.time_ns),
        "order": order_payload(event.order, listing),
    }
    if event.execution is not None:
        data["execution_id"] = event.execution.execution_id
        data["price"] = format_nanos(event.execution.price_nanos)
        data["qty"] = format_nanos(event.execution.quantity_nanos)
        data["position_qty"] = format_nanos(event.execution.position_nanos)
    return {"stream": "trade_updates", "data": data}


def position_payload(position: Position, account: Account, listing: Listing) -> Payload:
    """A position object; `change_today` and the intraday figures count from the entry."""
    instrument, mark = listing.find(position.symbol), account.mark_nanos(position.symbol)
    value, cost = position.value_nanos(mark), position.cost_nanos
    profit = format_nanos(value - cost)
    profit_share = _ratio(value - cost, abs(cost))
    return {
        "asset_id": listing.asset_id(instrument.symbol),
        "symbol": listing.spelling(position.symbol),
        "exchange": exchange_of(instrument),
        "asset_class": asset_class(instrument),
        "asset_marginable": instrument.shortable,
        "qty": format_nanos(position.quantity_nanos),
        "qty_available": format_nanos(account.available_nanos(position.symbol)),
        "avg_entry_price": format_nanos(position.entry_price_nanos),
        "side": "long" if position.quantity_nanos > 0 else "short",
        "market_value": format_nanos(value),
        "cost_basis": format_nanos(cost),
        "unrealized_pl": profit,
        "unrealized_plpc": profit_share,
        "unrealized_intraday_pl": profit,
        "unrealized_intraday_plpc": profit_share,
        "current_price": format_nanos(mark),
        "lastday_price": format_nanos(position.entry_price_nanos),
        "change_today": _ratio(mark - position.entry_price_nanos, position.entry_price_nanos),
    }


def account_payload(account: Account, account_id: str, created_ns: int) -> Payload:
    """The account object."""
    power, long_value = format_nanos(account.buying_power_nanos()), account.market_value_nanos(Side.BUY)
    short_value, equity = account.market_value_nanos(Side.SELL), account.equity_nanos
    gross = long_value - short_value
    started_with = format_nanos(account.rules.cash_nanos)
    return {
        "id": account_id,
        "account_number": f"PA{account_id.replace('-', '').upper()[:10]}",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": format_nanos(account.cash_nanos),
        "equity": format_nanos(equity),
        "last_equity": started_with,
        "portfolio_value": format_nanos(equity),
        "buying_power": power,
        "regt_buying_power": format_nanos(max(0, 2 * equity - gross)),
        "daytrading_buying_power": power,
        "non_marginable_buying_power": format_nanos(max(0, account.cash_nanos)),
        "multiplier": str(account.rules.multiplier),
        "initial_margin": format_nanos(gross // 2),
        "maintenance_margin": format_nanos(gross * 3 // 10),
        "last_maintenance_margin": "0",
        "long_market_value": format_nanos(long_value),
        "short_market_value": format_nanos(short_value),
        "accrued_fees": format_nanos(account.fees_nanos),
        "sma": "0",
        "pattern_day_trader": False,
        "daytrade_count": 0,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": True,
        "created_at": rfc3339(created_ns),
    }


def asset_payload(instrument: Instrument, listing: Listing) -> Payload:
    """An asset object."""
    return {
        "id": listing.asset_id(instrument.symbol),
        "class": asset_class(instrument),
        "exchange": exchange_of(instrument),
        "symbol": listing.spelling(instrument.symbol),
        "name": instrument.name or instrument.symbol,
        "status": "active",
        "tradable": instrument.tradable,
        "marginable": instrument.shortable,
        "shortable": instrument.shortable,
        "easy_to_borrow": instrument.shortable,
        "fractionable": instrument.lot_nanos < ONE,
        "min_order_size": format_nanos(instrument.min_quantity_nanos),
        "min_trade_increment": format_nanos(instrument.lot_nanos),
        "price_increment": format_nanos(price_increment(instrument, ONE)),
        "attributes": [],
    }


def event_name(event: OrderEvent) -> str | None:
    """What Alpaca calls an event; None for what it does not tell: when a stop triggers or moves."""
    if event.kind is EventKind.FILL:
        return "fill" if event.order.status is Status.FILLED else "partial_fill"
    if event.order.group is not None and event.order.waits_for_trigger and _stands_guard(event.order):
        if event.kind is EventKind.NEW:
            return "held" if event.order.group.kind is GroupKind.OCO else None  # a bracket's has been told already
    elif event.kind is EventKind.TRIGGERED and _is_guard(event.order):
        return "new"
    return _EVENTS.get(event.kind)


def _is_guard(order: Order) -> bool:
    """It is the stop of a pair: Alpaca keeps that to itself until it triggers."""
    group = order.group
    return group is not None and not group.is_entry and group.kind is not GroupKind.OTO


def _stands_guard(order: Order) -> bool:
    return order.status is Status.NEW and order.waits_for_trigger and _is_guard(order)


def _ratio(part: int, whole: int) -> str:
    return format_nanos(divide_half_even(part * ONE, whole)) if whole else "0"
