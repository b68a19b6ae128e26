"""The matching engine keeps price-time priority and fills as the market allows."""

from contextlib import suppress

import pytest
from builders.paper_venue import ExchangeDriver, a_request
from hypothesis import given
from hypothesis import strategies as st

from services.paper_venue.domain.orders import EventKind, Status
from services.paper_venue.domain.touch import Slippage
from trading.errors import FailedPrecondition
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce


@pytest.fixture
def market() -> ExchangeDriver:
    return ExchangeDriver().quote(99.99, 300, 100.01, 200)


def test_market_order_takes_the_touch_up_to_its_size_and_the_rest_a_tick_worse(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=500))

    assert market.fills_of(order) == [(100.01, 200.0), (100.02, 200.0), (100.03, 100.0)]
    assert order.status is Status.FILLED


def test_market_sell_walks_down(market: ExchangeDriver) -> None:
    order = market.submit(a_request(Side.SELL, 400))

    assert market.fills_of(order) == [(99.99, 300.0), (99.98, 100.0)]


def test_slippage_setting_widens_the_steps() -> None:
    market = ExchangeDriver(slippage=Slippage(ticks=5)).quote(99.99, 300, 100.01, 200)

    assert market.fills_of(market.submit(a_request(quantity=300))) == [(100.01, 200.0), (100.06, 100.0)]


def test_no_slippage_fills_everything_at_the_touch() -> None:
    market = ExchangeDriver(slippage=Slippage(ticks=0)).quote(99.99, 300, 100.01, 200)

    assert market.fills_of(market.submit(a_request(quantity=1_000))) == [(100.01, 1_000.0)]


def test_an_absurd_order_is_a_bounded_number_of_fills() -> None:
    market = ExchangeDriver(slippage=Slippage(ticks=1, most_levels=3)).quote(99.99, 1, 100.01, 1)

    assert market.fills_of(market.submit(a_request(quantity=1_000))) == [(100.01, 1.0), (100.02, 1.0), (100.03, 998.0)]


def test_our_orders_do_not_move_the_replayed_book(market: ExchangeDriver) -> None:
    first, second = market.submit(a_request(quantity=200)), market.submit(a_request(quantity=200))

    assert market.fills_of(first) == market.fills_of(second) == [(100.01, 200.0)]


def test_marketable_limit_fills_to_its_price_and_rests_the_remainder(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=500, limit=100.02))

    assert market.fills_of(order) == [(100.01, 200.0), (100.02, 200.0)]
    assert order.status is Status.PARTIALLY_FILLED
    market.quote(99.99, 300, 100.00, 1_000)
    assert market.fills_of(order)[2:] == [(100.02, 100.0)]


def test_resting_limit_fills_at_its_own_price_when_the_opposite_quote_reaches_it(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=50, limit=99.50))

    assert order.status is Status.NEW
    market.quote(99.40, 100, 99.45, 100)
    assert market.fills_of(order) == [(99.50, 50.0)]


def test_resting_orders_of_one_price_fill_first_in_first_out(market: ExchangeDriver) -> None:
    first, second = (market.submit(a_request(quantity=100, limit=99.50)) for _ in range(2))
    market.quote(99.40, 100, 99.50, 150)

    assert market.order(first).status is Status.FILLED
    assert market.fills_of(second) == [(99.50, 50.0)]


def test_a_better_price_goes_before_an_earlier_time(market: ExchangeDriver) -> None:
    worse, better = (market.submit(a_request(quantity=100, limit=limit)) for limit in (99.50, 99.60))
    market.quote(99.40, 100, 99.45, 100)

    assert market.order(better).status is Status.FILLED
    assert market.fills_of(worse) == []


def test_resting_sell_waits_for_the_bid(market: ExchangeDriver) -> None:
    order = market.submit(a_request(Side.SELL, 100, limit=100.50))
    market.quote(100.49, 500, 100.52, 500)
    assert market.fills_of(order) == []
    market.quote(100.50, 500, 100.53, 500)

    assert market.fills_of(order) == [(100.50, 100.0)]


def test_ioc_cancels_what_it_cannot_take(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=500, limit=100.01, time_in_force=TimeInForce.IOC))

    assert order.status is Status.CANCELED
    assert market.fills_of(order) == [(100.01, 200.0)]


def test_fok_takes_all_or_nothing(market: ExchangeDriver) -> None:
    too_much = market.submit(a_request(quantity=500, limit=100.01, time_in_force=TimeInForce.FOK))
    enough = market.submit(a_request(quantity=200, limit=100.01, time_in_force=TimeInForce.FOK))

    assert (too_much.status, too_much.filled_nanos) == (Status.CANCELED, 0)
    assert enough.status is Status.FILLED


def test_market_order_before_the_first_quote_waits_for_it() -> None:
    market = ExchangeDriver()
    order = market.submit(a_request(quantity=10))
    assert order.status is Status.NEW
    market.quote(9.99, 100, 10.01, 100)

    assert market.fills_of(order) == [(10.01, 10.0)]


def test_a_waiting_market_order_can_be_canceled() -> None:
    market = ExchangeDriver()
    order = market.submit(a_request(quantity=10))
    market.exchange.cancel(order.order_id, market.tick())
    market.quote(9.99, 100, 10.01, 100)

    assert market.order(order).status is Status.CANCELED
    assert market.fills_of(order) == []


def test_ioc_market_order_without_a_quote_is_canceled() -> None:
    market = ExchangeDriver()

    assert market.submit(a_request(time_in_force=TimeInForce.IOC)).status is Status.CANCELED


def test_an_empty_side_fills_nothing() -> None:
    market = ExchangeDriver().quote(99.99, 300, 0, 0)

    assert market.submit(a_request()).status is Status.NEW
    assert market.fills_of(market.submit(a_request(Side.SELL, 100))) == [(99.99, 100.0)]


def test_stop_triggers_on_the_touch_where_there_are_no_trades(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=100, stop=100.10))
    market.quote(100.05, 100, 100.09, 100)
    assert market.fills_of(order) == []
    market.quote(100.08, 100, 100.12, 100)

    assert market.fills_of(order) == [(100.12, 100.0)]


def test_sell_stop_triggers_when_the_bid_falls_to_it(market: ExchangeDriver) -> None:
    order = market.submit(a_request(Side.SELL, 100, stop=99.90))
    market.quote(99.90, 100, 99.95, 100)

    assert market.fills_of(order) == [(99.90, 100.0)]


def test_stop_triggers_on_the_last_trade_where_there_are_trades(market: ExchangeDriver) -> None:
    market.trade(100.00)
    order = market.submit(a_request(quantity=100, stop=100.10))
    market.quote(100.08, 100, 100.12, 100)
    assert market.fills_of(order) == []
    market.trade(100.10)

    assert market.fills_of(order) == [(100.12, 100.0)]


def test_triggered_stop_limit_rests_at_its_limit(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=100, limit=100.11, stop=100.10))
    market.quote(100.10, 100, 100.12, 100)
    assert market.fills_of(order) == []
    assert market.order(order).triggered
    market.quote(100.08, 100, 100.11, 100)

    assert market.fills_of(order) == [(100.11, 100.0)]


def test_a_stop_that_the_market_has_passed_triggers_at_once(market: ExchangeDriver) -> None:
    assert market.fills_of(market.submit(a_request(quantity=100, stop=100.00))) == [(100.01, 100.0)]


def test_stops_trigger_nearest_first(market: ExchangeDriver) -> None:
    far, near = (market.submit(a_request(quantity=10, stop=stop)) for stop in (100.20, 100.10))
    market.quote(100.29, 100, 100.30, 100)

    filled = [event.order.order_id for event in market.events if event.kind is EventKind.FILL]
    assert filled == [near.order_id, far.order_id]


def test_a_trade_stands_in_for_a_quote_until_the_first_quote() -> None:
    market = ExchangeDriver().trade(50.00, 300)

    assert market.fills_of(market.submit(a_request(quantity=100))) == [(50.0, 100.0)]
    market.quote(50.10, 100, 50.12, 100).trade(49.00)
    assert market.fills_of(market.submit(a_request(quantity=100))) == [(50.12, 100.0)]


def test_canceled_orders_leave_the_book(market: ExchangeDriver) -> None:
    order = market.submit(a_request(limit=99.0))
    market.exchange.cancel(order.order_id, market.tick())
    market.quote(98.0, 100, 98.5, 100)

    assert market.order(order).status is Status.CANCELED
    assert market.fills_of(order) == []


_ORDERS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 500),
        st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT]),
        st.integers(9_950, 10_050),
        st.integers(9_950, 10_050),
        st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
    ),
    max_size=12,
)
_QUOTES = st.lists(st.tuples(st.integers(9_940, 10_060), st.integers(1, 5), st.integers(1, 400)), max_size=12)


@given(orders=_ORDERS, quotes=_QUOTES)
def test_no_fill_exceeds_its_order_nor_its_limit_and_the_account_adds_up(
    orders: list[tuple[Side, int, OrderType, int, int, TimeInForce]], quotes: list[tuple[int, int, int]]
) -> None:
    market = ExchangeDriver().quote(99.99, 100, 100.01, 100)
    steps = [("order", order) for order in orders] + [("quote", quote) for quote in quotes]
    for index in sorted(range(len(steps)), key=lambda at: (at * 7919) % 31):
        _play(market, *steps[index])

    fills = [event for event in market.events if event.execution is not None]
    for event in fills:
        assert 0 < event.order.filled_nanos <= event.order.quantity_nanos
        limit, price = event.order.limit_nanos, event.execution.price_nanos  # type: ignore[union-attr]
        assert limit is None or event.order.side.sign * (price - limit) <= 0
    account = market.exchange.account
    signed = [event.order.side.sign * event.execution.quantity_nanos for event in fills]  # type: ignore[union-attr]
    assert account.position("AAPL").quantity_nanos == sum(signed)
    paid = sum(q * event.execution.price_nanos for q, event in zip(signed, fills, strict=True))  # type: ignore[union-attr]
    assert account.cash_nanos == account.rules.cash_nanos - paid // ONE


def _play(market: ExchangeDriver, what: str, values: tuple) -> None:  # type: ignore[type-arg]
    if what == "quote":
        bid, spread, size = values
        market.quote(bid / 100, size, (bid + spread) / 100, size)
        return
    side, quantity, order_type, limit, stop, time_in_force = values
    limited = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    stopped = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    request = a_request(
        side,
        quantity,
        limit=limit / 100 if limited else None,
        stop=stop / 100 if stopped else None,
        time_in_force=time_in_force,
    )
    with suppress(FailedPrecondition):
        market.submit(request)
