"""New orders as Binance's customers send them, and the exchange's requests that they mean."""

from dataclasses import dataclass

from services.paper_venue.binance.auth import new_client_id
from services.paper_venue.binance.errors import (
    BAD_ORDER_TYPE,
    BAD_SIDE,
    BAD_TIME_IN_FORCE,
    NOT_REQUIRED_PARAMETER,
    ApiError,
    missing,
)
from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.params import Params
from services.paper_venue.domain.orders import OrderRequest, Trail
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce

_SIDES = {side.value: side for side in Side}
_TYPES = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.STOP,
    "TAKE_PROFIT_LIMIT": OrderType.STOP_LIMIT,
}
_TIMES_IN_FORCE = {name: TimeInForce(name) for name in ("GTC", "IOC", "FOK")}
_ANSWERS = {name: name for name in ("ACK", "RESULT", "FULL")}
_NEEDED: dict[str, tuple[str, ...]] = {
    "MARKET": (),
    "LIMIT": ("timeInForce", "quantity", "price"),
    "LIMIT_MAKER": ("quantity", "price"),
    "STOP_LOSS": ("quantity",),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price"),
    "TAKE_PROFIT": ("quantity",),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "quantity", "price"),
}
_PRICES = ("price", "timeInForce")
_TRIGGERS = ("stopPrice", "trailingDelta")
_NOT_OFFERED = ("icebergQty", "pegPriceType", "pegOffsetValue")
BASIS_POINT = ONE // 10_000


@dataclass(frozen=True, slots=True)
class NewOrder:
    """One order to place, as far as its own words can be checked."""

    request: OrderRequest
    name: str
    kind: str
    answer: str

    @property
    def is_stop(self) -> bool:
        return _is_stop(self.kind)


def new_order(params: Params, pair: Pair) -> NewOrder:
    """Read an order; raises ApiError for words, missing or superfluous fields, precision and filters."""
    side = params.word("side", _SIDES, BAD_SIDE, "Invalid side.")
    order_type = params.word("type", _TYPES, BAD_ORDER_TYPE, "Invalid orderType.")
    kind = params.text("type")
    _check_presence(params, kind)
    quantity, limit, stop = params.amount("quantity"), params.amount("price"), params.amount("stopPrice")
    _check_bounds(pair, quantity, limit, stop)
    name = params.client_id("newClientOrderId") or new_client_id()
    request = OrderRequest(
        pair.symbol,
        side,
        order_type,
        _in_force(params, kind),
        quantity or 0,
        limit,
        stop,
        params.amount("quoteOrderQty"),
        name,
        trail=_trail(params, pair),
        take_profit=kind.startswith("TAKE_PROFIT"),
        post_only=kind == "LIMIT_MAKER",
    )
    return NewOrder(request, name, kind, answer_of(params, "FULL" if kind in ("MARKET", "LIMIT") else "ACK"))


def answer_of(params: Params, usual: str) -> str:
    """How much of an order its answer tells."""
    if params.get("newOrderRespType") is None:
        return usual
    return params.word("newOrderRespType", _ANSWERS, -1130, "Invalid newOrderRespType.")


def _check_presence(params: Params, kind: str) -> None:
    for name in _NEEDED[kind]:
        params.text(name)
    for name in _PRICES:
        if params.get(name) is not None and name not in _NEEDED[kind]:
            raise _superfluous(name)
    triggers = [name for name in _TRIGGERS if params.get(name) is not None]
    if _is_stop(kind) and not triggers:
        raise missing("stopPrice")
    if triggers and not _is_stop(kind):
        raise _superfluous(triggers[0])
    for name in _NOT_OFFERED:
        if params.get(name) is not None:
            raise ApiError(NOT_REQUIRED_PARAMETER, f"Parameter '{name}' is not offered for this symbol.")
    amounts = [name for name in ("quantity", "quoteOrderQty") if params.get(name) is not None]
    if not amounts:
        raise missing("quantity")
    if len(amounts) == 2 or (amounts == ["quoteOrderQty"] and kind != "MARKET"):
        raise _superfluous("quoteOrderQty")


def _is_stop(kind: str) -> bool:
    return kind.startswith(("STOP_LOSS", "TAKE_PROFIT"))


def _superfluous(name: str) -> ApiError:
    return ApiError(NOT_REQUIRED_PARAMETER, f"Parameter '{name}' sent when not required.")


def _check_bounds(pair: Pair, quantity: int | None, limit: int | None, stop: int | None) -> None:
    for price in (limit, stop):
        if price is not None:
            pair.check_price(price)
    if quantity is not None:
        pair.check_quantity(quantity)


def _trail(params: Params, pair: Pair) -> Trail | None:
    if params.get("trailingDelta") is None:
        return None
    delta = params.whole("trailingDelta")
    pair.check_trailing_delta(delta)
    return Trail(share_nanos=delta * BASIS_POINT)


def _in_force(params: Params, kind: str) -> TimeInForce:
    """What is sent to MARKET may not rest."""
    if "timeInForce" in _NEEDED[kind]:
        return params.word("timeInForce", _TIMES_IN_FORCE, BAD_TIME_IN_FORCE, "Invalid timeInForce.")
    return TimeInForce.GTC if kind == "LIMIT_MAKER" else TimeInForce.IOC
