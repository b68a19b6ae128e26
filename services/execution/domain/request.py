"""A submit as it was asked, and what must be true of it before risk is even looked at."""

import hashlib
from dataclasses import dataclass, replace

from trading.errors import InvalidArgument
from trading.ids import AccountId, ClientOrderId, OrderId, parse_client_order_id
from trading.instruments import Instrument
from trading.money import MAX_NANOS
from trading.order import OrderType, Side, TimeInForce

MAIN = AccountId("main")
_SUPPORTED = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP})


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submit in words of the trade; amounts in nanos. An empty `client_order_id` means the order id."""

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

    def key(self, order_id: OrderId) -> ClientOrderId:
        """The idempotency key: the caller's, or else our order id."""
        return ClientOrderId(self.client_order_id or order_id)


def normalise(request: OrderRequest) -> OrderRequest:
    """The request with a STOP's trigger in its own field; raises InvalidArgument for what can never be right."""
    _check_amounts(request)
    if request.client_order_id:
        parse_client_order_id(request.client_order_id)
    if request.order_type not in _SUPPORTED:
        raise InvalidArgument("Expected MARKET, LIMIT or STOP.", field="order_type", value=request.order_type)
    if request.order_type is OrderType.STOP:
        return _with_trigger(request)
    _expect_price("price", request.price_nanos, wanted=request.order_type is OrderType.LIMIT, of=request)
    _expect_price("stop_price", request.stop_price_nanos, wanted=False, of=request)
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
    )
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def _check_amounts(request: OrderRequest) -> None:
    if not 0 < request.quantity_nanos <= MAX_NANOS:
        raise InvalidArgument("Expected a quantity above 0.", field="quantity", value=request.quantity_nanos)
    for name, price in (("price", request.price_nanos), ("stop_price", request.stop_price_nanos)):
        if price is not None and not 0 < price <= MAX_NANOS:
            raise InvalidArgument("Expected a price above 0.", field=name, value=price)


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
        raise InvalidArgument(f"A {of.order_type} order takes no {name}.", field=name, value=price)
