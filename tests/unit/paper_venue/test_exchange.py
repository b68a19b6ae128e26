"""The exchange takes orders in, refuses with reasons, and keeps their story."""

import pytest
from builders.paper_venue import ExchangeDriver, a_quote, a_request, nanos

from services.paper_venue.domain.exchange import Changes
from services.paper_venue.domain.orders import EventKind, OrderRequest, Status
from services.paper_venue.domain.ticks import Ticks
from trading.errors import AlreadyExists, FailedPrecondition, InvalidArgument, UnknownOrder, UnknownSymbol
from trading.order import OrderType, Side, TimeInForce


@pytest.fixture
def market() -> ExchangeDriver:
    return ExchangeDriver().quote(99.99, 300, 100.01, 200)


def test_submit_answers_with_the_order_before_its_fills(market: ExchangeDriver) -> None:
    accepted = market.exchange.submit(a_request(), 5)

    assert accepted.status is Status.PENDING_NEW
    assert accepted.filled_nanos == 0
    assert market.order(accepted).status is Status.FILLED


def test_events_of_a_market_order_are_new_then_fill(market: ExchangeDriver) -> None:
    market.submit(a_request())

    assert [event.kind for event in market.events] == [EventKind.NEW, EventKind.FILL]


def test_a_fill_tells_the_position_after_it(market: ExchangeDriver) -> None:
    market.submit(a_request(quantity=30))
    market.submit(a_request(Side.SELL, 10))

    assert [e.execution.position_nanos for e in market.events if e.execution] == [nanos(30), nanos(20)]


def test_the_same_client_order_id_twice_is_refused(market: ExchangeDriver) -> None:
    market.submit(a_request(client_order_id="mine"))
    with pytest.raises(AlreadyExists, match="client_order_id must be unique"):
        market.submit(a_request(client_order_id="mine"))

    assert market.exchange.order_by_client_id("mine").status is Status.FILLED


def test_an_order_without_a_client_id_is_called_by_its_own(market: ExchangeDriver) -> None:
    order = market.submit(a_request())

    assert order.client_order_id == order.order_id


def test_any_spelling_of_the_symbol_is_understood(market: ExchangeDriver) -> None:
    market.quote(60_000, 1, 60_001, 1, symbol="BTC-USDT")

    assert market.submit(a_request(quantity=1, symbol="BTC/USD")).symbol == "BTC-USDT"


def test_an_unknown_symbol_is_refused(market: ExchangeDriver) -> None:
    with pytest.raises(UnknownSymbol):
        market.submit(a_request(symbol="NOPE"))


def test_an_unknown_order_cannot_be_asked_for(market: ExchangeDriver) -> None:
    with pytest.raises(UnknownOrder):
        market.exchange.order("nope")
    with pytest.raises(UnknownOrder):
        market.exchange.order_by_client_id("nope")


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (a_request(quantity=0), "qty must be > 0"),
        (a_request(quantity=-5), "qty must be > 0"),
        (a_request(limit=0.0), "limit price must be > 0"),
        (a_request(limit=100.001), "sub-penny"),
        (a_request(stop=-1.0), "stop price must be > 0"),
        (a_request(order_type=OrderType.LIMIT), "limit orders require limit price"),
        (a_request(order_type=OrderType.STOP), "stop orders require stop price"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    market: ExchangeDriver, request_: OrderRequest, complaint: str
) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        market.submit(request_)

    assert market.events == []


def test_a_market_order_takes_no_price(market: ExchangeDriver) -> None:
    request = OrderRequest("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, nanos(1), limit_nanos=nanos(5))
    with pytest.raises(InvalidArgument, match="market orders require no stop or limit price"):
        market.submit(request)


def test_a_limit_order_takes_no_stop(market: ExchangeDriver) -> None:
    request = OrderRequest("AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.DAY, nanos(1), nanos(5), nanos(5))
    with pytest.raises(InvalidArgument, match="limit orders require no stop price"):
        market.submit(request)


def test_prices_below_a_dollar_have_four_decimals(market: ExchangeDriver) -> None:
    assert market.submit(a_request(limit=0.9999)).status is Status.NEW


def test_notional_buys_what_the_money_pays_for(market: ExchangeDriver) -> None:
    request = OrderRequest("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, notional_nanos=nanos("1000.10"))

    assert market.submit(request).quantity_nanos == nanos(10)


@pytest.mark.parametrize(
    ("notional", "quantity", "order_type"),
    [("-5", 0, OrderType.MARKET), ("5", 1, OrderType.MARKET), ("5", 0, OrderType.LIMIT)],
)
def test_notional_stands_alone_and_positive_in_market_orders(
    market: ExchangeDriver, notional: str, quantity: int, order_type: OrderType
) -> None:
    request = OrderRequest(
        "AAPL", Side.BUY, order_type, TimeInForce.DAY, nanos(quantity), notional_nanos=nanos(notional)
    )
    with pytest.raises(InvalidArgument, match="notional"):
        market.submit(request)


def test_notional_needs_a_quote() -> None:
    request = OrderRequest("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, notional_nanos=nanos(100))
    with pytest.raises(FailedPrecondition, match="need a quote"):
        ExchangeDriver().submit(request)


def test_notional_below_a_lot_is_refused(market: ExchangeDriver) -> None:
    market.quote(60_000, 1, 60_000, 1, symbol="BTC-USDT")
    request = OrderRequest("BTC-USDT", Side.BUY, OrderType.MARKET, TimeInForce.DAY, notional_nanos=nanos("0.01"))
    with pytest.raises(InvalidArgument, match="too small"):
        market.submit(request)


def test_extended_hours_is_for_limit_orders(market: ExchangeDriver) -> None:
    request = OrderRequest("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, nanos(1), extended_hours=True)
    with pytest.raises(InvalidArgument, match="extended hours"):
        market.submit(request)


def test_an_order_that_would_trade_with_our_own_is_refused(market: ExchangeDriver) -> None:
    resting = market.submit(a_request(Side.SELL, 10, limit=100.50))
    with pytest.raises(FailedPrecondition, match="wash trade") as refused:
        market.submit(a_request(limit=100.50))

    assert refused.value.metadata["existing_order_id"] == resting.order_id
    assert market.submit(a_request(limit=100.49)).status is not Status.CANCELED


def test_a_market_order_that_stays_short_of_our_own_is_no_wash_trade(market: ExchangeDriver) -> None:
    market.submit(a_request(Side.SELL, 10, limit=100.50))

    assert market.submit(a_request(quantity=10)).status is Status.FILLED


def test_closed_orders_cannot_be_canceled(market: ExchangeDriver) -> None:
    order = market.submit(a_request())
    with pytest.raises(FailedPrecondition, match='order is already in "filled" state'):
        market.exchange.cancel(order.order_id, 9)


def test_replace_withdraws_the_old_order_and_works_the_new_one(market: ExchangeDriver) -> None:
    old = market.submit(a_request(quantity=100, limit=99.0))
    new = market.exchange.replace(old.order_id, Changes(limit_nanos=nanos(98.0), client_order_id="second"), 9)

    assert market.order(old).status is Status.REPLACED
    assert (market.order(old).replaced_by, new.replaces) == (new.order_id, old.order_id)
    market.quote(97.0, 100, 98.0, 100)
    assert market.fills_of(new) == [(98.0, 100.0)]
    assert market.fills_of(old) == []


def test_replace_counts_what_was_filled_before(market: ExchangeDriver) -> None:
    old = market.submit(a_request(quantity=300, limit=100.01))
    new = market.exchange.replace(old.order_id, Changes(quantity_nanos=nanos(250)), 9)

    assert market.order(old).filled_nanos == nanos(200)
    assert new.quantity_nanos == nanos(50)


def test_replace_to_less_than_was_filled_is_refused(market: ExchangeDriver) -> None:
    old = market.submit(a_request(quantity=300, limit=100.01))
    with pytest.raises(InvalidArgument, match="qty must be > filled_qty"):
        market.exchange.replace(old.order_id, Changes(quantity_nanos=nanos(200)), 9)


def test_a_refused_replacement_leaves_the_old_order_working(market: ExchangeDriver) -> None:
    old = market.submit(a_request(quantity=100, limit=99.0))
    power = market.exchange.account.buying_power_nanos()
    with pytest.raises(FailedPrecondition, match="insufficient buying power"):
        market.exchange.replace(old.order_id, Changes(quantity_nanos=nanos(1_000_000)), 9)

    assert market.order(old).status is Status.NEW
    assert market.exchange.account.buying_power_nanos() == power
    market.quote(98.0, 100, 98.5, 100)
    assert market.fills_of(old) == [(99.0, 100.0)]


def test_day_orders_expire_and_others_stay(market: ExchangeDriver) -> None:
    day = market.submit(a_request(limit=90.0, time_in_force=TimeInForce.DAY))
    gtc = market.submit(a_request(limit=90.0))
    market.exchange.expire(TimeInForce.DAY, 9)

    assert (market.order(day).status, market.order(gtc).status) == (Status.EXPIRED, Status.NEW)
    assert market.order(day).expired_ns == 9


def test_closed_orders_beyond_the_bound_are_forgotten_but_not_their_ids() -> None:
    market = ExchangeDriver(orders_kept=2).quote(99.99, 300, 100.01, 200)
    orders = [market.submit(a_request(quantity=1, client_order_id=f"c{n}")) for n in range(4)]

    assert [order.client_order_id for order in market.exchange.orders()] == ["c2", "c3"]
    assert len(list(market.exchange.fills())) == 2
    with pytest.raises(UnknownOrder):
        market.order(orders[0])
    with pytest.raises(AlreadyExists):
        market.submit(a_request(client_order_id="c0"))


def test_without_open_orders_only_the_last_quote_of_a_batch_counts(market: ExchangeDriver) -> None:
    market.say(Ticks.concat([a_quote(1, 1, 2, 1), a_quote(3, 7, 4, 9)]))

    touch = market.exchange.touch("AAPL")
    assert (touch.bid, touch.bid_size, touch.ask, touch.ask_size) == tuple(map(nanos, (3, 7, 4, 9)))


def test_with_open_orders_every_quote_of_a_batch_is_matched(market: ExchangeDriver) -> None:
    order = market.submit(a_request(quantity=100, limit=95.0))
    market.say(Ticks.concat([a_quote(94, 100, 95, 100), a_quote(99, 100, 100, 100)]))

    assert market.fills_of(order) == [(95.0, 100.0)]
