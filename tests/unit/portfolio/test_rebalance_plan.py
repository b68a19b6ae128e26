"""Target weights become orders: within a lot of the target, and never beyond a limit, a band or the cash."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from builders.rebalances import BY_SYMBOL, a_situation, an_order
from hypothesis import given, settings
from hypothesis import strategies as st

from services.portfolio.domain.rebalance import Rules
from services.portfolio.domain.rebalance_plan import Situation, Touch, drift, plan_orders, require_rules
from trading.errors import AmountOutOfRange, FailedPrecondition, InvalidArgument
from trading.instruments import Instrument
from trading.money import MAX_NANOS, ONE, format_nanos, notional_nanos

PRICES = {"AAPL": "190", "MSFT": "420", "BTC-USDT": "60000"}


def planned(rules: Rules, situation: Situation) -> dict[str, str]:
    """Signed quantity by symbol, in the order of the plan."""
    return {order.symbol: format_nanos(order.quantity_nanos) for order in plan_orders(rules, situation).orders}


def rules(**words: Any) -> Rules:
    return Rules(**({"account": "main", "targets": {"AAPL": 0.5}} | words))


def test_a_weight_becomes_the_quantity_that_is_worth_it() -> None:
    assert planned(rules(), a_situation(prices=PRICES)) == {"AAPL": "263.157894736"}


def test_what_is_held_and_has_no_target_is_sold_whole() -> None:
    situation = a_situation({"AAPL": "100", "BTC-USDT": "0.5"}, PRICES, cash="0")
    assert planned(rules(targets={"AAPL": 0.0, "MSFT": 0.2}), situation) == {
        "AAPL": "-100",
        "BTC-USDT": "-0.5",
        "MSFT": "23.333333333",
    }


def test_sells_come_before_buys_and_each_by_symbol() -> None:
    held = {"MSFT": "100", "AAPL": "100"}
    found = plan_orders(rules(targets={"BTC-USDT": 0.3, "GOOGL": 0.3}), a_situation(held, {**PRICES, "GOOGL": "100"}))
    assert [order.symbol for order in found.orders] == ["AAPL", "MSFT", "BTC-USDT", "GOOGL"]


def test_others_are_left_alone_when_asked_to() -> None:
    situation = a_situation({"AAPL": "100", "MSFT": "10"}, PRICES)
    found = plan_orders(rules(targets={"AAPL": 0.0}, keep_others=True), situation)
    assert [order.symbol for order in found.orders] == ["AAPL"]
    assert found.left_alone == {}


def test_a_drift_within_the_band_is_left_alone() -> None:
    situation = a_situation({"AAPL": "100", "MSFT": "10"}, {"AAPL": "100", "MSFT": "100"}, cash="89000")
    targets = {"AAPL": 0.11, "MSFT": 0.05}  # held are 0.10 and 0.01
    found = plan_orders(rules(targets=targets, drift_band=0.02), situation)
    assert [order.symbol for order in found.orders] == ["MSFT"]
    assert found.left_alone == {"AAPL": "drift_band"}


def test_dust_that_is_worth_nothing_is_left_alone() -> None:
    """Two billionths of something at a thousandth: no venue takes that order."""
    found = plan_orders(rules(), a_situation({"MSFT": "0.000000002"}, {"AAPL": "1", "MSFT": "0.001"}))
    assert found.left_alone == {"MSFT": "drift_band"}


def test_a_trade_below_the_smallest_value_or_a_lot_is_left_alone() -> None:
    situation = a_situation(prices={"AAPL": "100", "MSFT": "100", "BTC-USDT": "60000000"}, cash="10000")
    targets = {"AAPL": 0.01, "MSFT": 0.0101, "BTC-USDT": 0.05}
    found = plan_orders(rules(targets=targets, min_trade_value_nanos=101 * ONE), situation)
    assert [order.symbol for order in found.orders] == ["MSFT"]
    assert found.left_alone == {"AAPL": "min_trade_value", "BTC-USDT": "lot"}


def test_orders_are_whole_lots_and_at_least_the_smallest_order() -> None:
    whole = replace(BY_SYMBOL["AAPL"], lot_nanos=ONE)
    large = replace(BY_SYMBOL["MSFT"], min_quantity_nanos=1000 * ONE)
    situation = a_situation(prices=PRICES, instruments={"AAPL": whole, "MSFT": large})
    found = plan_orders(rules(targets={"AAPL": 0.5, "MSFT": 0.5}), situation)
    assert {order.symbol: order.quantity_nanos for order in found.orders} == {"AAPL": 263 * ONE}
    assert found.left_alone == {"MSFT": "lot"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tradable": False}, "not_tradable"),
        ({"currency": "EUR"}, "currency"),
        (None, "not_tradable"),
        ({}, "no_price"),
    ],
)
def test_what_cannot_be_traded_is_left_alone_with_the_reason(change: dict[str, Any] | None, reason: str) -> None:
    instruments = {} if change is None else {"AAPL": replace(BY_SYMBOL["AAPL"], **change)}
    prices = {} if reason == "no_price" else PRICES
    found = plan_orders(rules(), a_situation({"AAPL": "1"}, prices, instruments=instruments))
    assert (found.orders, found.left_alone) == ((), {"AAPL": reason})


def test_trades_are_scaled_down_to_the_turnover_limit() -> None:
    situation = a_situation({"AAPL": "500"}, {"AAPL": "100", "MSFT": "100"}, cash="50000")  # AAPL is half
    found = plan_orders(rules(targets={"AAPL": 0.2, "MSFT": 0.3}, turnover_limit=0.3), situation)
    assert [format_nanos(order.quantity_nanos) for order in found.orders] == ["-150", "150"]
    assert found.turnover == pytest.approx(0.3)
    assert plan_orders(rules(targets={"AAPL": 0.2}, turnover_limit=0.0), situation).orders == ()


def test_buys_never_need_more_than_the_cash_and_what_the_sells_bring() -> None:
    situation = a_situation({"AAPL": "500"}, {"AAPL": "100", "MSFT": "100"}, cash="50000", spread="1")
    found = plan_orders(rules(targets={"MSFT": 1.0}), situation)
    sold, bought = found.orders
    assert sold.quantity_nanos == -500 * ONE
    assert bought.quantity_nanos == int(Fraction(50_000 + 500 * 99, 101) * ONE)


def test_a_cushion_is_left_for_a_market_that_moves() -> None:
    situation = a_situation(prices={"AAPL": "100"}, cushion=Fraction(1, 100))
    assert planned(rules(targets={"AAPL": 1.0}), situation) == {"AAPL": "990.0990099"}
    assert planned(rules(targets={"AAPL": 0.9}), situation) == {"AAPL": "900"}


def test_a_negative_target_sells_short_what_the_venue_lends() -> None:
    assert planned(rules(targets={"AAPL": -0.19}), a_situation(prices=PRICES)) == {"AAPL": "-100"}
    with pytest.raises(InvalidArgument) as refused:
        plan_orders(rules(targets={"BTC-USDT": -0.1}), a_situation(prices=PRICES))
    assert refused.value.reason == "NOT_SHORTABLE"


def test_an_account_without_equity_has_no_weights() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        plan_orders(rules(), a_situation(prices=PRICES, cash="0"))
    assert refused.value.reason == "NO_EQUITY"


def test_a_quantity_beyond_the_wire_is_refused() -> None:
    situation = replace(a_situation(prices={"AAPL": "0.000000001"}), equity_nanos=MAX_NANOS, cash_nanos=MAX_NANOS)
    with pytest.raises(AmountOutOfRange):
        plan_orders(rules(), situation)


@pytest.mark.parametrize(
    ("words", "reason", "field"),
    [
        ({"targets": {}}, "NO_TARGETS", "targets"),
        ({"targets": {"A": math.nan}}, "INVALID_ARGUMENT", "targets"),
        ({"targets": {"A": 0.6, "B": 0.5, "C": -0.5}}, "TARGETS_EXCEED_EQUITY", "targets"),
        ({"drift_band": -0.1}, "INVALID_ARGUMENT", "drift_band"),
        ({"drift_band": math.nan}, "INVALID_ARGUMENT", "drift_band"),
        ({"min_trade_value_nanos": -1}, "INVALID_ARGUMENT", "min_trade_value"),
        ({"turnover_limit": -0.1}, "INVALID_ARGUMENT", "turnover_limit"),
        ({"turnover_limit": math.inf}, "INVALID_ARGUMENT", "turnover_limit"),
    ],
)
def test_rules_that_can_never_be_right_are_refused(words: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        require_rules(rules(**words))
    assert (refused.value.reason, refused.value.metadata["field"]) == (reason, field)


def test_targets_of_an_optimiser_may_miss_one_by_rounding() -> None:
    require_rules(rules(targets={"A": 0.7, "B": 0.3 + 1e-10}))
    require_rules(rules(targets={}), has_targets=False)


def test_drift_is_what_weights_or_prices_have_moved() -> None:
    situation = a_situation({"AAPL": "500"}, {"AAPL": "100", "MSFT": "100"}, cash="50000")
    order = an_order("MSFT", "10")
    assert drift([order], {"AAPL": 0.5}, situation) == 0.0
    assert drift([order], {"AAPL": 0.45, "TSLA": 0.02}, situation) == pytest.approx(0.07)
    moved = replace(situation, touches={**situation.touches, "MSFT": Touch(109 * ONE, 111 * ONE)})
    assert drift([order], {"AAPL": 0.5}, moved) == pytest.approx(0.1)
    gone = replace(situation, touches={"AAPL": situation.touches["AAPL"]})
    assert drift([order], {"AAPL": 0.5}, gone) == math.inf


symbols = st.sampled_from(["A", "B", "C", "D", "E"])
lots = st.sampled_from([1, 1000, 100_000, ONE])


@st.composite
def situations(draw: st.DrawFn) -> tuple[Rules, Situation]:
    names = draw(st.lists(symbols, min_size=1, max_size=5, unique=True))
    prices = {name: draw(st.integers(ONE, 10**14)) for name in names}
    held = {name: draw(st.integers(0, 10**12)) for name in names if draw(st.booleans())}
    spreads = {name: draw(st.integers(0, price // 100)) for name, price in prices.items()}
    touches = {name: Touch(price - spreads[name], price + spreads[name]) for name, price in prices.items()}
    cash = draw(st.integers(10**12, 10**15))
    equity = cash + sum(notional_nanos(touches[name].mid_nanos, quantity) for name, quantity in held.items())
    instruments = {name: Instrument(name, lot_nanos=draw(lots)) for name in names}
    raw = {name: draw(st.floats(0, 1)) for name in names if draw(st.booleans())} or {names[0]: 0.5}
    total = max(sum(raw.values()), 1.0)
    wish = Rules(
        "main",
        {name: weight / total for name, weight in raw.items()},
        drift_band=draw(st.sampled_from([0.0, 0.01, 0.1])),
        min_trade_value_nanos=draw(st.sampled_from([0, 100 * ONE])),
        turnover_limit=draw(st.sampled_from([None, 0.1, 1.0])),
    )
    cushion = draw(st.sampled_from([Fraction(0), Fraction(1, 1000)]))
    return wish, Situation(equity, cash, "USD", held, instruments, touches, cushion)


@given(situations())
@settings(max_examples=4 * settings.default.max_examples)
def test_no_plan_breaks_a_rule(drawn: tuple[Rules, Situation]) -> None:
    wish, situation = drawn
    plan = plan_orders(wish, situation)
    spent = Fraction(situation.cash_nanos)
    for order in plan.orders:
        instrument, touch = situation.instruments[order.symbol], situation.touches[order.symbol]
        assert order.quantity_nanos % instrument.lot_nanos == 0
        value = abs(notional_nanos(order.price_nanos, order.quantity_nanos))
        assert value >= wish.min_trade_value_nanos
        target, band = Fraction(repr(order.weight_target)), Fraction(repr(wish.drift_band))
        assert abs(situation.exact_weight(order.symbol) - target) > band
        if order.is_sell:
            assert -order.quantity_nanos <= situation.held[order.symbol]  # a target of zero or more goes never short
            spent += Fraction(touch.bid_nanos * -order.quantity_nanos, ONE)
        else:
            spent -= Fraction(touch.ask_nanos * order.quantity_nanos, ONE)
    assert spent >= 0
    if wish.turnover_limit is not None:
        assert plan.turnover <= wish.turnover_limit * (1 + 1e-9) + 1e-9
    kinds = [order.is_sell for order in plan.orders]
    assert kinds == sorted(kinds, reverse=True)
    assert not {order.symbol for order in plan.orders} & set(plan.left_alone)


@given(situations())
@settings(max_examples=2 * settings.default.max_examples)
def test_without_limits_every_position_ends_within_a_lot_of_its_target(drawn: tuple[Rules, Situation]) -> None:
    wish, situation = drawn
    wish = replace(
        wish,
        targets={name: weight * 0.9 for name, weight in wish.targets.items()},
        drift_band=0.0,
        min_trade_value_nanos=0,
        turnover_limit=None,
    )
    flat = {name: Touch(touch.mid_nanos, touch.mid_nanos) for name, touch in situation.touches.items()}
    plenty = situation.equity_nanos  # a sell that its lot forbids must not take the cash from a buy
    situation = replace(situation, touches=flat, cash_nanos=plenty, cushion=Fraction(0))
    traded = {order.symbol: order.quantity_nanos for order in plan_orders(wish, situation).orders}
    for symbol in {*wish.targets, *situation.held}:
        price = flat[symbol].mid_nanos
        ideal = Fraction(repr(wish.targets.get(symbol, 0.0))) * situation.equity_nanos * ONE / price
        ends_with = situation.held.get(symbol, 0) + traded.get(symbol, 0)
        assert abs(ends_with - ideal) <= situation.instruments[symbol].lot_nanos
