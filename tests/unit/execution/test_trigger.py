"""When a held order is to be sent, and as what."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import a_quote, an_order, terms
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.trigger import is_reached, sent_terms, stop_of, touch_nanos, trailed_nanos
from trading.money import ONE
from trading.order import OrderEventKind, OrderRole, OrderType, Side

TRAILING = {"order_type": OrderType.TRAILING_STOP}


def test_a_buyer_touches_the_ask_and_a_seller_the_bid() -> None:
    """The price that the order would trade at."""
    assert touch_nanos(Side.BUY, a_quote(99, 101)) == 101 * ONE
    assert touch_nanos(Side.SELL, a_quote(99, 101)) == 99 * ONE


@pytest.mark.parametrize(
    ("side", "role", "touch", "reached"),
    [
        (Side.BUY, None, 104, False),
        (Side.BUY, None, 105, True),
        (Side.BUY, None, 106, True),
        (Side.SELL, None, 106, False),
        (Side.SELL, None, 105, True),
        (Side.SELL, None, 104, True),
        (Side.SELL, OrderRole.STOP_LOSS, 106, False),
        (Side.SELL, OrderRole.STOP_LOSS, 105, True),
        (Side.SELL, OrderRole.TAKE_PROFIT, 104, False),
        (Side.SELL, OrderRole.TAKE_PROFIT, 105, True),
        (Side.BUY, OrderRole.TAKE_PROFIT, 106, False),
        (Side.BUY, OrderRole.TAKE_PROFIT, 105, True),
    ],
)
def test_stops_fire_at_a_worse_price_and_profits_are_taken_at_a_better_one(
    side: Side, role: OrderRole | None, touch: int, reached: bool
) -> None:
    """A trigger at 105, from both sides; the trigger itself counts."""
    assert is_reached(terms(side=side, role=role), 105 * ONE, touch * ONE) is reached


@pytest.mark.parametrize(("stop", "touch"), [(0, 105), (105, 0)])
def test_nothing_is_reached_without_a_market_or_a_trigger(stop: int, touch: int) -> None:
    """An empty side of the book is no price of zero."""
    for side in Side:
        assert not is_reached(terms(side=side), stop * ONE, touch * ONE)


def test_an_order_waits_for_its_own_price() -> None:
    """A profit leg for its limit, a stop for its trigger, a trailing stop for one that moves."""
    assert stop_of(terms(order_type=OrderType.STOP, stop_price_nanos=5)) == 5
    assert stop_of(terms(order_type=OrderType.STOP_LIMIT, price_nanos=4, stop_price_nanos=5)) == 5
    assert stop_of(terms(order_type=OrderType.LIMIT, price_nanos=4, role=OrderRole.TAKE_PROFIT)) == 4
    assert stop_of(terms(**TRAILING, trail_nanos=3)) == 0


@pytest.mark.parametrize(
    ("order", "stops"),
    [
        ({"side": Side.SELL, "trail_nanos": 5 * ONE}, [95, 105, 105, 107]),
        ({"side": Side.BUY, "trail_nanos": 5 * ONE}, [105, 105, 95, 95]),
        ({"side": Side.SELL, "trail_bps": 1_000}, [90, 99, 99, 100.8]),
        ({"side": Side.BUY, "trail_bps": 1_000}, [110, 110, 99, 99]),
    ],
)
def test_a_trailing_stop_follows_at_its_distance(order: dict[str, Any], stops: list[float]) -> None:
    """The market goes to 100, 110, 90 and 112: by five, or by ten percent."""
    stop, seen = 0, []
    for touch in (100, 110, 90, 112):
        stop = trailed_nanos(terms(**TRAILING, **order), stop, touch * ONE)
        seen.append(stop / ONE)
    assert seen == stops


@given(st.sampled_from(Side), st.lists(st.integers(1, 10**15), min_size=1), st.integers(1, 5_000))
def test_a_trailing_stop_never_moves_back(side: Side, touches: list[int], bps: int) -> None:
    """Whatever the market does, it only comes nearer."""
    asked, stop = terms(**TRAILING, side=side, trail_bps=bps), 0
    for touch in touches:
        moved = trailed_nanos(asked, stop, touch)
        assert not stop or side.sign * (moved - stop) <= 0
        stop = moved


@pytest.mark.parametrize(
    ("order", "kind", "price"),
    [
        ({"order_type": OrderType.STOP, "stop_price_nanos": 5}, OrderType.MARKET, None),
        ({"order_type": OrderType.STOP_LIMIT, "stop_price_nanos": 5, "price_nanos": 6}, OrderType.LIMIT, 6),
        ({"order_type": OrderType.TRAILING_STOP, "trail_nanos": 5}, OrderType.MARKET, None),
        ({"order_type": OrderType.TRAILING_STOP, "trail_bps": 5}, OrderType.MARKET, None),
        ({"order_type": OrderType.LIMIT, "price_nanos": 6}, OrderType.LIMIT, 6),
    ],
)
def test_a_released_order_is_sent_as_what_it_has_become(
    order: dict[str, Any], kind: OrderType, price: int | None
) -> None:
    """Without its trigger; its own terms stay what was asked for."""
    released = an_order(OrderEventKind.EMULATED, OrderEventKind.RELEASED, **order)
    sent = sent_terms(released)
    assert (sent.order_type, sent.price_nanos) == (kind, price)
    assert (sent.stop_price_nanos, sent.trail_nanos, sent.trail_bps) == (None, None, None)
    assert (sent.order_id, sent.quantity_nanos) == (released.order_id, released.terms.quantity_nanos)


def test_an_order_that_was_never_held_is_sent_as_it_is() -> None:
    """The venue works the stop."""
    order = an_order(OrderEventKind.SUBMITTED, order_type=OrderType.STOP, stop_price_nanos=5)
    assert sent_terms(order) == order.terms
    assert sent_terms(replace(order, released=True)) != order.terms
