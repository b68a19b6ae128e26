"""Binance's orders in words of the trade, and ours in Binance's."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.execution.adapters.binance_rest import time_ns
from services.execution.domain.order import Execution, OrderTerms
from services.execution.domain.venue import VenueAccount, VenueOrder, VenuePosition, VenueTerms, VenueUpdate
from trading.errors import AmountOutOfRange, InvalidArgument
from trading.ids import OrderId, VenueOrderId, order_id_of_venue, replacement_of_venue, venue_client_order_id
from trading.money import ONE, divide_half_even, format_nanos, parse_nanos
from trading.order import Liquidity, OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

VENUE = "binance"
QUOTE = "USDT"
"""What our instruments are paid in; their currency calls it USD."""
Json = Mapping[str, Any]

_CURRENCY = "USD"
_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.TRAILING_STOP: "STOP_LOSS",
}
_POST_ONLY = "LIMIT_MAKER"
_OUR_TYPES = {name: kind for kind, name in _TYPES.items() if kind is not OrderType.TRAILING_STOP} | {
    _POST_ONLY: OrderType.LIMIT
}
_STOPS = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.PENDING_CANCEL,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
_EVENTS = {
    "NEW": OrderEventKind.ACCEPTED,
    "REPLACED": OrderEventKind.UPDATED,
    "CANCELED": OrderEventKind.CANCELED,
    "REJECTED": OrderEventKind.REJECTED,
    "TRADE": OrderEventKind.FILL,
    "EXPIRED": OrderEventKind.EXPIRED,
    "TRADE_PREVENTION": OrderEventKind.EXPIRED,
}
_ROOM_MADE = re.compile(r"[0-9a-f]{32}_[1-9][0-9]*")


def wire_type(terms: OrderTerms) -> str:
    """The type of order that Binance works such terms as."""
    is_maker = terms.post_only and terms.order_type is OrderType.LIMIT
    return _POST_ONLY if is_maker else _TYPES[terms.order_type]


def order_params(terms: OrderTerms, replacement: int = 0, quantity_nanos: int | None = None) -> dict[str, str]:
    """The parameters of a new order under our id, of all that the terms ask for or of a quantity that is left.

    Binance knows neither DAY nor GTD: where we end an order ourselves it is GTC to the venue.
    """
    params = {
        "symbol": terms.venue_symbol or terms.symbol,
        "side": terms.side.value,
        "type": wire_type(terms),
        "quantity": format_nanos(terms.quantity_nanos if quantity_nanos is None else quantity_nanos),
        "newClientOrderId": venue_client_order_id(terms.order_id, replacement),
        "newOrderRespType": "RESULT",
    }
    if terms.order_type in _PRICED and terms.price_nanos is not None:
        params["price"] = format_nanos(terms.price_nanos)
    if terms.order_type in _PRICED and params["type"] != _POST_ONLY:
        in_force = terms.time_in_force if terms.time_in_force in _IMMEDIATE else TimeInForce.GTC
        params["timeInForce"] = in_force.value
    if terms.order_type in _TRIGGERED and terms.stop_price_nanos is not None:
        params["stopPrice"] = format_nanos(terms.stop_price_nanos)
    if terms.trail_bps is not None:
        params["trailingDelta"] = str(terms.trail_bps)
    return params


def making_room(order_id: OrderId, replacement: int) -> str:
    """The name of a cancel that only makes room for a replacement; `venue_update` knows it again."""
    return venue_client_order_id(order_id, replacement).replace("-", "_")


def venue_order_id(symbol: str, number: int | str) -> VenueOrderId:
    """Binance numbers the orders of each symbol by themselves: both together name one."""
    return VenueOrderId(f"{symbol}:{number}")


def place_of(order: VenueOrderId | None, symbol: str) -> dict[str, str]:
    """The parameters that name an order of Binance."""
    its_symbol, _, number = (order or "").rpartition(":")
    return {"symbol": its_symbol or symbol, "orderId": number}


def venue_order(order: Json) -> VenueOrder:
    """An order as REST tells it; raises InvalidArgument when it lacks what every order has."""
    try:
        return _order(order, order["clientOrderId"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an order of Binance.", order=str(order)[:200]) from error


def is_strangers(order: Any) -> bool:
    """It carries no name that we gave."""
    return isinstance(order, dict) and order_id_of_venue(str(order.get("clientOrderId"))) is None


def canceled_order(order: Json) -> VenueOrder:
    """An order as the answer to its cancel tells it, which puts the cancel's own name first."""
    return venue_order({**order, "clientOrderId": order.get("origClientOrderId") or order.get("clientOrderId")})


def amended_order(answer: Json) -> VenueOrder:
    """An order as the answer to an amendment tells it, in names of its own."""
    amended = answer.get("amendedOrder") or {}
    usual = {"origQty": amended.get("qty"), "cummulativeQuoteQty": amended.get("cumulativeQuoteQty")}
    return venue_order({**amended, **usual, "updateTime": answer.get("transactTime")})


def venue_update(report: Json) -> VenueUpdate | None:
    """An executionReport as words of the trade, or None for one that changes nothing of ours.

    The cancel of an order that another takes the place of is no end of it: the new one's own report tells more.
    Raises InvalidArgument.
    """
    try:
        kind = _kind(report)
        if kind is None:
            return None
        order = _order(_as_rest(report), report.get("C") or report["c"])
        if kind is OrderEventKind.ACCEPTED and order.replacement:
            kind = OrderEventKind.UPDATED
        execution = _execution(report) if kind is OrderEventKind.FILL else None
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an execution report of Binance.", report=str(report)[:200]) from error
    return VenueUpdate(replace(order, reason=_reason(report)), kind, order.event_time_ns, execution)


def venue_positions(account: Json) -> list[VenuePosition]:
    """The coins of an account as positions against the dollar; raises InvalidArgument.

    A coin of which it holds more than can be said in nanos is none that we could have traded.
    """
    try:
        coins = [balance for balance in account["balances"] if balance["asset"] != QUOTE]
        return [VenuePosition(f"{coin['asset']}{QUOTE}", held) for coin in coins if (held := _held_if_sayable(coin))]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an account of Binance.", account=str(account)[:200]) from error


def venue_account(account: Json) -> VenueAccount:
    """The money of an account: all of it as cash, what no open order holds back as buying power; never on credit."""
    try:
        money = next((balance for balance in account["balances"] if balance["asset"] == QUOTE), None)
        if money is None:
            return VenueAccount(_CURRENCY, 0, 0)
        return VenueAccount(_CURRENCY, _held(money), parse_nanos(money["free"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument("Not an account of Binance.", account=str(account)[:200]) from error


def _order(order: Json, name: str) -> VenueOrder:
    filled = parse_nanos(order["executedQty"])
    return VenueOrder(
        order_id=order_id_of_venue(name),
        venue_order_id=venue_order_id(order["symbol"], order["orderId"]),
        status=_STATUSES[order["status"]],
        filled_nanos=filled,
        avg_price_nanos=_average(order, filled),
        event_time_ns=_moved(order),
        replacement=replacement_of_venue(name),
        terms=_terms(order),
    )


def _average(order: Json, filled_nanos: int) -> int:
    """What was paid, divided; the limit of an order so old that Binance has forgotten what was paid."""
    if not filled_nanos:
        return 0
    paid = parse_nanos(order["cummulativeQuoteQty"])
    return divide_half_even(paid * ONE, filled_nanos) if paid >= 0 else parse_nanos(order["price"])


def _moved(order: Json) -> int:
    moved = order.get("updateTime") or order.get("transactTime") or order.get("time")
    return time_ns(moved) if moved else 0


def _terms(order: Json) -> VenueTerms | None:
    """What the order asks for; None where it says it in words that are none of ours, such as TAKE_PROFIT."""
    kind, quantity = _OUR_TYPES.get(order["type"]), parse_nanos(order["origQty"])
    if kind is None or not quantity:
        return None
    return VenueTerms(
        symbol=order["symbol"],
        side=Side(order["side"]),
        order_type=OrderType.TRAILING_STOP if order.get("trailingDelta") else kind,
        time_in_force=TimeInForce(order.get("timeInForce") or TimeInForce.GTC),
        quantity_nanos=quantity,
        price_nanos=_nanos(order.get("price")),
        stop_price_nanos=_nanos(order.get("stopPrice")),
    )


def _as_rest(report: Json) -> Json:
    """A report's letters as the names that REST has for them."""
    return {name: report.get(letter) for name, letter in _LETTERS.items()}


_LETTERS = {
    "symbol": "s",
    "orderId": "i",
    "status": "X",
    "type": "o",
    "side": "S",
    "timeInForce": "f",
    "origQty": "q",
    "executedQty": "z",
    "cummulativeQuoteQty": "Z",
    "price": "p",
    "stopPrice": "P",
    "trailingDelta": "d",
    "updateTime": "T",
}


def _kind(report: Json) -> OrderEventKind | None:
    said = report["x"]
    if said == "NEW" and report["o"] in _STOPS and report.get("w"):
        return OrderEventKind.TRIGGERED  # a stop that is in the book has been set off
    if said == "CANCELED" and _ROOM_MADE.fullmatch(report["c"]):
        return None
    if said == "TRADE_PREVENTION" and _STATUSES[report["X"]] is not OrderStatus.EXPIRED:
        return None
    return _EVENTS.get(said)


def _reason(report: Json) -> str:
    """Why it was refused or has expired."""
    refusal = report.get("r")
    return report.get("eR") or (refusal if refusal and refusal != "NONE" else "")


def _execution(report: Json) -> Execution:
    """One trade. A commission in coins is no fee of it: the coins are missing, not the money (binance_commissions)."""
    price = parse_nanos(report["L"])
    return Execution(
        execution_id=f"{report['s']}:{report['t']}",  # trades, too, are numbered by symbol
        price_nanos=price,
        quantity_nanos=parse_nanos(report["l"]),
        fee_nanos=parse_nanos(report.get("n") or "0") if report.get("N") == QUOTE else 0,
        cumulative_nanos=parse_nanos(report["z"]),
        liquidity=Liquidity.MAKER if report["m"] else Liquidity.TAKER,
    )


def _held(balance: Json) -> int:
    return parse_nanos(balance["free"]) + parse_nanos(balance["locked"])


def _held_if_sayable(balance: Json) -> int:
    try:
        return _held(balance)
    except AmountOutOfRange:
        return 0


def _nanos(amount: str | None) -> int | None:
    return (parse_nanos(amount) or None) if amount else None
