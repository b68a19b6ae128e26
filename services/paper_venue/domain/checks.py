"""What the exchange asks of an order before it takes it in; every refusal has a reason and its numbers."""

from services.paper_venue.domain.account import Account
from services.paper_venue.domain.orders import Order, OrderRequest
from trading.errors import FailedPrecondition, InvalidArgument
from trading.instruments import AssetClass, Instrument
from trading.money import ONE, format_nanos, notional_nanos
from trading.order import OrderType, Side

_PENNY_RULE_STARTS = ONE
_FINE_TICK_NANOS = 100_000


def check_fields(request: OrderRequest, instrument: Instrument) -> None:
    """Refuse an order whose fields contradict its type or the instrument's grid; raises InvalidArgument."""
    _check_amounts(request)
    needs_limit = request.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    needs_stop = request.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    _check_trail(request)
    if request.order_type is OrderType.MARKET and (request.limit_nanos is not None or request.stop_nanos is not None):
        raise InvalidArgument("market orders require no stop or limit price", field="limit_price")
    _check_price("limit", request.limit_nanos, needs_limit, request.order_type, instrument)
    if request.trail is None or request.stop_nanos is not None:
        _check_price("stop", request.stop_nanos, needs_stop, request.order_type, instrument)
    if request.extended_hours and request.order_type is not OrderType.LIMIT:
        raise InvalidArgument("extended hours order must be DAY limit orders", field="extended_hours")


def check_tradable(instrument: Instrument, is_halted: bool) -> None:
    """Refuse orders in what does not trade, or not now; raises FailedPrecondition."""
    symbol = instrument.symbol
    if not instrument.tradable:
        raise FailedPrecondition(f'asset "{symbol}" is not tradable', reason="NOT_TRADABLE", symbol=symbol)
    if is_halted:
        raise FailedPrecondition(f'trading of "{symbol}" is halted', reason="HALTED", symbol=symbol)


def check_position(request: OrderRequest, quantity: int, instrument: Instrument, account: Account) -> None:
    """Refuse to sell short what cannot be, and, where flips are off, to sell more than there is."""
    held = account.position(request.symbol).quantity_nanos
    if held * request.side.sign > 0 or account.opening_nanos(request.symbol, request.side, quantity) == 0:
        return
    may_flip = account.rules.position_flips or held == 0
    if (request.side is Side.SELL and not instrument.shortable) or not may_flip:
        check_available(request.symbol, quantity, account)


def check_available(symbol: str, quantity: int, account: Account) -> None:
    """Refuse to close more of a position than no other order is closing already; raises FailedPrecondition."""
    available = account.available_nanos(symbol)
    if quantity > available:
        existing = abs(account.position(symbol).quantity_nanos)
        asked, has = format_nanos(quantity), format_nanos(available)
        raise FailedPrecondition(
            f"insufficient qty available for order (requested: {asked}, available: {has})",
            reason="INSUFFICIENT_QUANTITY",
            symbol=symbol,
            available=has,
            existing_qty=format_nanos(existing),
            held_for_orders=format_nanos(existing - available),
        )


def check_buying_power(
    request: OrderRequest, quantity: int, price: int, instrument: Instrument, account: Account
) -> None:
    """Refuse what the account cannot pay for at `price` per unit."""
    cost = notional_nanos(price, account.opening_nanos(request.symbol, request.side, quantity))
    power = account.buying_power_nanos(instrument)
    if cost > power:
        raise FailedPrecondition(
            "insufficient buying power",
            reason="INSUFFICIENT_BUYING_POWER",
            buying_power=format_nanos(power),
            cost_basis=format_nanos(cost),
        )


def check_wash_trade(request: OrderRequest, worst_price: int, resting: Order | None) -> None:
    """Refuse an order that could trade with `resting`, the account's own best LIMIT order on the other side."""
    worst = request.limit_nanos if request.limit_nanos is not None else worst_price
    if resting is None or resting.limit_nanos is None or request.stop_nanos is not None or worst <= 0:
        return
    if request.side.sign * (worst - resting.limit_nanos) >= 0:
        raise FailedPrecondition(
            "potential wash trade detected. use complex orders",
            reason="WASH_TRADE",
            reject_reason="opposite side limit order exists",
            existing_order_id=resting.order_id,
        )


def _check_amounts(request: OrderRequest) -> None:
    if request.notional_nanos is not None:
        if request.quantity_nanos:
            raise InvalidArgument("only one of qty or notional is accepted", field="notional")
        if request.notional_nanos <= 0:
            raise InvalidArgument("notional must be > 0", field="notional")
        if request.order_type is not OrderType.MARKET:
            raise InvalidArgument("notional orders must be market orders", field="notional")
    elif request.quantity_nanos <= 0:
        raise InvalidArgument("qty must be > 0", field="qty")


def _check_trail(request: OrderRequest) -> None:
    if request.trail is None:
        if request.order_type is OrderType.TRAILING_STOP:
            raise InvalidArgument("trailing stop orders require trail_price or trail_percent", field="trail_price")
        return
    if request.order_type not in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP):
        raise InvalidArgument("only stop orders may trail", field="trail_price")
    amount, share = request.trail.amount_nanos, request.trail.share_nanos
    if amount < 0 or not 0 <= share < ONE or (amount > 0) == (share > 0):
        raise InvalidArgument("trail must be > 0, and less than the price", field="trail_price")


def _check_price(name: str, price: int | None, needed: bool, order_type: OrderType, instrument: Instrument) -> None:
    kind = order_type.value.lower()
    if needed and price is None:
        raise InvalidArgument(f"{kind} orders require {name} price", field=f"{name}_price")
    if price is None:
        return
    if not needed:
        raise InvalidArgument(f"{kind} orders require no {name} price", field=f"{name}_price")
    if price <= 0:
        raise InvalidArgument(f"{name} price must be > 0", field=f"{name}_price")
    tick = price_increment(instrument, price)
    if price % tick:
        raise InvalidArgument(
            f"invalid {name}_price {format_nanos(price)}. "
            "sub-penny increment does not fulfill minimum pricing criteria",
            field=f"{name}_price",
            tick=format_nanos(tick),
        )


def price_increment(instrument: Instrument, price: int) -> int:
    """The tick at a price in nanos: US shares below a dollar trade in hundredths of a cent."""
    if instrument.asset_class is AssetClass.EQUITY and price < _PENNY_RULE_STARTS:
        return min(instrument.tick_nanos, _FINE_TICK_NANOS)
    return instrument.tick_nanos
