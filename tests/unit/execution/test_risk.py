"""Pre-trade checks: each code provoked by a breach, with its numbers, and silent one step before it."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import AAPL, LIMIT, NOW_NS, a_quote, a_situation, an_intent, an_order, execution, terms

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Denial, OrderTerms
from services.execution.domain.risk import Intent, daily_loss_nanos, judge, tick_at
from trading.clock import DAY_NS
from trading.instruments import CENT, crypto
from trading.market import Quote
from trading.money import ONE
from trading.order import OrderEventKind, OrderType, Side, TradingState

BTC = crypto("BTC")


def holding(quantity: int, price: int = 100, symbol: str = "AAPL", time_ns: int = NOW_NS) -> Holdings:
    """An account that traded once, in whole units."""
    holdings = Holdings()
    side = Side.BUY if quantity > 0 else Side.SELL
    holdings.fill(symbol, side, execution(abs(quantity), price), time_ns)
    return holdings


def working(holdings: Holdings, side: Side, quantity: int) -> Holdings:
    """The same account with one more working order."""
    holdings.replace(None, an_order(OrderEventKind.SUBMITTED, side=side, quantity_nanos=quantity * ONE))
    return holdings


def code(denial: Denial | None) -> str | None:
    return denial and denial.code


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


def limit_order(side: Side, price: int, **changes: Any) -> OrderTerms:
    """A limit order for ten, in whole units."""
    return terms(side=side, order_type=OrderType.LIMIT, price_nanos=price * ONE, **changes)


def on_trial(asked: OrderTerms, **changes: Any) -> Intent:
    """An order judged by a quote of 99/101, perhaps as a change or a release."""
    return Intent(asked, AAPL, a_quote(), **changes)


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
