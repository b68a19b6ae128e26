"""The story of a change of a working order."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, after_crash, at_work, until
from builders.orders import LIMIT, MAIN, a_quote

from services.execution.domain.change import Change
from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import Order, OrderTerms, fold
from services.execution.domain.venue import VenueOrder, VenueUpdate
from services.execution.ports.market import SeenQuote
from services.execution.ports.venue import VenueRefused
from services.execution.usecases.blotter import LiveOrder
from trading.errors import FailedPrecondition, InvalidArgument, Unavailable, UnknownOrder
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, TradingState

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
TWELVE = Change(quantity_nanos=12 * ONE)


async def at_rest(desk: Desk, **order: Any) -> LiveOrder:
    """A limit order for ten at the venue."""
    return desk.live((await desk.sent(**{**LIMIT, **order})).order.order_id)


async def told(desk: Desk, live: LiveOrder) -> Sequence[str]:
    """What the log tells of the order after its acceptance; what it tells is the order."""
    await desk.journal.flush()
    events = [logged.event for logged in await desk.store.events(live.order.order_id)]
    assert fold(events) == live.order
    return [str(event.kind) for event in events][3:]


async def test_a_change_is_said_in_the_log_and_answered_by_the_venue() -> None:
    """PENDING_UPDATE first, UPDATED after it; the order works on under its new terms."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        assert await desk.modify(live.order.order_id, TWELVE) is live
        assert (live.order.status, live.order.terms.quantity_nanos) == (OrderStatus.ACCEPTED, 12 * ONE)
        assert (live.order.wished, live.order.replacements) == (None, 1)
        assert desk.broker.terms[live.order.order_id].quantity_nanos == 12 * ONE
        assert await told(desk, live) == ["PENDING_UPDATE", "UPDATED"]


@pytest.mark.parametrize("stream_first", [True, False])
async def test_a_change_is_recorded_once_whoever_tells_it_first(stream_first: bool) -> None:
    """The call's answer and the stream's word are the same news."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.tells = stream_first
        await desk.modify(live.order.order_id, TWELVE)
        if not stream_first:
            found = desk.broker.book[live.order.order_id]
            desk.broker.stream.put_nowait(VenueUpdate(found, OrderEventKind.UPDATED, found.event_time_ns))
        desk.broker.fill(live.order.order_id, 12)
        assert await live.until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)
        assert await told(desk, live) == ["PENDING_UPDATE", "UPDATED", "FILL"]


async def test_an_order_is_changed_again_and_again() -> None:
    """The stream's word of each change finds that change, however late."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.tells = False
        for quantity in (12, 8, 11):
            await desk.modify(live.order.order_id, Change(quantity_nanos=quantity * ONE))
            found = desk.broker.book[live.order.order_id]
            desk.broker.stream.put_nowait(VenueUpdate(found, OrderEventKind.UPDATED, found.event_time_ns))
        await until(desk.broker.stream.empty)
        assert (live.order.terms.quantity_nanos, live.order.replacements) == (11 * ONE, 3)


async def test_a_change_the_venue_refuses_leaves_the_order_as_it_was() -> None:
    """In the venue's words."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        before = live.order
        desk.broker.modify_answer = VenueRefused("too late")
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(before.order_id, TWELVE)
        assert (refusal.value.reason, "too late" in refusal.value.message) == ("MODIFY_REJECTED", True)
        after = live.order
        assert (after.status, after.terms, after.wished, after.replacements) == (before.status, before.terms, None, 0)
        assert await told(desk, live) == ["PENDING_UPDATE", "MODIFY_REJECTED"]
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 0)


@pytest.mark.parametrize(
    ("limits", "change", "code"),
    [
        ({"max_position_nanos": 11 * ONE}, TWELVE, "MAX_POSITION"),
        ({"max_order_notional_nanos": 1_199 * ONE}, TWELVE, "ORDER_NOTIONAL"),
        ({"price_collar": 0.1}, Change(price_nanos=112 * ONE), "PRICE_COLLAR"),
        ({"max_modifies_per_second": 0}, TWELVE, "MODIFY_RATE"),
    ],
)
async def test_a_change_that_risk_denies_asks_for_nothing(limits: dict[str, Any], change: Change, code: str) -> None:
    """The order stands, the log is silent, the venue hears nothing."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        await desk.control.set_limits(RiskLimits(MAIN, **limits), "me")
        before = live.order
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(before.order_id, change)
        assert (refusal.value.reason, live.order) == (code, before)
        assert desk.broker.book[before.order_id].replacement == 0


async def test_a_halted_account_changes_nothing() -> None:
    """Its orders can only be canceled."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        await desk.control.set_trading_state("main", TradingState.HALTED, "me", "", cancel_open=False)
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(live.order.order_id, Change(quantity_nanos=ONE))
        assert refusal.value.reason == "TRADING_HALTED"
        assert (await desk.cancel(live.order.order_id)).order.status is OrderStatus.CANCELED


async def test_a_change_to_a_higher_price_meets_buying_power() -> None:
    """A million at two times carries twenty thousand at 100, and not at 101."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk, quantity_nanos=20_000 * ONE)
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(live.order.order_id, Change(price_nanos=101 * ONE))
        assert refusal.value.reason == "BUYING_POWER"
        await desk.modify(live.order.order_id, Change(price_nanos=99 * ONE))
        assert live.order.terms.price_nanos == 99 * ONE


async def test_the_larger_quantity_is_exposed_while_a_change_is_under_way() -> None:
    """Nobody knows which of the two the venue works."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.modify_answer = Unavailable("timeout")
        for quantity, reach in ((12, 12), (8, 10)):
            with desk.waiting_in_vain():
                await desk.modify(live.order.order_id, Change(quantity_nanos=quantity * ONE))
            assert live.order.status is OrderStatus.PENDING_UPDATE
            assert desk.blotter.holdings[MAIN].reach("AAPL") == (reach * ONE, 0)
            await desk.reconcile.in_flight()
            live.moved_ns = 0
            await desk.reconcile.in_flight()
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 0)


async def test_a_fill_during_a_change_keeps_the_change_going() -> None:
    """PENDING_UPDATE again after it, and the wished terms in the end."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.modify_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            await desk.modify(live.order.order_id, TWELVE)
        desk.broker.modify_answer = None
        desk.broker.fill(live.order.order_id, 3)
        await live.until(lambda order: order.filled_nanos > 0, PATIENCE_S)
        assert live.order.status is OrderStatus.PENDING_UPDATE
        await desk.broker.modify(live.order, replace(live.order.terms, quantity_nanos=12 * ONE))
        await live.until(lambda order: order.wished is None, PATIENCE_S)
        assert (live.order.status, live.order.remaining_nanos) == (OrderStatus.PARTIALLY_FILLED, 9 * ONE)
        assert await told(desk, live) == ["PENDING_UPDATE", "FILL", "PENDING_UPDATE", "UPDATED"]


@pytest.mark.parametrize("was_made", [True, False])
@pytest.mark.parametrize("crashes", [True, False])
async def test_a_lost_answer_to_a_change_is_settled_by_asking(was_made: bool, crashes: bool) -> None:
    """Either way, in this process or in the next one after a kill -9."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.modify_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            await desk.modify(live.order.order_id, TWELVE)
        assert live.order.status is OrderStatus.PENDING_UPDATE
        if was_made:
            desk.broker.modify_answer, desk.broker.tells = None, False
            await desk.broker.modify(live.order, replace(live.order.terms, quantity_nanos=12 * ONE))
        await desk.journal.flush()
        next_desk = after_crash(desk, NEVER) if crashes else desk
        if crashes:
            async with at_work(next_desk):
                await _settled(next_desk, live.order.order_id, was_made=was_made)
        else:
            await desk.reconcile.in_flight()
            await _settled(desk, live.order.order_id, was_made=was_made)


async def _settled(desk: Desk, order_id: OrderId, *, was_made: bool) -> None:
    order = desk.live(order_id).order
    assert (order.status, order.wished) == (OrderStatus.ACCEPTED, None)
    assert (order.terms.quantity_nanos, order.replacements) == ((12 * ONE, 1) if was_made else (10 * ONE, 0))
    assert await desk.reconcile.everything() == 0


async def test_a_lost_change_of_an_order_that_filled_meanwhile_is_settled() -> None:
    """All twelve of the new order have traded, and nobody told."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.modify_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            await desk.modify(live.order.order_id, TWELVE)
        desk.broker.modify_answer, desk.broker.tells = None, False
        await desk.broker.modify(live.order, replace(live.order.terms, quantity_nanos=12 * ONE))
        desk.broker.fill(live.order.order_id, 12, tell=False)
        await desk.reconcile.in_flight()
        assert (live.order.status, live.order.filled_nanos) == (OrderStatus.FILLED, 12 * ONE)
        assert await desk.reconcile.everything() == 0


async def test_a_cancel_waits_for_the_change_under_way() -> None:
    """It goes to the order that stands at the end of it."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        desk.broker.modify_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            await desk.modify(live.order.order_id, TWELVE)
        desk.broker.modify_answer = None
        cancel = asyncio.create_task(desk.cancel(live.order.order_id))
        await asyncio.sleep(0)
        found = await desk.broker.modify(live.order, replace(live.order.terms, quantity_nanos=12 * ONE))
        assert (await cancel).order.status is OrderStatus.CANCELED
        assert desk.broker.canceled == [found.venue_order_id]


async def test_a_change_waits_for_the_venues_answer_to_the_submit() -> None:
    """Before that there is nothing to change."""
    async with a_desk(rhythm=NEVER) as desk:
        desk.broker.gate.clear()
        order_id = (await desk.buy(**LIMIT)).order.order_id
        change = asyncio.create_task(desk.modify(order_id, TWELVE))
        await asyncio.sleep(0)
        desk.broker.gate.set()
        assert (await change).order.terms.quantity_nanos == 12 * ONE


async def test_an_order_that_is_not_at_work_cannot_be_changed() -> None:
    """Unknown, held, closed, or unresolved; and a change that is no change."""
    async with a_desk(rhythm=NEVER) as desk:
        with pytest.raises(UnknownOrder):
            await desk.modify(OrderId("none"), TWELVE)
        desk.broker.unworked = frozenset({OrderType.STOP})
        held = (await desk.sent(order_type=OrderType.STOP, stop_price_nanos=110 * ONE)).order.order_id
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(held, TWELVE)
        assert (refusal.value.reason, refusal.value.metadata["status"]) == ("ORDER_NOT_AT_WORK", "EMULATED")
        live = await at_rest(desk)
        with pytest.raises(InvalidArgument):
            await desk.modify(live.order.order_id, Change())
        await desk.cancel(live.order.order_id)
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(live.order.order_id, TWELVE)
        assert refusal.value.reason == "ORDER_CLOSED"


async def test_a_change_without_an_order_log_is_asked_of_nobody() -> None:
    """And is over once the log is back."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        await desk.journal.flush()
        desk.store.down = True
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.modify(live.order.order_id, TWELVE)
        desk.store.down = False
        assert await told(desk, live) == ["PENDING_UPDATE", "MODIFY_REJECTED"]
        assert desk.broker.book[live.order.order_id].replacement == 0


async def test_a_change_the_caller_left_goes_on() -> None:
    """It was asked for."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        ask, asked = desk.broker.modify, asyncio.Event()

        async def slowly(order: Order, wished: OrderTerms) -> VenueOrder:
            asked.set()
            await asyncio.sleep(0)
            return await ask(order, wished)

        desk.broker.modify = slowly  # type: ignore[method-assign]
        caller = asyncio.create_task(desk.modify(live.order.order_id, TWELVE))
        await asked.wait()
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
        assert await live.until(lambda order: order.replacements == 1, PATIENCE_S)
        assert live.order.terms.quantity_nanos == 12 * ONE


async def test_a_change_is_judged_by_a_young_quote() -> None:
    """market_data is asked where the last one is too old."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await at_rest(desk)
        await desk.control.set_limits(RiskLimits(MAIN, max_quote_age_ns=1, price_collar=0.1), "me")
        desk.quotes.seen["AAPL"] = SeenQuote(a_quote(), 2)
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.modify(live.order.order_id, TWELVE)
        assert refusal.value.reason == "STALE_QUOTE"
        desk.quotes.answers["AAPL"] = SeenQuote(a_quote(), 1)
        assert (await desk.modify(live.order.order_id, TWELVE)).order.terms.quantity_nanos == 12 * ONE
