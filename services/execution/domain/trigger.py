"""When an order that we hold is to be sent, and as what: stops that the venue does not work, and legs of brackets."""

from dataclasses import replace

from services.execution.domain.order import Order, OrderTerms
from trading.market import Quote
from trading.order import OrderRole, OrderType, Side

_BASIS_POINTS = 10_000
_AFTER_TRIGGER = {
    OrderType.STOP: OrderType.MARKET,
    OrderType.TRAILING_STOP: OrderType.MARKET,
    OrderType.STOP_LIMIT: OrderType.LIMIT,
}


def touch_nanos(side: Side, quote: Quote) -> int:
    """The price that an order of `side` would trade at: the ask for a buyer; 0 when nobody offers."""
    return quote.ask_nanos if side is Side.BUY else quote.bid_nanos


def trailed_nanos(terms: OrderTerms, stop_nanos: int, touch: int) -> int:
    """Where a trailing stop stands after a touch: it follows at its distance and never moves back; 0 is nowhere yet."""
    distance = terms.trail_nanos or touch * (terms.trail_bps or 0) // _BASIS_POINTS
    wanted = touch + terms.side.sign * distance
    if not stop_nanos:
        return wanted
    return min(stop_nanos, wanted) if terms.side is Side.BUY else max(stop_nanos, wanted)


def is_reached(terms: OrderTerms, stop_nanos: int, touch: int) -> bool:
    """The market has come to the trigger: profits are taken at a better price, stops fire at a worse one."""
    if not touch or not stop_nanos:
        return False
    beyond = terms.side.sign * (touch - stop_nanos)
    return beyond <= 0 if terms.role is OrderRole.TAKE_PROFIT else beyond >= 0


def stop_of(terms: OrderTerms) -> int:
    """The price that an order waits for; 0 for a trailing stop, whose own moves."""
    return (terms.price_nanos if terms.role is OrderRole.TAKE_PROFIT else terms.stop_price_nanos) or 0


def sent_terms(order: Order, terms: OrderTerms | None = None) -> OrderTerms:
    """What the venue is asked for; `terms` are the order's own, or those that a change wishes for."""
    terms = terms or order.terms
    return triggered_terms(terms) if order.released else terms


def triggered_terms(terms: OrderTerms) -> OrderTerms:
    """What becomes of an order whose trigger we watched: a market or a limit order."""
    kind = _AFTER_TRIGGER.get(terms.order_type, terms.order_type)
    return replace(terms, order_type=kind, stop_price_nanos=None, trail_nanos=None, trail_bps=None)
