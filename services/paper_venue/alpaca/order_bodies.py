"""Order bodies as customers send them, and the exchange's requests that they mean."""

from dataclasses import replace
from typing import TypeVar

import msgspec

from services.paper_venue.alpaca.errors import FIELD, ApiError
from services.paper_venue.domain.exchange import Changes
from services.paper_venue.domain.groups import GroupRequest
from services.paper_venue.domain.orders import GroupKind, OrderRequest, Trail
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
    "trailing_stop": OrderType.TRAILING_STOP,
}
_TIMES_IN_FORCE = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
}
_CLASSES = {"bracket": GroupKind.BRACKET, "oco": GroupKind.OCO, "oto": GroupKind.OTO}
_WHOLE_PERCENT = 100
_LONGEST_CLIENT_ORDER_ID = 128


class TakeProfit(msgspec.Struct):
    """The exit of a group where the price is good."""

    limit_price: Number = None


class StopLoss(msgspec.Struct):
    """The exit of a group where the price is bad; with a limit it becomes a stop_limit order."""

    stop_price: Number = None
    limit_price: Number = None


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
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None

    @property
    def is_grouped(self) -> bool:
        """It brings other orders with it."""
        return self.order_class not in (None, "", "simple")

    def request(self) -> OrderRequest:
        """What it asks of the exchange for itself; raises ApiError 422 for what is not offered and for bad numbers."""
        if not self.is_grouped and (self.take_profit or self.stop_loss):
            raise ApiError(422, FIELD, "order_class must be bracket, oco or oto where there are legs")
        return OrderRequest(
            symbol=self.symbol,
            side=_word(self.side, _SIDES, "side"),
            order_type=_word(self.type, _TYPES, "type"),
            time_in_force=_word(self.time_in_force, _TIMES_IN_FORCE, "time_in_force"),
            quantity_nanos=_optional(self.qty, "qty") or 0,
            limit_nanos=_optional(self.limit_price, "limit_price"),
            stop_nanos=_optional(self.stop_price, "stop_price"),
            notional_nanos=_optional(self.notional, "notional"),
            client_order_id=checked_client_order_id(self.client_order_id),
            extended_hours=bool(self.extended_hours),
            trail=_trail(self.trail_price, self.trail_percent),
        )

    def group(self) -> GroupRequest:
        """What it and its legs ask of the exchange; raises like `request`."""
        kind = _word(self.order_class or "", _CLASSES, "order_class")
        name = kind.value.lower()
        if _word(self.time_in_force, _TIMES_IN_FORCE, "time_in_force") not in (TimeInForce.DAY, TimeInForce.GTC):
            raise ApiError(422, FIELD, f"{name} orders must be day or gtc")
        if self.extended_hours or self.notional not in (None, ""):
            raise ApiError(422, FIELD, f"{name} orders take neither extended_hours nor notional")
        if kind is GroupKind.OCO:
            return GroupRequest(kind, self._pair())
        entry = self.request()
        legs = tuple(leg for leg in (self._profit_leg(entry), self._loss_leg(entry)) if leg is not None)
        for given, needed in ((self.take_profit, "take_profit"), (self.stop_loss, "stop_loss")):
            if kind is GroupKind.BRACKET and given is None:
                raise ApiError(422, FIELD, f"bracket orders require {needed}")
        if kind is GroupKind.OTO and len(legs) != 1:
            raise ApiError(422, FIELD, "oto orders require either take_profit or stop_loss")
        return GroupRequest(kind, (entry, *legs))

    def _pair(self) -> tuple[OrderRequest, OrderRequest]:
        """The two exits of an oco order, which is its own take_profit."""
        if self.type != "limit" or self.stop_loss is None or (self.take_profit is None and self.limit_price is None):
            raise ApiError(422, FIELD, "oco orders must be limit orders with take_profit and stop_loss")
        price = self.limit_price if self.take_profit is None else self.take_profit.limit_price
        first = replace(self.request(), limit_nanos=_optional(price, "take_profit.limit_price"))
        loss = self._loss_leg(first, first.side)
        assert loss is not None
        return first, loss

    def _profit_leg(self, entry: OrderRequest) -> OrderRequest | None:
        if self.take_profit is None:
            return None
        limit = _optional(self.take_profit.limit_price, "take_profit.limit_price")
        return _leg(entry, entry.side.opposite, OrderType.LIMIT, limit, None)

    def _loss_leg(self, entry: OrderRequest, side: Side | None = None) -> OrderRequest | None:
        if self.stop_loss is None:
            return None
        limit = _optional(self.stop_loss.limit_price, "stop_loss.limit_price")
        stop = _optional(self.stop_loss.stop_price, "stop_loss.stop_price")
        order_type = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        return _leg(entry, side or entry.side.opposite, order_type, limit, stop)


class Replacement(msgspec.Struct):
    """The body of PATCH /v2/orders/{id}; `trail` is the new trail_price or trail_percent, whichever the order has."""

    qty: Number = None
    limit_price: Number = None
    stop_price: Number = None
    trail: Number = None
    time_in_force: str | None = None
    client_order_id: str | None = None

    def changes(self, trail: Trail | None) -> Changes:
        """What it changes of an order with that trail; raises like `NewOrder.request`."""
        if self.trail not in (None, "") and trail is None:
            raise ApiError(422, FIELD, "only trailing stop orders have a trail")
        by_amount = trail is not None and trail.amount_nanos > 0
        in_force = None if self.time_in_force is None else _word(self.time_in_force, _TIMES_IN_FORCE, "time_in_force")
        return Changes(
            _optional(self.qty, "qty"),
            _optional(self.limit_price, "limit_price"),
            _optional(self.stop_price, "stop_price"),
            _trail(self.trail, None) if by_amount else _trail(None, self.trail),
            in_force,
            checked_client_order_id(self.client_order_id) or None,
        )


def checked_client_order_id(text: str | None) -> str:
    """The customer's id, or "" when there is none; raises ApiError 422 when it is too long."""
    if text is not None and len(text) > _LONGEST_CLIENT_ORDER_ID:
        raise ApiError(422, FIELD, f"client_order_id must be no more than {_LONGEST_CLIENT_ORDER_ID} characters")
    return text or ""


def _leg(entry: OrderRequest, side: Side, order_type: OrderType, limit: int | None, stop: int | None) -> OrderRequest:
    """A leg of as much as the entry, for as long as the entry."""
    return OrderRequest(entry.symbol, side, order_type, entry.time_in_force, entry.quantity_nanos, limit, stop)


def _trail(price: Number, percent: Number) -> Trail | None:
    amount, share = _optional(price, "trail_price"), _optional(percent, "trail_percent")
    if amount is None and share is None:
        return None
    if amount is not None and share is not None:
        raise ApiError(422, FIELD, "only one of trail_price and trail_percent is accepted")
    return Trail(amount or 0, (share or 0) // _WHOLE_PERCENT)


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
