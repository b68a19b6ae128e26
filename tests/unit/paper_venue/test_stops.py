"""Stops that follow the market, stops where the price is good, amendments and halts."""

from dataclasses import replace

import pytest
from builders.paper_venue import ExchangeDriver, a_request, nanos

from services.paper_venue.domain.exchange import Changes
from services.paper_venue.domain.orders import EventKind, OrderRequest, Status, Trail
from trading.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce


def trailing(side: Side = Side.SELL, trail: Trail | None = None, **changes: object) -> OrderRequest:
    """A trailing stop that stays a dollar behind."""
    request = a_request(side, 10, OrderType.TRAILING_STOP)
    return replace(request, trail=trail or Trail(amount_nanos=ONE), **changes)  # type: ignore[arg-type]


def take_profit(side: Side, stop: float, limit: float | None = None) -> OrderRequest:
    return replace(a_request(side, 10, stop=stop, limit=limit), take_profit=True)


@pytest.fixture
def market() -> ExchangeDriver:
    return ExchangeDriver().quote(99.99, 300, 100.01, 200).trade(100.00)


def test_a_trailing_sell_rises_with_the_market_and_never_falls(market: ExchangeDriver) -> None:
    order = market.submit(trailing())
    assert (order.best_nanos, order.stop_nanos) == (nanos(100), nanos(99))
    for price, stop in ((102.0, 101.0), (101.5, 101.0), (103.0, 102.0)):
        market.trade(price)
        assert market.order(order).stop_nanos == nanos(stop)
    market.trade(102.0)

    assert market.order(order).status is Status.FILLED
    assert market.fills_of(order) == [(99.99, 10.0)]


def test_a_trailing_buy_falls_with_the_market_by_its_share(market: ExchangeDriver) -> None:
    order = market.submit(trailing(Side.BUY, Trail(share_nanos=nanos("0.05"))))
    market.trade(80.0)
    assert market.order(order).stop_nanos == nanos(84)
    market.trade(83.99)
    assert market.order(order).status is Status.NEW
    market.trade(84.0)

    assert market.order(order).status is Status.FILLED


def test_a_trailing_stop_follows_the_touch_where_there_are_no_trades() -> None:
    market = ExchangeDriver().quote(99.0, 300, 101.0, 200)
    order = market.submit(trailing())
    market.quote(105.0, 300, 106.0, 200)
    assert market.order(order).best_nanos == nanos(105)
    market.quote(104.0, 300, 106.0, 200)

    assert market.fills_of(order) == [(104.0, 10.0)]


def test_a_trailing_stop_waits_for_the_first_price() -> None:
    market = ExchangeDriver()
    order = market.submit(trailing())
    assert (order.best_nanos, order.stop_nanos) == (None, None)
    market.trade(50.0)

    assert market.order(order).stop_nanos == nanos(49)


def test_with_a_stop_price_it_follows_from_there_on(market: ExchangeDriver) -> None:
    request = replace(trailing(stop_nanos=nanos(90)), order_type=OrderType.STOP)
    order = market.submit(request)
    for price in (120.0, 95.0):
        market.trade(price)
        assert (market.order(order).best_nanos, market.order(order).stop_nanos) == (None, nanos(90))
    market.trade(89.5)
    assert market.order(order).stop_nanos == nanos(88.5)
    market.trade(91.0)
    assert market.order(order).stop_nanos == nanos(90)
    market.trade(90.0)

    assert market.order(order).status is Status.FILLED


def test_a_trailing_stop_is_cancelled_and_replaced_like_any_other(market: ExchangeDriver) -> None:
    first = market.submit(trailing())
    second = market.exchange.replace(first.order_id, Changes(trail=Trail(amount_nanos=5 * ONE)), market.tick())
    assert market.order(second).stop_nanos == nanos(95)
    market.trade(98.0)
    assert market.order(second).status is Status.NEW
    market.exchange.cancel(second.order_id, market.tick())
    market.trade(90.0)

    assert (market.order(first).status, market.order(second).status) == (Status.REPLACED, Status.CANCELED)
    assert not any(event.kind is EventKind.FILL for event in market.events)


@pytest.mark.parametrize(
    "request_",
    [
        a_request(Side.SELL, 1, OrderType.TRAILING_STOP),
        trailing(trail=Trail()),
        trailing(trail=Trail(amount_nanos=ONE, share_nanos=1)),
        trailing(trail=Trail(share_nanos=ONE)),
        trailing(trail=Trail(amount_nanos=-ONE)),
        trailing(stop_nanos=nanos(90)),
        replace(a_request(), trail=Trail(amount_nanos=ONE)),
    ],
)
def test_a_trail_that_makes_no_sense_is_refused(market: ExchangeDriver, request_: OrderRequest) -> None:
    with pytest.raises(InvalidArgument):
        market.submit(request_)


@pytest.mark.parametrize(("side", "stop", "price"), [(Side.SELL, 105.0, 105.0), (Side.BUY, 95.0, 94.0)])
def test_a_take_profit_triggers_where_the_price_is_good(
    market: ExchangeDriver, side: Side, stop: float, price: float
) -> None:
    order = market.submit(take_profit(side, stop))
    market.trade(stop - side.opposite.sign * 0.5)
    assert not market.order(order).triggered
    market.trade(price)

    assert market.order(order).status is Status.FILLED


def test_a_take_profit_with_a_limit_rests_at_it(market: ExchangeDriver) -> None:
    order = market.submit(take_profit(Side.SELL, 105.0, limit=104.0))
    market.trade(106.0)
    assert (market.order(order).triggered, market.order(order).status) == (True, Status.NEW)
    market.quote(104.0, 100, 104.5, 100)

    assert market.fills_of(order) == [(104.0, 10.0)]


def test_an_amended_order_keeps_its_place_in_the_queue(market: ExchangeDriver) -> None:
    first, second = (market.submit(a_request(quantity=100, limit=99.50)) for _ in range(2))
    amended = market.exchange.amend(first.order_id, nanos(60), "renamed", market.tick())
    market.quote(99.40, 100, 99.50, 80)

    assert (amended.order_id, amended.quantity_nanos) == (first.order_id, nanos(60))
    assert market.exchange.order_by_client_id("renamed").status is Status.FILLED
    assert market.fills_of(second) == [(99.50, 20.0)]
    assert EventKind.AMENDED in [event.kind for event in market.events]


@pytest.mark.parametrize("quantity", [100, 101, 0])
def test_an_amendment_only_makes_smaller(market: ExchangeDriver, quantity: int) -> None:
    order = market.submit(a_request(quantity=100, limit=99.50))
    with pytest.raises(InvalidArgument, match="qty must be"):
        market.exchange.amend(order.order_id, nanos(quantity), order.client_order_id, 9)


def test_an_amendment_cannot_take_the_name_of_another(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=100, limit=99.50))
    market.submit(a_request(client_order_id="taken"))
    with pytest.raises(AlreadyExists):
        market.exchange.amend(order.order_id, nanos(50), "taken", 9)


def test_an_amended_order_holds_less(market: ExchangeDriver) -> None:
    before = market.exchange.account.buying_power_nanos()
    order = market.submit(a_request(quantity=100, limit=50.0))
    market.exchange.amend(order.order_id, nanos(40), order.client_order_id, market.tick())

    assert before - market.exchange.account.buying_power_nanos() == 40 * 50 * ONE


def test_nothing_is_matched_or_taken_in_while_trading_is_halted(market: ExchangeDriver) -> None:
    rests, stop = market.submit(a_request(limit=99.0)), market.submit(a_request(Side.SELL, 10, stop=95.0))
    market.exchange.halt("AAPL")
    market.quote(97.0, 300, 98.0, 200).trade(94.0)
    with pytest.raises(FailedPrecondition, match='trading of "AAPL" is halted') as refused:
        market.submit(a_request())

    assert (refused.value.reason, market.exchange.halted()) == ("HALTED", ["AAPL"])
    assert [market.order(each).status for each in (rests, stop)] == [Status.NEW, Status.NEW]
    market.exchange.resume("AAPL", market.tick())
    assert [market.order(each).status for each in (rests, stop)] == [Status.FILLED, Status.FILLED]


def test_a_halted_order_can_be_cancelled(market: ExchangeDriver) -> None:
    order = market.submit(a_request(limit=99.0))
    market.exchange.halt("AAPL")

    assert market.exchange.cancel(order.order_id, market.tick()).status is Status.CANCELED


def test_what_cannot_be_traded_is_refused() -> None:
    from builders.paper_venue import AAPL

    market = ExchangeDriver(instruments=(replace(AAPL, tradable=False),)).quote(99, 1, 101, 1)
    with pytest.raises(FailedPrecondition, match='asset "AAPL" is not tradable'):
        market.submit(a_request())


def test_a_refused_replacement_is_told(market: ExchangeDriver) -> None:
    old = market.submit(a_request(quantity=100, limit=99.0))
    with pytest.raises(FailedPrecondition):
        market.exchange.replace(old.order_id, Changes(quantity_nanos=nanos(1_000_000)), 9)

    assert [event.kind for event in market.events] == [EventKind.NEW, EventKind.REPLACE_REJECTED]
    assert market.events[-1].order.status is Status.NEW


def test_day_orders_end_with_the_hours_of_their_own_exchange() -> None:
    market = ExchangeDriver()
    share, coin = (
        market.submit(a_request(quantity=1, limit=1.0, symbol=symbol, time_in_force=TimeInForce.DAY))
        for symbol in ("AAPL", "BTC-USDT")
    )
    market.exchange.expire(TimeInForce.DAY, 9, "XNYS")

    assert [market.order(each).status for each in (share, coin)] == [Status.EXPIRED, Status.NEW]
