"""Pre-trade checks of an order beside others and of its promises: repeated, against itself, reducing only, resting."""

from typing import Any

import pytest
from builders.orders import a_situation, an_intent, terms
from builders.risk import code, holding, limit_order, on_trial, working

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Denial, OrderTerms
from services.execution.domain.risk import judge
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderType, Side

BTC = crypto("BTC")


@pytest.mark.parametrize(
    ("session", "side", "denied"),
    [
        ("HALTED", Side.BUY, "INSTRUMENT_HALTED"),
        ("HALTED", Side.SELL, "INSTRUMENT_HALTED"),
        ("LIMIT_UP", Side.BUY, "LIMIT_UP"),
        ("LIMIT_UP", Side.SELL, None),
        ("LIMIT_DOWN", Side.SELL, "LIMIT_DOWN"),
        ("LIMIT_DOWN", Side.BUY, None),
        ("OPEN", Side.BUY, None),
        ("CLOSED", Side.BUY, None),
        ("", Side.SELL, None),
    ],
)
def test_a_market_that_does_not_trade_takes_no_order(session: str, side: Side, denied: str | None) -> None:
    """A halt stops both sides, a price band the side that nobody trades against; a closed market lets orders wait."""
    assert code(judge(on_trial(terms(side=side), session=session), a_situation())) == denied


def test_changes_are_limited_by_the_second() -> None:
    """The fifth passes where five are allowed, the sixth does not; submits are counted by themselves."""
    change = on_trial(terms(), is_change=True, counted_nanos=10 * ONE)
    assert judge(change, a_situation(max_modifies_per_second=5, modifies_last_second=4)) is None
    denial = judge(change, a_situation(max_modifies_per_second=5, modifies_last_second=5))
    assert denial == Denial("MODIFY_RATE", "Too many changes in a second.", {"limit": "5"})
    assert judge(on_trial(terms()), a_situation(max_modifies_per_second=5, modifies_last_second=5)) is None
    assert judge(change, a_situation(max_submits_per_second=1, submits_last_second=1)) is None


def test_the_same_order_a_moment_ago_is_a_mistake() -> None:
    """Within the window, not at its end."""
    assert judge(an_intent(), a_situation(duplicate_window_ns=10, same_intent_age_ns=10)) is None
    assert judge(an_intent(), a_situation(duplicate_window_ns=10)) is None
    assert judge(an_intent(), a_situation(same_intent_age_ns=0)) is None
    denial = judge(an_intent(), a_situation(duplicate_window_ns=10, same_intent_age_ns=9))
    assert code(denial) == "DUPLICATE_INTENT"
    assert denial
    assert denial.limits == {"age_ns": "9", "window_ns": "10"}


@pytest.mark.parametrize("kind", [{"is_change": True, "counted_nanos": 10 * ONE}, {"is_release": True}])
def test_what_was_taken_in_before_is_no_new_order(kind: dict[str, Any]) -> None:
    """A change and a release meet neither the rate of submits, nor the cap on orders, nor the search for duplicates."""
    situation = a_situation(
        working(Holdings(), Side.BUY, 10),
        max_open_orders=1,
        max_submits_per_second=1,
        submits_last_second=1,
        duplicate_window_ns=10,
        same_intent_age_ns=0,
    )
    assert judge(on_trial(terms(), **kind), situation) is None
    assert code(judge(on_trial(terms()), situation)) == "SUBMIT_RATE"


@pytest.mark.parametrize(
    ("asked", "denied"),
    [
        (limit_order(Side.BUY, 100), "SELF_TRADE"),
        (limit_order(Side.BUY, 99), None),
        (terms(), "SELF_TRADE"),
        (terms(order_type=OrderType.STOP, stop_price_nanos=100 * ONE), None),
        (limit_order(Side.SELL, 100), None),
    ],
)
def test_an_account_does_not_trade_with_itself(asked: OrderTerms, denied: str | None) -> None:
    """It sells at 100: a buy that takes 100 would meet it, one at 99, a sell, or a stop that only waits would not."""
    own = limit_order(Side.SELL, 100)
    situation = a_situation(resting=[own], refuse_self_trades=True)
    denial = judge(on_trial(asked), situation)
    assert code(denial) == denied
    if denial:
        assert denial.limits == {"price": "100", "resting_order_id": own.order_id}
    assert judge(on_trial(asked), a_situation(resting=[own], refuse_self_trades=False)) is None


def test_a_buyer_meets_its_seller_too() -> None:
    """A sell at 100 takes a buy that rests there; one at 101, or a change of that very order, does not."""
    own = limit_order(Side.BUY, 100)
    situation = a_situation(resting=[own, terms()], refuse_self_trades=True)
    assert code(judge(on_trial(limit_order(Side.SELL, 100)), situation)) == "SELF_TRADE"
    assert judge(on_trial(limit_order(Side.SELL, 101)), situation) is None
    assert judge(on_trial(own, is_change=True, counted_nanos=10 * ONE), situation) is None


@pytest.mark.parametrize(
    ("held", "side", "denied"),
    [
        (10, Side.SELL, None),
        (9, Side.SELL, "REDUCE_ONLY"),
        (0, Side.SELL, "REDUCE_ONLY"),
        (10, Side.BUY, "REDUCE_ONLY"),
        (-10, Side.BUY, None),
        (-9, Side.BUY, "REDUCE_ONLY"),
    ],
)
def test_a_reduce_only_order_does_nothing_else(held: int, side: Side, denied: str | None) -> None:
    """Ten close ten, and not nine."""
    situation = a_situation(holding(held) if held else Holdings())
    denial = judge(an_intent(side=side, reduce_only=True), situation)
    assert code(denial) == denied
    if denial:
        assert denial.limits == {"quantity": "10", "position": str(held)}


@pytest.mark.parametrize(
    ("side", "price", "denied"),
    [
        (Side.BUY, 100, None),
        (Side.BUY, 101, "POST_ONLY"),
        (Side.BUY, 102, "POST_ONLY"),
        (Side.SELL, 100, None),
        (Side.SELL, 99, "POST_ONLY"),
    ],
)
def test_a_post_only_order_rests(side: Side, price: int, denied: str | None) -> None:
    """Inside 99/101 it does; at the other side it would trade."""
    denial = judge(on_trial(limit_order(side, price, post_only=True)), a_situation())
    assert code(denial) == denied
    if denial:
        assert denial.limits == {"price": str(price), "quote": "101" if side is Side.BUY else "99"}
    assert judge(on_trial(limit_order(side, price)), a_situation()) is None
