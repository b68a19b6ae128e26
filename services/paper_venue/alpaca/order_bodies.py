"""Order bodies as customers send them, and the exchange's requests that they mean."""

from typing import Any, TypeVar

import msgspec

from services.paper_venue.alpaca.errors import FIELD, ApiError
from services.paper_venue.domain.exchange import Changes
from services.paper_venue.domain.orders import OrderRequest
from trading.errors import InvalidArgument
from trading.money import parse_nanos
from trading.order import OrderType, Side, TimeInForce

Number = str | int | float | None
WordT = TypeVar("WordT")

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
}
_TIMES_IN_FORCE = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}
_LONGEST_CLIENT_ORDER_ID = 128


class NewOrder(msgspec.Struct):
    """The body of POST /v2/orders; numbers may come as text."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Number = None
    notional: Number = None
    limit_price: Number = None
    stop_price: Number = None
    client_order_id: str | None = None
    extended_hours: bool | None = None
    order_class: str | None = None
    trail_price: Number = None
    trail_percent: Number = None
    take_profit: Any = None
    stop_loss: Any = None

    def request(self) -> OrderRequest:
        """What it asks of the exchange; raises ApiError 422 for what is not offered and for bad numbers."""
        if self.order_class not in (None, "", "simple") or self.take_profit or self.stop_loss:
            raise ApiError(422, FIELD, f"order_class {self.order_class!r} is not offered here, expected simple")
        notional = _optional(self.notional, "notional")
        return OrderRequest(
            symbol=self.symbol,
            side=_word(self.side, _SIDES, "side"),
            order_type=_word(self.type, _TYPES, "type"),
            time_in_force=_word(self.time_in_force, _TIMES_IN_FORCE, "time_in_force"),
            quantity_nanos=_optional(self.qty, "qty") or 0,
            limit_nanos=_optional(self.limit_price, "limit_price"),
            stop_nanos=_optional(self.stop_price, "stop_price"),
            notional_nanos=notional,
            client_order_id=checked_client_order_id(self.client_order_id),
            extended_hours=bool(self.extended_hours),
        )


class Replacement(msgspec.Struct):
    """The body of PATCH /v2/orders/{id}."""

    qty: Number = None
    limit_price: Number = None
    stop_price: Number = None
    time_in_force: str | None = None
    client_order_id: str | None = None

    def changes(self) -> Changes:
        """What it changes; raises like `NewOrder.request`."""
        in_force = None if self.time_in_force is None else _word(self.time_in_force, _TIMES_IN_FORCE, "time_in_force")
        return Changes(
            _optional(self.qty, "qty"),
            _optional(self.limit_price, "limit_price"),
            _optional(self.stop_price, "stop_price"),
            in_force,
            checked_client_order_id(self.client_order_id) or None,
        )


def checked_client_order_id(text: str | None) -> str:
    """The customer's id, or "" when there is none; raises ApiError 422 when it is too long."""
    if text is not None and len(text) > _LONGEST_CLIENT_ORDER_ID:
        raise ApiError(422, FIELD, f"client_order_id must be no more than {_LONGEST_CLIENT_ORDER_ID} characters")
    return text or ""


def _optional(value: Number, field: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return parse_nanos(value, field)
    except InvalidArgument as error:
        raise ApiError(422, FIELD, f"invalid {field}: {error.message.lower()}") from error


def _word(text: str, words: dict[str, WordT], field: str) -> WordT:
    found = words.get(text.lower())
    if found is None:
        raise ApiError(422, FIELD, f"invalid {field}: expected {', '.join(words)}, was {text!r}")
    return found
