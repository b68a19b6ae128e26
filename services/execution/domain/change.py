"""A change of a working order: what it may change, and the terms that come of it."""

from dataclasses import dataclass, replace

from services.execution.domain.order import Order, OrderTerms
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS, format_nanos
from trading.order import OrderType

_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be different, in nanos; None stays as it is. The quantity includes what has traded."""

    quantity_nanos: int | None = None
    price_nanos: int | None = None
    stop_price_nanos: int | None = None


def changed(order: Order, change: Change) -> OrderTerms:
    """The terms that a change asks for; raises InvalidArgument for one that can never be right."""
    terms = order.terms
    _check("quantity", change.quantity_nanos, allowed=True, of=terms)
    _check("price", change.price_nanos, allowed=terms.order_type in _PRICED, of=terms)
    _check("stop_price", change.stop_price_nanos, allowed=terms.order_type in _TRIGGERED, of=terms)
    wished = replace(
        terms,
        quantity_nanos=change.quantity_nanos or terms.quantity_nanos,
        price_nanos=change.price_nanos or terms.price_nanos,
        stop_price_nanos=change.stop_price_nanos or terms.stop_price_nanos,
    )
    if wished == terms:
        raise InvalidArgument("Expected a quantity or a price that is different.", field="quantity")
    if wished.quantity_nanos <= order.filled_nanos:
        raise InvalidArgument(
            "Expected a quantity above what has traded; cancel the order instead.",
            field="quantity",
            value=format_nanos(wished.quantity_nanos),
            filled=format_nanos(order.filled_nanos),
        )
    return wished


def _check(name: str, value: int | None, *, allowed: bool, of: OrderTerms) -> None:
    if value is None:
        return
    if not allowed:
        raise InvalidArgument(f"A {of.order_type} order has no {name}.", field=name, value=format_nanos(value))
    if not 0 < value <= MAX_NANOS:
        raise InvalidArgument(f"Expected a {name} above 0.", field=name, value=format_nanos(value))
