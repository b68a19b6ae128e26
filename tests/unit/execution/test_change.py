"""What a change of a working order may change."""

from typing import Any

import pytest
from builders.orders import LIMIT, an_order

from services.execution.domain.change import Change, changed
from services.execution.domain.order import Order
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS, ONE
from trading.order import OrderEventKind, OrderType

STOP = {"order_type": OrderType.STOP, "stop_price_nanos": 105 * ONE}
STOP_LIMIT = {**LIMIT, "order_type": OrderType.STOP_LIMIT, "stop_price_nanos": 105 * ONE}
TRAILING = {"order_type": OrderType.TRAILING_STOP, "trail_nanos": ONE}


def working(**changes: Any) -> Order:
    """An order of ten at the venue, one of which has traded."""
    return an_order(OrderEventKind.SUBMITTED, OrderEventKind.ACCEPTED, OrderEventKind.FILL, **changes)


@pytest.mark.parametrize(
    ("order", "change", "field", "value"),
    [
        ({}, Change(quantity_nanos=12 * ONE), "quantity_nanos", 12 * ONE),
        (LIMIT, Change(price_nanos=99 * ONE), "price_nanos", 99 * ONE),
        (STOP, Change(stop_price_nanos=106 * ONE), "stop_price_nanos", 106 * ONE),
        (STOP_LIMIT, Change(price_nanos=101 * ONE), "price_nanos", 101 * ONE),
        (STOP_LIMIT, Change(stop_price_nanos=106 * ONE), "stop_price_nanos", 106 * ONE),
        (TRAILING, Change(quantity_nanos=2 * ONE), "quantity_nanos", 2 * ONE),
    ],
)
def test_a_change_changes_what_it_names(order: dict[str, Any], change: Change, field: str, value: int) -> None:
    """And nothing else."""
    before = working(**order)
    wished = changed(before, change)
    different = {name for name in type(wished).__slots__ if getattr(wished, name) != getattr(before.terms, name)}
    assert different == {field}
    assert getattr(wished, field) == value


@pytest.mark.parametrize(
    ("order", "change", "field"),
    [
        ({}, Change(price_nanos=ONE), "price"),
        ({}, Change(stop_price_nanos=ONE), "stop_price"),
        (LIMIT, Change(stop_price_nanos=ONE), "stop_price"),
        (STOP, Change(price_nanos=ONE), "price"),
        (TRAILING, Change(stop_price_nanos=ONE), "stop_price"),
        ({}, Change(quantity_nanos=0), "quantity"),
        ({}, Change(quantity_nanos=-ONE), "quantity"),
        ({}, Change(quantity_nanos=MAX_NANOS + 1), "quantity"),
        (LIMIT, Change(price_nanos=0), "price"),
        (STOP, Change(stop_price_nanos=-1), "stop_price"),
        (LIMIT, Change(), "quantity"),
        (LIMIT, Change(quantity_nanos=10 * ONE, price_nanos=100 * ONE), "quantity"),
    ],
)
def test_a_change_that_can_never_be_right_is_named(order: dict[str, Any], change: Change, field: str) -> None:
    """A price that the order does not have, nothing or too much of something, and no change at all."""
    with pytest.raises(InvalidArgument) as refusal:
        changed(working(**order), change)
    assert refusal.value.metadata["field"] == field


def test_a_change_leaves_something_to_trade() -> None:
    """One of ten has traded: two leave one, one leaves none."""
    order = working()
    assert changed(order, Change(quantity_nanos=2 * ONE)).quantity_nanos == 2 * ONE
    with pytest.raises(InvalidArgument) as refusal:
        changed(order, Change(quantity_nanos=ONE))
    assert refusal.value.metadata == {"field": "quantity", "value": "1", "filled": "1"}
