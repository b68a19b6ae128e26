"""The story of a cancel."""

import asyncio
from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, a_desk, until

from services.execution.domain.order import Order
from services.execution.ports.venue import VenueRefused
from trading.errors import FailedPrecondition, Unavailable, UnknownOrder
from trading.ids import OrderId
from trading.order import OrderStatus, TradingState


async def test_a_cancel_is_said_in_the_log_and_answered_by_the_venue() -> None:
    """PENDING_CANCEL first, CANCELED by the stream."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        live = await desk.cancel(order_id)
        assert live.order.status is OrderStatus.CANCELED
        await desk.journal.flush()
        assert [e.event.kind for e in desk.store.entries][-2:] == ["PENDING_CANCEL", "CANCELED"]


async def test_an_unknown_order_cannot_be_canceled() -> None:
    """Its name is told back."""
    async with a_desk() as desk:
        with pytest.raises(UnknownOrder):
            await desk.cancel(OrderId("none"))


async def test_a_closed_order_cannot_be_canceled() -> None:
    """The refusal says how it ended."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 10)
        live = await desk.orders.need(order_id)
        await live.until(lambda order: order.status.is_closed, PATIENCE_S)
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.cancel(order_id)
        assert refusal.value.reason == "ORDER_CLOSED"
        assert refusal.value.metadata["status"] == "FILLED"


async def test_a_refused_cancel_restores_the_order() -> None:
    """In the venue's words."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.cancel_answer = VenueRefused("too late")
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.cancel(order_id)
        assert refusal.value.reason == "CANCEL_REJECTED"
        assert "too late" in refusal.value.message
        live = await desk.orders.need(order_id)
        assert live.order.status is OrderStatus.ACCEPTED


async def test_a_cancel_whose_answer_is_lost_stays_pending() -> None:
    """Reconciliation will find out."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=60.0)) as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.cancel_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            live = await desk.cancel(order_id)
        assert live.order.status is OrderStatus.PENDING_CANCEL


async def test_a_cancel_waits_until_the_venue_has_named_the_order() -> None:
    """It was asked for while the submit was on its way."""
    async with a_desk() as desk:
        desk.broker.gate.clear()
        order_id = (await desk.buy()).order.order_id
        cancel = asyncio.create_task(desk.cancel(order_id))
        await asyncio.sleep(0)
        desk.broker.gate.set()
        assert (await cancel).order.status is OrderStatus.CANCELED


async def test_an_order_the_venue_never_named_cannot_be_canceled_yet() -> None:
    """It is being asked for."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=60.0)) as desk:
        desk.broker.answers = [Unavailable("timeout")]
        order_id = (await desk.buy()).order.order_id
        with desk.waiting_in_vain(), pytest.raises(FailedPrecondition) as refusal:
            await desk.cancel(order_id)
        assert refusal.value.reason == "ORDER_UNRESOLVED"


async def test_cancels_pass_while_trading_is_halted() -> None:
    """The kill switch with cancel_open asks for every one of them."""
    async with a_desk() as desk:
        for _ in range(3):
            await desk.sent()
        asked = await desk.control.set_trading_state("main", TradingState.HALTED, "me", "test", cancel_open=True)
        assert asked == (3, 0)
        await until(lambda: desk.blotter.open_orders() == [])
        assert desk.blotter.statuses[OrderStatus.CANCELED] == 3


async def test_an_order_that_closes_while_all_are_canceled_is_no_trouble() -> None:
    """The venue refuses the cancel of what it has filled."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 10, tell=False)
        desk.cancel.cancel_all()
        await desk.background.drain(PATIENCE_S)
        live = await desk.orders.need(order_id)
        assert live.order.status in (OrderStatus.ACCEPTED, OrderStatus.FILLED)


async def test_a_cancel_the_caller_left_goes_on() -> None:
    """The caller left before the venue was asked."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=60.0)) as desk:
        order_id = (await desk.sent()).order.order_id
        live, ask, asked = desk.live(order_id), desk.broker.cancel, asyncio.Event()

        async def slowly(order: Order) -> None:
            asked.set()
            await asyncio.sleep(0)
            await ask(order)

        desk.broker.cancel = slowly  # type: ignore[method-assign]
        caller = asyncio.create_task(desk.cancel(order_id))
        await asked.wait()
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)
