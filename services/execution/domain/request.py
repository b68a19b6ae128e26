"""A submit as it was asked, and what must be true of it before risk is even looked at."""

import hashlib
from dataclasses import dataclass, replace

from trading.errors import InvalidArgument
from trading.ids import AccountId, ClientOrderId, OrderId, parse_client_order_id
from trading.instruments import Instrument
from trading.money import MAX_NANOS, format_nanos
from trading.order import OrderRole, OrderType, Side, TimeInForce

MAIN = AccountId("main")
MOST_TRAIL_BPS = 5_000
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_RESTING_TIMES = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submit in words of the trade; amounts in nanos, times in ns UTC. An empty `client_order_id` means the order id.

    A trailing stop says its distance as a price (`trail_nanos`) or in hundredths of a percent (`trail_bps`).
    `take_profit_nanos` and `stop_loss_nanos` make a bracket of it; what closes one has `parent_order_id` and `role`.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity_nanos: int
    price_nanos: int | None = None
    stop_price_nanos: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    account: AccountId = MAIN
    client_order_id: str = ""
    client_timestamp_ns: int | None = None
    expire_time_ns: int | None = None
    trail_nanos: int | None = None
    trail_bps: int | None = None
    reduce_only: bool = False
    post_only: bool = False
    take_profit_nanos: int | None = None
    stop_loss_nanos: int | None = None
    parent_order_id: OrderId | None = None
    role: OrderRole | None = None

    def key(self, order_id: OrderId) -> ClientOrderId:
        """The idempotency key: the caller's, or else our order id."""
        return ClientOrderId(self.client_order_id or order_id)


def normalise(request: OrderRequest) -> OrderRequest:
    """The request with a STOP's trigger in its own field; raises InvalidArgument for what can never be right."""
    _check_amounts(request)
    if request.client_order_id:
        parse_client_order_id(request.client_order_id)
    if request.order_type is OrderType.STOP:
        request = _with_trigger(request)
    _expect_price("price", request.price_nanos, wanted=request.order_type in _PRICED, of=request)
    _expect_price("stop_price", request.stop_price_nanos, wanted=request.order_type in _TRIGGERED, of=request)
    _check_trail(request)
    _check_life(request)
    _check_bracket(request)
    return request


def fingerprint(request: OrderRequest, instrument: Instrument) -> str:
    """SHA-256 of what makes two submits the same: everything asked for, with the canonical symbol."""
    parts = (
        request.account,
        instrument.symbol,
        request.side,
        request.order_type,
        request.time_in_force,
        request.quantity_nanos,
        request.price_nanos,
        request.stop_price_nanos,
        request.client_timestamp_ns,
        request.expire_time_ns,
        request.trail_nanos,
        request.trail_bps,
        request.reduce_only,
        request.post_only,
        request.take_profit_nanos,
        request.stop_loss_nanos,
    )
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def _check_amounts(request: OrderRequest) -> None:
    if not 0 < request.quantity_nanos <= MAX_NANOS:
        raise InvalidArgument(
            "Expected a quantity above 0.", field="quantity", value=format_nanos(request.quantity_nanos)
        )
    prices = {
        "price": request.price_nanos,
        "stop_price": request.stop_price_nanos,
        "trail_price": request.trail_nanos,
        "take_profit": request.take_profit_nanos,
        "stop_loss": request.stop_loss_nanos,
    }
    for name, price in prices.items():
        if price is not None and not 0 < price <= MAX_NANOS:
            raise InvalidArgument("Expected a price above 0.", field=name, value=format_nanos(price))


def _with_trigger(request: OrderRequest) -> OrderRequest:
    triggers = {price for price in (request.price_nanos, request.stop_price_nanos) if price is not None}
    if not triggers:
        raise InvalidArgument("A STOP order needs its stop price.", field="stop_price")
    if len(triggers) > 1:
        raise InvalidArgument("A STOP order takes its trigger as price or stop_price, not two.", field="stop_price")
    return replace(request, price_nanos=None, stop_price_nanos=triggers.pop())


def _expect_price(name: str, price: int | None, *, wanted: bool, of: OrderRequest) -> None:
    if wanted and price is None:
        raise InvalidArgument(f"A {of.order_type} order needs a {name}.", field=name)
    if not wanted and price is not None:
        raise InvalidArgument(f"A {of.order_type} order takes no {name}.", field=name, value=format_nanos(price))


def _check_trail(request: OrderRequest) -> None:
    distances = [each for each in (request.trail_nanos, request.trail_bps) if each is not None]
    if request.order_type is not OrderType.TRAILING_STOP:
        if distances:
            raise InvalidArgument(f"A {request.order_type} order takes no distance to trail at.", field="trail_price")
        return
    if len(distances) != 1:
        raise InvalidArgument("A TRAILING_STOP needs trail_price or trail_percent, one of them.", field="trail_price")
    if request.trail_bps is not None and not 0 < request.trail_bps <= MOST_TRAIL_BPS:
        raise InvalidArgument(
            f"Expected 0.01 to {MOST_TRAIL_BPS // 100} percent.", field="trail_percent", value=request.trail_bps / 100
        )


def _check_life(request: OrderRequest) -> None:
    """How long it works must go with what it is."""
    if (request.time_in_force is TimeInForce.GTD) != (request.expire_time_ns is not None):
        raise InvalidArgument("A GTD order, and no other, needs the time of its end.", field="expire_time_ns")
    rests = request.time_in_force in _RESTING_TIMES
    if request.order_type not in (OrderType.MARKET, OrderType.LIMIT) and not rests:
        raise InvalidArgument(
            f"A {request.order_type} waits: it cannot be {request.time_in_force}.", field="time_in_force"
        )
    if request.post_only and (request.order_type is not OrderType.LIMIT or not rests):
        raise InvalidArgument("Only a LIMIT order that may rest can be post-only.", field="post_only")


def _check_bracket(request: OrderRequest) -> None:
    take, stop, sign = request.take_profit_nanos, request.stop_loss_nanos, request.side.sign
    if take is None and stop is None:
        return
    if request.reduce_only:
        raise InvalidArgument("A bracket opens a position: it cannot be reduce-only.", field="reduce_only")
    if take is not None and stop is not None and sign * (take - stop) <= 0:
        raise InvalidArgument(
            "The profit must lie beyond the loss, as the order's side sees it.",
            field="take_profit",
            value=format_nanos(take),
        )
    entry = request.price_nanos
    if entry is not None and take is not None and sign * (take - entry) <= 0:
        raise InvalidArgument(
            "The profit must lie beyond the entry price.", field="take_profit", value=format_nanos(take)
        )
    if entry is not None and stop is not None and sign * (entry - stop) <= 0:
        raise InvalidArgument("The loss must lie before the entry price.", field="stop_loss", value=format_nanos(stop))
