"""Pre-trade checks of one order: each code provoked by a breach, with its numbers, and silent one step before it."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import AAPL, LIMIT, a_quote, a_situation, an_intent, terms
from builders.risk import code, holding, working

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Denial
from services.execution.domain.risk import Intent, judge, tick_at
from trading.instruments import CENT, crypto
from trading.money import ONE
from trading.order import OrderType, Side, TradingState

BTC = crypto("BTC")


def test_an_ordinary_order_passes() -> None:
    """Nothing is wrong with it."""
    assert judge(an_intent(), a_situation()) is None


@pytest.mark.parametrize("side", list(Side))
def test_a_halted_account_takes_no_order(side: Side) -> None:
    """Not even one that reduces."""
    situation = a_situation(holding(10), trading_state=TradingState.HALTED)
    assert code(judge(an_intent(side=side), situation)) == "TRADING_HALTED"


@pytest.mark.parametrize(
    ("held", "side", "quantity", "denied"),
    [
        (10, Side.SELL, 10, None),
        (10, Side.SELL, 11, "REDUCING_ONLY"),
        (10, Side.BUY, 1, "REDUCING_ONLY"),
        (-10, Side.BUY, 10, None),
        (-10, Side.BUY, 11, "REDUCING_ONLY"),
        (-10, Side.SELL, 1, "REDUCING_ONLY"),
    ],
)
def test_a_reducing_account_only_shrinks_positions(held: int, side: Side, quantity: int, denied: str | None) -> None:
    """And never through zero."""
    situation = a_situation(holding(held), trading_state=TradingState.REDUCING)
    assert code(judge(an_intent(side=side, quantity_nanos=quantity * ONE), situation)) == denied


def test_reducing_counts_what_is_working_already() -> None:
    """Two sells of six would shrink ten to minus two."""
    situation = a_situation(working(holding(10), Side.SELL, 6), trading_state=TradingState.REDUCING)
    assert code(judge(an_intent(side=Side.SELL, quantity_nanos=6 * ONE), situation)) == "REDUCING_ONLY"


@pytest.mark.parametrize(
    ("instrument", "order", "denied"),
    [
        ({"tradable": False}, {}, "NOT_TRADABLE"),
        ({"lot_nanos": 3 * ONE}, {}, "LOT_SIZE"),
        ({"lot_nanos": 5 * ONE}, {}, None),
        ({"min_quantity_nanos": 11 * ONE}, {}, "MIN_QUANTITY"),
        ({"min_quantity_nanos": 10 * ONE}, {}, None),
        ({"max_quantity_nanos": 9 * ONE}, {}, "MAX_QUANTITY"),
        ({"max_quantity_nanos": 10 * ONE}, {}, None),
        ({}, {"order_type": OrderType.LIMIT, "price_nanos": 100 * ONE + 1}, "TICK_SIZE"),
        ({}, {"order_type": OrderType.LIMIT, "price_nanos": 100 * ONE + CENT}, None),
        ({}, {"order_type": OrderType.STOP, "stop_price_nanos": 100 * ONE + 1}, "TICK_SIZE"),
    ],
)
def test_an_order_lies_on_the_instruments_grid(
    instrument: dict[str, Any], order: dict[str, Any], denied: str | None
) -> None:
    """Tradable, lot, tick, smallest and largest quantity."""
    assert code(judge(an_intent(instrument=replace(AAPL, **instrument), **order), a_situation())) == denied


def test_a_share_below_a_dollar_trades_in_hundredths_of_a_cent() -> None:
    """A coin keeps its tick."""
    assert tick_at(AAPL, ONE - 1) == 100_000
    assert tick_at(AAPL, ONE) == CENT
    assert tick_at(BTC, ONE // 2) == CENT


@pytest.mark.parametrize(
    ("limit", "value", "denied"),
    [
        ("max_submits_per_second", {"submits_last_second": 5}, "SUBMIT_RATE"),
        ("max_submits_per_second", {"submits_last_second": 4}, None),
    ],
)
def test_submits_are_limited_by_the_second(limit: str, value: dict[str, Any], denied: str | None) -> None:
    """The fifth in a second passes where five are allowed, the sixth does not."""
    assert code(judge(an_intent(), a_situation(**{limit: 5}, **value))) == denied


def test_open_orders_are_capped() -> None:
    """Two may work, the third may not."""
    holdings = working(working(Holdings(), Side.BUY, 1), Side.BUY, 1)
    assert code(judge(an_intent(), a_situation(holdings, max_open_orders=3))) is None
    denial = judge(an_intent(), a_situation(holdings, max_open_orders=2))
    assert denial == Denial("OPEN_ORDERS", "Too many orders are open.", {"limit": "2", "open": "2"})


def test_an_order_needs_a_quote() -> None:
    """Without one nobody knows what it is worth."""
    intent = Intent(terms(), AAPL, None)
    assert code(judge(intent, a_situation())) == "NO_QUOTE"


def test_an_old_quote_is_no_quote() -> None:
    """Its age and the limit are told."""
    assert judge(an_intent(age_ns=10), a_situation(max_quote_age_ns=10)) is None
    denial = judge(an_intent(age_ns=11), a_situation(max_quote_age_ns=10))
    assert code(denial) == "STALE_QUOTE"
    assert denial
    assert denial.limits == {"age_ns": "11", "limit_ns": "10"}


@pytest.mark.parametrize(
    ("side", "price", "denied"),
    [
        (Side.BUY, 111, None),
        (Side.BUY, 112, "PRICE_COLLAR"),
        (Side.BUY, 1, None),
        (Side.SELL, 90, None),
        (Side.SELL, 89, "PRICE_COLLAR"),
        (Side.SELL, 500, None),
    ],
)
def test_a_limit_does_not_reach_too_far_beyond_the_market(side: Side, price: int, denied: str | None) -> None:
    """Ten per cent beyond the other side of 99/101; a price that only rests is nobody's harm."""
    intent = an_intent(side=side, order_type=OrderType.LIMIT, price_nanos=price * ONE)
    assert code(judge(intent, a_situation(price_collar=0.1))) == denied


def test_a_collar_needs_the_market() -> None:
    """With an empty book there is nothing to be beyond of."""
    intent = an_intent(quote=a_quote(0, 0), **LIMIT)
    assert judge(intent, a_situation(price_collar=0.0)) is None
