"""The account keeps cash, positions and buying power exactly."""

import pytest
from builders.paper_venue import BTC, ExchangeDriver, a_request, nanos
from hypothesis import given
from hypothesis import strategies as st

from services.paper_venue.domain.account import AccountRules, Position
from services.paper_venue.domain.fees import FeeRules
from trading.errors import FailedPrecondition
from trading.money import ONE
from trading.order import Side

SMALL = AccountRules(cash_nanos=1_000 * ONE, multiplier=4)


def test_a_fill_moves_cash_by_price_times_quantity() -> None:
    market = ExchangeDriver().quote(99.99, 300, 100.01, 200)
    market.submit(a_request(quantity=100))

    assert market.exchange.account.cash_nanos == (1_000_000 - 10_001) * ONE
    assert market.exchange.account.position("AAPL").entry_price_nanos == nanos(100.01)


@pytest.mark.parametrize(("limit", "fee"), [(None, 10), (99.5, "3.98")])
def test_takers_and_makers_pay_their_own_share_of_the_value(limit: float | None, fee: float | str) -> None:
    market = ExchangeDriver(AccountRules(fees=FeeRules(maker_bps=4, taker_bps=10))).quote(99.99, 300, 100.00, 200)
    order = market.submit(a_request(quantity=100, limit=limit))
    market.quote(99.0, 300, 99.5, 100)
    (paid,) = [event.execution for event in market.events if event.execution is not None]

    assert (paid.fee_nanos, paid.is_maker, paid.fee_in_units) == (nanos(fee), limit is not None, False)
    assert market.exchange.account.fees_nanos == nanos(fee)
    assert market.exchange.account.cash_nanos == 1_000_000 * ONE - market.order(order).filled_value // ONE - nanos(fee)


def test_who_buys_coins_pays_in_coins_and_who_sells_them_in_money() -> None:
    market = ExchangeDriver(AccountRules(fees=FeeRules(taker_bps=10))).quote(100, 50, 100, 50, symbol="BTC-USDT")
    market.submit(a_request(quantity="1.5", symbol="BTC-USDT"))
    bought = market.exchange.account.position("BTC-USDT")
    with pytest.raises(FailedPrecondition, match=r"available: 1\.4985"):
        market.submit(a_request(Side.SELL, "1.5", symbol="BTC-USDT"))
    market.submit(a_request(Side.SELL, "1.4985", symbol="BTC-USDT"))

    assert (bought.quantity_nanos, bought.entry_price_nanos) == (nanos("1.4985"), nanos(100))
    assert market.exchange.account.cash_nanos == 1_000_000 * ONE - nanos("0.15") - nanos("0.14985")
    assert market.exchange.account.fees_nanos == nanos("0.15") + nanos("0.14985")
    assert market.position("BTC-USDT") == 0.0


def test_entry_price_is_the_average_of_what_was_bought() -> None:
    position = Position("AAPL").after(100 * ONE, 10 * ONE).after(300 * ONE, 20 * ONE)

    assert position.entry_price_nanos == nanos(17.5)


def test_selling_a_part_keeps_the_entry_price() -> None:
    position = Position("AAPL").after(400 * ONE, 10 * ONE).after(-100 * ONE, 99 * ONE)

    assert (position.quantity_nanos, position.entry_price_nanos) == (300 * ONE, 10 * ONE)


def test_a_flip_is_entered_at_the_price_of_the_flip() -> None:
    position = Position("AAPL").after(100 * ONE, 10 * ONE).after(-150 * ONE, 12 * ONE)

    assert (position.quantity_nanos, position.entry_price_nanos) == (-50 * ONE, 12 * ONE)


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12).filter(bool), st.integers(1, 10**12)), max_size=20))
def test_a_position_is_the_sum_of_its_trades_and_flat_costs_nothing(trades: list[tuple[int, int]]) -> None:
    position = Position("AAPL")
    for quantity, price in trades:
        position = position.after(quantity, price)

    assert position.quantity_nanos == sum(quantity for quantity, _ in trades)
    assert position.cost_nanos * position.quantity_nanos >= 0
    assert position.quantity_nanos or position.cost_nanos == 0


def test_buying_power_shrinks_by_what_open_orders_hold() -> None:
    market = ExchangeDriver().quote(99.99, 300, 100.01, 200)
    before = market.exchange.account.buying_power_nanos()
    order = market.submit(a_request(quantity=100, limit=90.0))
    held = market.exchange.account.buying_power_nanos()
    market.exchange.cancel(order.order_id, market.tick())

    assert before - held == 9_000 * ONE
    assert market.exchange.account.buying_power_nanos() == before


def test_more_than_the_buying_power_is_refused_with_its_numbers() -> None:
    market = ExchangeDriver(SMALL).quote(99.99, 300, 100.00, 200)
    with pytest.raises(FailedPrecondition, match="insufficient buying power") as refused:
        market.submit(a_request(quantity=50))

    assert refused.value.reason == "INSUFFICIENT_BUYING_POWER"
    assert refused.value.metadata == {"buying_power": "4000", "cost_basis": "5000"}


def test_coins_are_bought_with_cash_only() -> None:
    market = ExchangeDriver(SMALL).quote(99.0, 5, 100.0, 50, symbol="BTC-USDT")

    assert market.exchange.account.buying_power_nanos(BTC) == 1_000 * ONE
    with pytest.raises(FailedPrecondition, match="insufficient buying power"):
        market.submit(a_request(quantity=11, symbol="BTC-USDT"))


def test_coins_cannot_be_sold_short() -> None:
    market = ExchangeDriver().quote(99.0, 5, 100.0, 50, symbol="BTC-USDT")
    with pytest.raises(FailedPrecondition, match=r"requested: 1, available: 0") as refused:
        market.submit(a_request(Side.SELL, 1, symbol="BTC-USDT"))

    assert refused.value.reason == "INSUFFICIENT_QUANTITY"


def test_shares_can_be_sold_short() -> None:
    market = ExchangeDriver().quote(99.99, 300, 100.01, 200)
    market.submit(a_request(Side.SELL, 100))

    assert market.position() == -100.0
    assert market.exchange.account.market_value_nanos(Side.SELL) == -10_000 * ONE


def test_an_order_may_carry_a_position_through_zero_unless_flips_are_off() -> None:
    free, strict = ExchangeDriver(), ExchangeDriver(AccountRules(position_flips=False))
    for market in (free, strict):
        market.quote(99.99, 300, 100.01, 200).submit(a_request(quantity=5))
    free.submit(a_request(Side.SELL, 10))
    with pytest.raises(FailedPrecondition) as refused:
        strict.submit(a_request(Side.SELL, 10))

    assert free.position() == -5.0
    assert refused.value.metadata == {
        "symbol": "AAPL",
        "available": "5",
        "existing_qty": "5",
        "held_for_orders": "0",
    }


def test_units_that_an_order_is_selling_are_not_available_twice() -> None:
    market = ExchangeDriver(AccountRules(position_flips=False)).quote(99.99, 300, 100.01, 200)
    market.submit(a_request(quantity=10))
    market.submit(a_request(Side.SELL, 6, limit=120.0))

    assert market.exchange.account.available_nanos("AAPL") == 4 * ONE
    with pytest.raises(FailedPrecondition, match=r"requested: 5, available: 4"):
        market.submit(a_request(Side.SELL, 5, limit=121.0))


def test_closing_needs_no_buying_power() -> None:
    market = ExchangeDriver(SMALL).quote(99.99, 300, 100.0, 200)
    market.submit(a_request(quantity=40))

    assert market.exchange.account.buying_power_nanos() < 100 * ONE
    market.submit(a_request(Side.SELL, 40))
    assert market.position() == 0.0
