"""Orders that we hold until their trigger."""

from dataclasses import replace
from typing import Any

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, after_crash, at_work, until
from builders.orders import LIMIT, MAIN, fact
from fakes.orders import FakeBroker

from services.execution.domain.change import Change
from services.execution.domain.limits import RiskLimits
from services.execution.usecases.blotter import LiveOrder
from trading.errors import Unavailable
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TradingState

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
STOP: dict[str, Any] = {"order_type": OrderType.STOP, "stop_price_nanos": 105 * ONE}
STOP_LIMIT: dict[str, Any] = {**STOP, "order_type": OrderType.STOP_LIMIT, "price_nanos": 107 * ONE}


def a_desk_of_stops() -> Any:
    """A desk whose venue works no stops."""
    return a_desk(broker=FakeBroker(unworked=STOPS), rhythm=NEVER)


async def held(desk: Desk, **order: Any) -> LiveOrder:
    """A stop that we hold."""
    live = desk.live((await desk.sent(**{**STOP, **order})).order.order_id)
    assert live.order.status is OrderStatus.EMULATED
    return live


async def long(desk: Desk, quantity: int) -> None:
    """The account has bought, and nothing works any more."""
    order_id = (await desk.sent(quantity_nanos=quantity * ONE)).order.order_id
    desk.broker.fill(order_id, quantity)
    assert await desk.live(order_id).until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)


async def halt(desk: Desk, state: TradingState = TradingState.HALTED) -> None:
    await desk.control.set_trading_state("main", state, "me", "test", cancel_open=False)


async def kinds(desk: Desk, live: LiveOrder) -> list[str]:
    """What the log tells of the order."""
    await desk.journal.flush()
    return [str(logged.event.kind) for logged in await desk.store.events(live.order.order_id)]


async def test_a_held_order_exposes_nothing() -> None:
    """The venue has not heard of it, and it may never be sent; but it is an open order."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        holdings = desk.blotter.holdings[MAIN]
        assert (holdings.reach("AAPL"), holdings.open_orders) == ((0, 0), 1)
        assert (desk.broker.submitted, await kinds(desk, live)) == ([], ["INITIALIZED", "EMULATED"])
        assert await desk.reconcile.everything() == 0


async def test_a_stop_the_venue_works_is_not_held() -> None:
    """It goes out as it is."""
    async with a_desk(rhythm=NEVER) as desk:
        live = desk.live((await desk.sent(**STOP)).order.order_id)
        assert live.order.status is OrderStatus.ACCEPTED
        assert desk.broker.terms[live.order.order_id].order_type is OrderType.STOP


@pytest.mark.parametrize(
    ("order", "kind", "price"),
    [(STOP, OrderType.MARKET, None), (STOP_LIMIT, OrderType.LIMIT, 107 * ONE)],
)
async def test_a_held_stop_is_sent_once_when_the_market_touches_it(
    order: dict[str, Any], kind: OrderType, price: int | None
) -> None:
    """A buy at 105: an ask of 104 is nothing, one of 105 is; a hundred more quotes change nothing."""
    async with a_desk_of_stops() as desk:
        live = await held(desk, **order)
        desk.quote(102, 104)
        assert live.order.status is OrderStatus.EMULATED
        for _ in range(100):
            desk.quote(103, 105)
        assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
        sent = desk.broker.terms[live.order.order_id]
        assert (sent.order_type, sent.price_nanos, sent.stop_price_nanos) == (kind, price, None)
        assert live.order.terms.order_type is order["order_type"]
        desk.quote(103, 106)
        assert desk.broker.submitted == [live.order.order_id]
        assert await kinds(desk, live) == ["INITIALIZED", "EMULATED", "RELEASED", "SUBMITTED", "ACCEPTED"]
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 0)


async def test_a_seller_is_touched_by_the_bid() -> None:
    """At 95: an ask of 95 is nothing to it."""
    async with a_desk_of_stops() as desk:
        live = await held(desk, side=Side.SELL, stop_price_nanos=95 * ONE)
        desk.quote(96, 97)
        assert live.order.status is OrderStatus.EMULATED
        desk.quote(95, 97)
        assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)


async def test_a_quote_of_another_symbol_touches_nothing() -> None:
    """Nor does a market without the order's side."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        desk.quote(200, 201, "BTC")
        desk.quote(110, 0)
        assert live.order.status is OrderStatus.EMULATED


async def test_a_trailing_stop_follows_the_market_and_never_back() -> None:
    """A sell five below the best bid: 99, 110, 106 leave it at 105; a bid of 105 sends it."""
    async with a_desk_of_stops() as desk:
        live = await held(
            desk, order_type=OrderType.TRAILING_STOP, stop_price_nanos=None, trail_nanos=5 * ONE, side=Side.SELL
        )
        for bid, stop in ((99, 94), (110, 105), (106, 105)):
            desk.quote(bid, bid + 2)
            assert (live.stop_nanos, live.order.status) == (stop * ONE, OrderStatus.EMULATED)
        desk.quote(105, 107)
        assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
        assert desk.broker.terms[live.order.order_id].order_type is OrderType.MARKET


async def test_a_trailing_stop_stands_where_it_stood_after_a_crash() -> None:
    """At 105, though the market is at 106 again when the next process looks."""
    async with a_desk_of_stops() as desk:
        live = await held(
            desk, order_type=OrderType.TRAILING_STOP, stop_price_nanos=None, trail_nanos=5 * ONE, side=Side.SELL
        )
        desk.quote(110, 112)
        await until(lambda: live.order.order_id in desk.store.trailed)
        async with at_work(after_crash(desk)) as again:
            live = again.live(live.order.order_id)
            again.quote(106, 108)
            assert (live.stop_nanos, live.order.status) == (105 * ONE, OrderStatus.EMULATED)
            again.quote(105, 107)
            assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)


async def test_a_released_order_is_judged_by_what_it_adds_once() -> None:
    """A limit of ten lets ten go, one open order is itself, and it came within the rates before."""
    async with a_desk_of_stops() as desk:
        await desk.control.set_limits(RiskLimits(MAIN, max_position_nanos=10 * ONE, max_open_orders=1), "me")
        live = await held(desk)
        desk.quote(105, 106)
        assert await live.until(lambda order: order.is_answered and order.released, PATIENCE_S)
        assert live.order.status is OrderStatus.ACCEPTED


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"max_position_nanos": 19 * ONE}, "MAX_POSITION"), ({"max_order_notional_nanos": 1_059 * ONE}, "ORDER_NOTIONAL")],
)
async def test_a_released_order_that_breaches_now_is_denied(limits: dict[str, Any], code: str) -> None:
    """By the limits and the market that it meets, with the numbers."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        await long(desk, 10)
        await desk.control.set_limits(RiskLimits(MAIN, **limits), "me")
        sent = list(desk.broker.submitted)
        desk.quote(105, 106)
        assert await live.until(lambda order: order.status is OrderStatus.DENIED, PATIENCE_S)
        assert live.order.denial is not None
        assert live.order.denial.code == code
        assert live.order.denial.limits
        assert (desk.broker.submitted, desk.blotter.holdings[MAIN].open_orders) == (sent, 0)


async def test_many_stops_fire_together() -> None:
    """A gap through all of them is no flood of duplicates: each was counted when it was taken in."""
    async with a_desk_of_stops() as desk:
        limits = RiskLimits(MAIN, max_submits_per_second=5, duplicate_window_ns=60_000_000_000)
        await desk.control.set_limits(limits, "me")
        stops = [await held(desk, stop_price_nanos=(105 + step) * ONE) for step in range(5)]
        desk.quote(111, 112)
        await until(lambda: all(live.order.status is OrderStatus.ACCEPTED for live in stops))


async def test_nothing_is_released_while_trading_is_halted() -> None:
    """And the next quote after the halt sends it."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        await halt(desk)
        desk.quote(105, 106)
        await desk.background.drain(PATIENCE_S)
        assert (live.order.status, desk.broker.submitted) == (OrderStatus.EMULATED, [])
        await halt(desk, TradingState.ACTIVE)
        desk.quote(105, 106)
        assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)


async def test_a_held_order_is_canceled_without_asking_the_venue() -> None:
    """It never heard of it."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        assert (await desk.cancel(live.order.order_id)).order.status is OrderStatus.CANCELED
        desk.quote(105, 106)
        await desk.background.drain(PATIENCE_S)
        assert (desk.broker.canceled, desk.broker.submitted) == ([], [])
        assert desk.blotter.held == {}


async def test_a_held_order_survives_a_crash() -> None:
    """It is held by the next process, and fires there."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        await desk.journal.flush()
        reborn = after_crash(desk, NEVER)
        async with at_work(reborn):
            again = reborn.live(live.order.order_id)
            assert (again.order.status, reborn.broker.submitted) == (OrderStatus.EMULATED, [])
            reborn.quote(105, 106)
            assert await again.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
            assert reborn.broker.submitted == [live.order.order_id]


async def test_an_order_released_and_not_sent_before_a_crash_is_sent_after_it() -> None:
    """Once: RELEASED stands in the log, SUBMITTED does not."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        desk.quote(105, 106)
        await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
        await desk.journal.flush()
        cut = [e for e in desk.store.entries if e.event.kind not in ("SUBMITTED", "ACCEPTED")]
        reborn = after_crash(desk, NEVER)
        reborn.store.entries[:] = cut
        reborn.broker.book.clear()
        async with at_work(reborn):
            again = reborn.live(live.order.order_id)
            assert await again.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
            assert reborn.broker.submitted == [live.order.order_id]


async def test_a_held_order_waits_while_nobody_knows_its_instrument() -> None:
    """The next quote tries again."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        known, answers = desk.catalogue.get, [Unavailable("market_data is away")]

        async def get(spelling: str) -> Any:
            if answers:
                raise answers.pop()
            return await known(spelling)

        desk.catalogue.get = get  # type: ignore[method-assign]
        desk.quote(105, 106)
        await desk.background.drain(PATIENCE_S)
        assert live.order.status is OrderStatus.EMULATED
        desk.quote(105, 106)
        assert await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)


async def test_an_order_canceled_while_it_is_judged_is_not_sent() -> None:
    """The quote came first, the cancel before anybody had judged."""
    async with a_desk_of_stops() as desk:
        live = await held(desk)
        desk.quote(105, 106)
        desk.journal.record(live, fact(OrderEventKind.CANCELED))
        await desk.background.drain(PATIENCE_S)
        assert (live.order.status, desk.broker.submitted) == (OrderStatus.CANCELED, [])


async def test_a_held_order_is_no_partner_of_a_self_trade() -> None:
    """It is not in the market."""
    async with a_desk_of_stops() as desk:
        await desk.control.set_limits(RiskLimits(MAIN, refuse_self_trades=True), "me")
        sell = {**STOP_LIMIT, "side": Side.SELL, "stop_price_nanos": 95 * ONE, "price_nanos": 94 * ONE}
        await held(desk, **sell)
        assert (await desk.sent(**LIMIT)).order.status is OrderStatus.ACCEPTED
        denied = (await desk.sent(**LIMIT, side=Side.SELL)).order
        assert (denied.status, denied.denial and denied.denial.code) == (OrderStatus.DENIED, "SELF_TRADE")


async def test_a_released_order_may_be_changed_as_what_it_became() -> None:
    """A stop-limit that fired is a limit order to the venue."""
    async with a_desk_of_stops() as desk:
        live = await held(desk, **STOP_LIMIT)
        desk.quote(105, 106)
        await live.until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)
        await desk.modify(live.order.order_id, Change(price_nanos=106 * ONE))
        sent = desk.broker.terms[live.order.order_id]
        assert (sent.order_type, sent.price_nanos, sent.stop_price_nanos) == (OrderType.LIMIT, 106 * ONE, None)
