"""Orders that release and end each other."""

from contextlib import suppress
from dataclasses import replace

import pytest
from builders.paper_venue import ExchangeDriver, a_request, nanos
from hypothesis import given
from hypothesis import strategies as st

from services.paper_venue.domain.exchange import Changes
from services.paper_venue.domain.groups import GroupRequest
from services.paper_venue.domain.orders import EventKind, GroupKind, Order, OrderRequest, Status
from trading.errors import AlreadyExists, FailedPrecondition
from trading.order import Side, TimeInForce

ENTRY = a_request(quantity=100, limit=100.0, time_in_force=TimeInForce.DAY)
PROFIT = a_request(Side.SELL, 100, limit=110.0, time_in_force=TimeInForce.DAY)
LOSS = a_request(Side.SELL, 100, stop=95.0, time_in_force=TimeInForce.DAY)
BRACKET = GroupRequest(GroupKind.BRACKET, (ENTRY, PROFIT, LOSS))
PAIR = GroupRequest(GroupKind.OCO, (PROFIT, LOSS))
ANY_FILL = replace(PAIR, first_fill_decides=True)


@pytest.fixture
def market() -> ExchangeDriver:
    return ExchangeDriver().quote(101.0, 300, 101.5, 200).trade(101.0)


def submit(market: ExchangeDriver, request: GroupRequest) -> list[Order]:
    return market.exchange.submit_group(request, market.tick())


def statuses(market: ExchangeDriver, orders: list[Order]) -> list[str]:
    return [market.order(order).status.value for order in orders]


def held(market: ExchangeDriver, request: GroupRequest = PAIR) -> list[Order]:
    """A pair beside the position that it closes."""
    market.submit(a_request(quantity=100))
    return submit(market, request)


def test_the_exits_are_held_until_the_entry_is_filled(market: ExchangeDriver) -> None:
    orders = submit(market, BRACKET)
    assert [order.status.value for order in orders] == ["PENDING_NEW", "HELD", "HELD"]
    assert statuses(market, orders) == ["NEW", "HELD", "HELD"]
    market.quote(99.0, 300, 100.0, 60)
    assert statuses(market, orders) == ["PARTIALLY_FILLED", "HELD", "HELD"]
    market.quote(99.0, 300, 100.0, 60)

    assert statuses(market, orders) == ["FILLED", "NEW", "NEW"]
    assert market.exchange.legs(orders[0]) == [market.order(order) for order in orders[1:]]


def test_an_entry_to_market_releases_its_exits_at_once(market: ExchangeDriver) -> None:
    entry = a_request(quantity=100)
    orders = submit(market, replace(BRACKET, orders=(entry, PROFIT, LOSS)))

    assert statuses(market, orders) == ["FILLED", "NEW", "NEW"]
    assert [event.kind.value for event in market.events] == ["NEW", "HELD", "HELD", "FILL", "NEW", "NEW"]


def test_a_profit_cancels_the_stop(market: ExchangeDriver) -> None:
    profit, loss = held(market)
    market.quote(110.0, 500, 111.0, 100)

    assert statuses(market, [profit, loss]) == ["FILLED", "CANCELED"]
    assert market.position() == 0.0


def test_a_stop_that_triggers_cancels_the_profit_before_it_fills(market: ExchangeDriver) -> None:
    profit, loss = held(market)
    market.trade(95.0)

    assert statuses(market, [profit, loss]) == ["CANCELED", "FILLED"]
    assert [event.kind for event in market.events][-3:] == [EventKind.TRIGGERED, EventKind.CANCELED, EventKind.FILL]
    assert market.position() == 0.0


def test_a_part_of_the_profit_leaves_a_smaller_stop(market: ExchangeDriver) -> None:
    profit, loss = held(market)
    market.quote(110.0, 30, 111.0, 100)
    assert statuses(market, [profit, loss]) == ["PARTIALLY_FILLED", "NEW"]
    assert market.order(loss).quantity_nanos == nanos(70)
    market.quote(95.0, 300, 95.5, 100).trade(94.0)

    assert market.fills_of(loss) == [(95.0, 70.0)]
    assert market.position() == 0.0


def test_where_the_first_fill_decides_any_part_expires_the_other(market: ExchangeDriver) -> None:
    profit, loss = held(market, ANY_FILL)
    market.quote(110.0, 30, 111.0, 100)

    assert statuses(market, [profit, loss]) == ["PARTIALLY_FILLED", "EXPIRED"]


@pytest.mark.parametrize("index", [0, 1])
def test_cancelling_one_of_a_pair_cancels_both(market: ExchangeDriver, index: int) -> None:
    pair = held(market, ANY_FILL)
    market.exchange.cancel(pair[index].order_id, market.tick())

    assert statuses(market, pair) == ["CANCELED", "CANCELED"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_cancelling_any_order_of_a_waiting_bracket_cancels_all(market: ExchangeDriver, index: int) -> None:
    orders = submit(market, BRACKET)
    market.exchange.cancel(orders[index].order_id, market.tick())

    assert statuses(market, orders) == ["CANCELED"] * 3


def test_all_can_be_cancelled_in_one_go(market: ExchangeDriver) -> None:
    orders = [*submit(market, BRACKET), market.submit(a_request(limit=90.0))]
    canceled = market.exchange.cancel_all(market.tick())

    assert [order.order_id for order in canceled] == [order.order_id for order in orders]
    assert {order.status for order in canceled} == {Status.CANCELED}


def test_the_end_of_the_day_expires_a_waiting_bracket(market: ExchangeDriver) -> None:
    orders = submit(market, BRACKET)
    market.exchange.expire(TimeInForce.DAY, market.tick())

    assert statuses(market, orders) == ["EXPIRED"] * 3


def test_an_oto_leaves_its_second_order_alone_once_it_works(market: ExchangeDriver) -> None:
    entry, second = submit(market, GroupRequest(GroupKind.OTO, (a_request(quantity=100), PROFIT)))
    assert statuses(market, [entry, second]) == ["FILLED", "NEW"]
    market.exchange.cancel(second.order_id, market.tick())

    assert statuses(market, [entry, second]) == ["FILLED", "CANCELED"]


def test_what_the_account_cannot_do_when_it_is_released_expires(market: ExchangeDriver) -> None:
    coin = {"symbol": "BTC-USDT"}
    market.quote(99, 50, 100, 50, **coin)
    legs = (a_request(quantity=1, limit=90.0, **coin), a_request(Side.SELL, 2, limit=200.0, **coin))
    orders = submit(market, GroupRequest(GroupKind.OTO, legs))
    market.quote(88, 50, 89, 50, **coin)

    assert statuses(market, orders) == ["FILLED", "EXPIRED"]


def test_a_replaced_member_stands_in_its_group(market: ExchangeDriver) -> None:
    profit, loss = held(market)
    moved = market.exchange.replace(loss.order_id, Changes(stop_nanos=nanos(97)), market.tick())
    market.trade(97.0)

    assert statuses(market, [profit, loss, moved]) == ["CANCELED", "REPLACED", "FILLED"]
    assert moved.group == loss.group


def test_the_stop_of_a_pair_is_replaced_although_the_other_holds_what_both_sell(market: ExchangeDriver) -> None:
    coin = {"symbol": "BTC-USDT"}
    market.quote(99, 50, 100, 50, **coin)
    market.submit(a_request(quantity=1, **coin))
    pair = (a_request(Side.SELL, 1, limit=110.0, **coin), a_request(Side.SELL, 1, stop=90.0, **coin))
    profit, loss = submit(market, GroupRequest(GroupKind.OCO, pair))
    moved = market.exchange.replace(loss.order_id, Changes(stop_nanos=nanos(95)), market.tick())

    assert statuses(market, [profit, loss, moved]) == ["NEW", "REPLACED", "NEW"]


def test_a_held_member_is_replaced_by_a_held_one(market: ExchangeDriver) -> None:
    entry, profit, _ = submit(market, BRACKET)
    moved = market.exchange.replace(profit.order_id, Changes(limit_nanos=nanos(120)), market.tick())
    assert statuses(market, [entry, profit, moved]) == ["NEW", "REPLACED", "HELD"]
    market.quote(99.0, 300, 100.0, 500)

    assert statuses(market, [entry, moved]) == ["FILLED", "NEW"]


def test_a_pair_holds_what_it_sells_once_and_its_survivor_goes_on_holding_it(market: ExchangeDriver) -> None:
    limited = a_request(Side.SELL, 100, stop=95.0, limit=94.9)
    pair = held(market, GroupRequest(GroupKind.OCO, (PROFIT, limited)))
    assert market.exchange.account.available_nanos("AAPL") == 0
    market.quote(90.0, 300, 90.5, 100).trade(94.0)
    assert statuses(market, pair) == ["CANCELED", "NEW"]
    assert market.exchange.account.available_nanos("AAPL") == 0
    market.exchange.cancel(pair[1].order_id, market.tick())

    assert market.exchange.account.available_nanos("AAPL") == nanos(100)


def test_one_refusal_takes_none_in(market: ExchangeDriver) -> None:
    poor = replace(BRACKET, orders=(a_request(quantity=1_000_000, limit=100.0), PROFIT, LOSS))
    named = tuple(replace(order, client_order_id="same") for order in BRACKET.orders)
    with pytest.raises(FailedPrecondition, match="buying power"):
        submit(market, poor)
    with pytest.raises(AlreadyExists):
        submit(market, replace(BRACKET, orders=named))

    assert (market.events, list(market.exchange.groups())) == ([], [])


def test_groups_beyond_the_bound_are_forgotten() -> None:
    market = ExchangeDriver(orders_kept=2).quote(101.0, 300, 101.5, 200)
    for _ in range(3):
        submit(market, BRACKET)

    assert [group.number for group in market.exchange.groups()] == [1, 2]


_MOVES = st.lists(
    st.tuples(st.sampled_from(["quote", "trade", "cancel", "replace"]), st.integers(90, 115), st.integers(1, 150)),
    max_size=25,
)


@given(kind=st.sampled_from([BRACKET, PAIR, ANY_FILL]), moves=_MOVES)
def test_the_exits_of_a_group_never_close_more_than_there_is(
    kind: GroupRequest, moves: list[tuple[str, int, int]]
) -> None:
    market = ExchangeDriver().quote(101.0, 300, 101.5, 200).trade(101.0)
    if kind.kind is GroupKind.OCO:
        market.submit(a_request(quantity=100))
    submit(market, kind)
    for what, price, size in moves:
        _move(market, what, price, size)

    assert 0.0 <= market.position() <= 100.0
    exits = [event for event in market.events if event.execution is not None and event.order.side is Side.SELL]
    assert sum(event.execution.quantity_nanos for event in exits if event.execution) <= nanos(100)
    if not market.exchange.open_orders():
        assert market.exchange.account.available_nanos("AAPL") == nanos(market.position())


def _move(market: ExchangeDriver, what: str, price: int, size: int) -> None:
    if what == "quote":
        market.quote(price, size, price + 0.5, size)
    elif what == "trade":
        market.trade(price)
    elif (found := market.exchange.open_orders()) and what == "cancel" and size > 140:
        market.exchange.cancel(found[size % len(found)].order_id, market.tick())
    elif found and what == "replace":
        with suppress(FailedPrecondition):
            _replace(market, found[size % len(found)], price)


def _replace(market: ExchangeDriver, order: Order, price: int) -> None:
    """Move an exit within its own side of the market, as both venues ask."""
    request: OrderRequest = order.request
    if request.stop_nanos is not None:
        market.exchange.replace(order.order_id, Changes(stop_nanos=nanos(min(price, 99))), market.tick())
    elif order.side is Side.SELL:
        market.exchange.replace(order.order_id, Changes(limit_nanos=nanos(max(price, 103))), market.tick())
