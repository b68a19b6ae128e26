"""Pre-trade checks of what an account would then have at stake: its worth, its positions, its means, its losses."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import LIMIT, NOW_NS, a_quote, a_situation, an_intent, execution, terms
from builders.risk import code, holding, limit_order, on_trial, working

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Denial
from services.execution.domain.risk import daily_loss_nanos, judge
from trading.clock import DAY_NS
from trading.instruments import crypto
from trading.market import Quote
from trading.money import ONE
from trading.order import OrderType, Side

BTC = crypto("BTC")


def test_an_orders_notional_is_limited() -> None:
    """Ten at the ask of 101."""
    assert judge(an_intent(), a_situation(max_order_notional_nanos=1010 * ONE)) is None
    denial = judge(an_intent(), a_situation(max_order_notional_nanos=1009 * ONE))
    assert denial == Denial("ORDER_NOTIONAL", "The order is worth too much.", {"notional": "1010", "limit": "1009"})


@pytest.mark.parametrize(
    ("order", "worth"),
    [
        ({"side": Side.BUY}, 1010),
        ({"side": Side.SELL}, 990),
        ({"side": Side.BUY, **LIMIT}, 1000),
        ({"side": Side.SELL, **LIMIT}, 1000),
        ({"side": Side.BUY, "order_type": OrderType.STOP, "stop_price_nanos": 105 * ONE}, 1050),
    ],
)
def test_an_order_is_worth_its_dearest_price(order: dict[str, Any], worth: int) -> None:
    """MARKET the other side of the market, LIMIT at most its price, STOP its trigger."""
    intent = an_intent(**order)
    assert code(judge(intent, a_situation(max_order_notional_nanos=worth * ONE))) is None
    assert code(judge(intent, a_situation(max_order_notional_nanos=worth * ONE - 1))) == "ORDER_NOTIONAL"


def test_a_one_sided_market_is_worth_the_side_it_has() -> None:
    """A buy with no ask is judged by the bid."""
    assert an_intent(quote=a_quote(99, 0)).price_nanos == 99 * ONE


def test_a_coin_is_not_sold_short() -> None:
    """What is held may be sold, with what works already counted."""
    quote = a_quote(symbol=BTC.symbol)
    held = holding(10, symbol=BTC.symbol)
    sell = an_intent(quote, BTC, side=Side.SELL)
    assert judge(sell, a_situation(held)) is None
    denial = judge(sell, a_situation(holding(9, symbol=BTC.symbol)))
    assert code(denial) == "NOT_SHORTABLE"
    assert denial
    assert denial.limits == {"position": "9"}


@pytest.mark.parametrize(
    ("held", "side", "limit", "denied"),
    [
        (5, Side.BUY, 15, None),
        (5, Side.BUY, 14, "MAX_POSITION"),
        (-5, Side.SELL, 15, None),
        (-5, Side.SELL, 14, "MAX_POSITION"),
        (20, Side.SELL, 14, None),
    ],
)
def test_a_position_is_limited_both_ways(held: int, side: Side, limit: int, denied: str | None) -> None:
    """An order that leads back from beyond the limit passes."""
    situation = a_situation(holding(held), max_position_nanos=limit * ONE)
    assert code(judge(an_intent(side=side), situation)) == denied


def test_a_position_limit_counts_what_is_working() -> None:
    """Ten held, ten working, ten more."""
    holdings = working(holding(10), Side.BUY, 10)
    assert code(judge(an_intent(), a_situation(holdings, max_position_nanos=29 * ONE))) == "MAX_POSITION"
    assert code(judge(an_intent(), a_situation(holdings, max_position_nanos=30 * ONE))) is None


def test_gross_exposure_adds_longs_and_shorts() -> None:
    """Ten short of another symbol at 100, and ten at 101."""
    holdings = holding(-10, symbol="TSLA")
    assert code(judge(an_intent(), a_situation(holdings, max_gross_exposure_nanos=2010 * ONE))) is None
    denial = judge(an_intent(), a_situation(holdings, max_gross_exposure_nanos=2009 * ONE))
    assert code(denial) == "GROSS_EXPOSURE"
    assert denial
    assert denial.limits == {"gross": "2010", "limit": "2009"}


def test_an_order_that_shrinks_is_not_stopped_by_gross_exposure() -> None:
    """However far beyond the limit the account is."""
    situation = a_situation(holding(100), max_gross_exposure_nanos=1)
    assert judge(an_intent(side=Side.SELL), situation) is None


@pytest.mark.parametrize(
    ("side", "limit", "denied"), [(Side.BUY, 10, None), (Side.BUY, 9, "NET_EXPOSURE"), (Side.SELL, 0, "NET_EXPOSURE")]
)
def test_net_exposure_nets_longs_against_shorts(side: Side, limit: int, denied: str | None) -> None:
    """Ten short of another symbol carry ten long at 101."""
    situation = a_situation(holding(-10, symbol="TSLA"), max_net_exposure_nanos=limit * ONE)
    assert code(judge(an_intent(side=side), situation)) == denied


def test_buying_power_is_cumulative_over_working_orders() -> None:
    """Ten thousand carry ninety-nine at 101, working ones included."""
    situation = a_situation(working(Holdings(), Side.BUY, 89), opening_cash_nanos=9_999 * ONE)
    assert judge(an_intent(), situation) is None
    denial = judge(an_intent(), replace(situation, opening_cash_nanos=9_998 * ONE))
    assert denial == Denial("BUYING_POWER", "Buying power does not suffice.", {"cost": "1010", "available": "1009"})


def test_margin_multiplies_buying_power() -> None:
    """Half the cash, twice the multiplier."""
    situation = a_situation(opening_cash_nanos=505 * ONE)
    assert code(judge(an_intent(), situation)) == "BUYING_POWER"
    assert judge(an_intent(), replace(situation, multiplier=2)) is None


def test_a_loss_shrinks_buying_power() -> None:
    """Bought at 200, worth 100: half of the equity is gone."""
    situation = a_situation(holding(10, 200), opening_cash_nanos=3_000 * ONE)
    assert code(judge(an_intent(), situation)) == "BUYING_POWER"
    assert judge(an_intent(quantity_nanos=9 * ONE), situation) is None


def test_a_position_without_a_mark_is_worth_what_it_cost() -> None:
    """Better than nothing."""
    situation = a_situation(holding(10, 70, "TSLA"), mark=lambda symbol: 0, opening_cash_nanos=1_000 * ONE)
    assert situation.equity_nanos() == 1_000 * ONE


def test_closing_a_position_needs_no_buying_power() -> None:
    """An account without a cent may still get out."""
    situation = a_situation(holding(10), opening_cash_nanos=0)
    assert judge(an_intent(side=Side.SELL), situation) is None


def test_a_days_loss_stops_what_grows() -> None:
    """Bought ten at 200, worth 100: a thousand lost."""
    situation = a_situation(holding(10, 200), max_daily_loss_nanos=1_001 * ONE)
    assert judge(an_intent(), situation) is None
    denial = judge(an_intent(), a_situation(holding(10, 200), max_daily_loss_nanos=1_000 * ONE))
    assert denial == Denial("DAILY_LOSS", "The day's loss has reached its limit.", {"loss": "1000", "limit": "1000"})


def test_a_days_loss_lets_positions_shrink() -> None:
    """Getting out is always allowed."""
    assert judge(an_intent(side=Side.SELL), a_situation(holding(10, 200), max_daily_loss_nanos=1)) is None


def test_a_gain_is_no_loss_of_zero() -> None:
    """A limit of zero stops trading at the first cent lost, not before."""
    assert judge(an_intent(), a_situation(max_daily_loss_nanos=0)) is None


def test_yesterdays_realised_loss_is_not_todays() -> None:
    """A new day begins at midnight UTC."""
    holdings = holding(10, 200, time_ns=NOW_NS - DAY_NS)
    holdings.fill("AAPL", Side.SELL, execution(10, 100), NOW_NS - DAY_NS)
    assert daily_loss_nanos(a_situation(holdings)) == 0
    assert daily_loss_nanos(a_situation(holdings, now_ns=NOW_NS - DAY_NS)) == 1_000 * ONE


def test_a_mark_comes_from_the_situation() -> None:
    """The newest price beats the cost."""
    assert a_situation(holding(1, 70), mark=lambda symbol: 5).mark_of("AAPL") == 5


def test_a_quote_of_the_wrong_side_is_not_used() -> None:
    """A sell is judged by the bid."""
    quote: Quote = a_quote(90, 110)
    assert an_intent(quote, side=Side.SELL).touch_nanos == 90 * ONE


def test_an_order_is_worth_something() -> None:
    """Ten at the ask of 101; what closes a position may be worth less."""
    assert judge(an_intent(), a_situation(min_order_notional_nanos=1010 * ONE)) is None
    denial = judge(an_intent(), a_situation(min_order_notional_nanos=1011 * ONE))
    assert denial == Denial("MIN_NOTIONAL", "The order is worth too little.", {"notional": "1010", "min": "1011"})
    assert judge(an_intent(side=Side.SELL), a_situation(holding(10), min_order_notional_nanos=1011 * ONE)) is None


@pytest.mark.parametrize("name", ["trail_nanos", "take_profit_nanos", "stop_loss_nanos"])
def test_every_price_lies_on_the_grid(name: str) -> None:
    """Distances and legs too."""
    denial = judge(an_intent(**{name: 100 * ONE + 1}), a_situation())
    assert code(denial) == "TICK_SIZE"
    assert denial
    assert denial.limits == {"price": "100.000000001", "tick": "0.01"}


def test_a_change_is_judged_by_what_it_adds() -> None:
    """Ten work already: twelve add two, eight give two back."""
    situation = a_situation(working(Holdings(), Side.BUY, 10), max_position_nanos=12 * ONE)
    for quantity, denied in ((8, None), (12, None), (13, "MAX_POSITION")):
        change = on_trial(terms(quantity_nanos=quantity * ONE), is_change=True, counted_nanos=10 * ONE)
        assert code(judge(change, situation)) == denied


def test_a_change_to_a_higher_price_needs_buying_power() -> None:
    """Ten work at 100: at 105 a thousand no longer suffice. A smaller quantity always passes."""
    situation = a_situation(working(Holdings(), Side.BUY, 10), opening_cash_nanos=1_000 * ONE)
    dearer = on_trial(limit_order(Side.BUY, 105), is_change=True, counted_nanos=10 * ONE, reweighed_nanos=10 * ONE)
    denial = judge(dearer, situation)
    assert code(denial) == "BUYING_POWER"
    assert denial
    assert denial.limits == {"cost": "1050", "available": "1000"}
    assert judge(dearer, replace(situation, opening_cash_nanos=1_050 * ONE)) is None
    smaller = on_trial(limit_order(Side.BUY, 100, quantity_nanos=ONE), is_change=True, counted_nanos=10 * ONE)
    assert judge(smaller, replace(situation, opening_cash_nanos=0)) is None


def test_a_loss_counts_what_the_market_has_done_to_open_positions() -> None:
    """Bought ten at 110, marked at 100, nothing traded since."""
    assert daily_loss_nanos(a_situation(holding(10, 110))) == 100 * ONE
    assert daily_loss_nanos(a_situation(holding(-10, 110))) == -100 * ONE
