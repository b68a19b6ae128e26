"""The words about orders agree with one another."""

import pytest

from trading.order import CLOSED, OrderEventKind, OrderStatus, Side


@pytest.mark.parametrize("side", Side)
def test_sides_have_opposite_signs(side: Side) -> None:
    assert side.opposite.opposite is side
    assert side.sign == -side.opposite.sign


def test_buying_adds_to_a_position() -> None:
    assert Side.BUY.sign == 1


def test_an_order_has_fifteen_states_and_sixteen_events() -> None:
    assert (len(OrderStatus), len(OrderEventKind)) == (15, 16)


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_closed_when_nothing_more_is_expected(status: OrderStatus) -> None:
    assert status.is_closed == (status in CLOSED)


def test_an_order_of_unknown_fate_is_open() -> None:
    assert not OrderStatus.UNRESOLVED.is_closed
    assert not OrderStatus.PENDING_CANCEL.is_closed
    assert OrderStatus.FILLED.is_closed
