"""The legs of a bracket."""

from typing import Any

import pytest
from builders.orders import NOW_NS, an_order, execution, terms

from services.execution.domain.bracket import leg_terms, open_nanos
from services.execution.domain.order import OrderTerms
from trading.money import ONE
from trading.order import OrderEventKind, OrderRole, OrderType, Side, TimeInForce

BRACKET = {"take_profit_nanos": 110 * ONE, "stop_loss_nanos": 90 * ONE}


def an_entry(**changes: Any) -> OrderTerms:
    """An entry with everything that a leg must not inherit."""
    return terms(
        order_type=OrderType.STOP_LIMIT,
        price_nanos=102 * ONE,
        stop_price_nanos=101 * ONE,
        time_in_force=TimeInForce.GTD,
        expire_time_ns=NOW_NS,
        client_timestamp_ns=1,
        post_only=True,
        **{**BRACKET, **changes},
    )


def test_a_profit_is_a_limit_and_a_loss_a_stop_against_the_entry() -> None:
    """Each at its own price, good till canceled, only to reduce, in the name of the entry."""
    entry = an_entry()
    profit, loss = leg_terms(entry)
    assert (profit.role, profit.order_type, profit.price_nanos, profit.stop_price_nanos) == (
        OrderRole.TAKE_PROFIT,
        OrderType.LIMIT,
        110 * ONE,
        None,
    )
    assert (loss.role, loss.order_type, loss.price_nanos, loss.stop_price_nanos) == (
        OrderRole.STOP_LOSS,
        OrderType.STOP,
        None,
        90 * ONE,
    )
    for leg in (profit, loss):
        assert (leg.side, leg.quantity_nanos, leg.parent_order_id) == (Side.SELL, 10 * ONE, entry.order_id)
        assert (leg.time_in_force, leg.reduce_only, leg.post_only) == (TimeInForce.GTC, True, False)
        assert (leg.expire_time_ns, leg.client_timestamp_ns, leg.fingerprint, leg.is_bracket) == (None, None, "", False)


def test_a_short_entry_is_bought_back() -> None:
    """The legs are on the other side."""
    entry = an_entry(side=Side.SELL, take_profit_nanos=90 * ONE, stop_loss_nanos=110 * ONE)
    assert {leg.side for leg in leg_terms(entry)} == {Side.BUY}


@pytest.mark.parametrize(
    ("absent", "roles"),
    [
        ({"stop_loss_nanos": None}, [OrderRole.TAKE_PROFIT]),
        ({"take_profit_nanos": None}, [OrderRole.STOP_LOSS]),
        ({"take_profit_nanos": None, "stop_loss_nanos": None}, []),
    ],
)
def test_an_entry_has_the_legs_that_were_asked_for(absent: dict[str, Any], roles: list[OrderRole]) -> None:
    """One may be enough."""
    assert [leg.role for leg in leg_terms(an_entry(**absent))] == roles


def test_the_same_entry_has_the_same_legs() -> None:
    """So that a restart holds them once; another entry has others."""
    entry = an_entry()
    assert leg_terms(entry) == leg_terms(entry)
    ids = {leg.order_id for each in (entry, an_entry()) for leg in leg_terms(each)}
    assert len(ids) == 4


def test_what_is_open_is_what_the_entry_opened_and_no_leg_closed() -> None:
    """Two of ten traded, one of the two closed."""
    entry = an_order(OrderEventKind.SUBMITTED, OrderEventKind.FILL, OrderEventKind.FILL)
    leg = an_order(OrderEventKind.SUBMITTED, OrderEventKind.FILL, side=Side.SELL)
    assert entry.filled_nanos == 2 * execution().quantity_nanos
    assert open_nanos(entry, []) == 2 * ONE
    assert open_nanos(entry, [leg]) == ONE
