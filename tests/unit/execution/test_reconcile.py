"""Recording the venue's stream, and reconciling what it did not tell."""

from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, after_crash, assemble, at_work, until
from builders.orders import MAIN, fill_update, update, venue_order

from services.execution.domain.chain import verify
from services.execution.domain.order import fold
from services.execution.domain.venue import VenuePosition, VenueTerms
from services.execution.usecases.blotter import LiveOrder
from trading.errors import Unavailable
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)


async def held(desk: Desk) -> int:
    """The position in AAPL, in whole units."""
    return desk.blotter.holdings[MAIN].position("AAPL").quantity_nanos // ONE


async def the_order(desk: Desk) -> LiveOrder:
    """An order that the venue has accepted."""
    return await desk.orders.need((await desk.sent()).order.order_id)


async def test_a_fill_moves_the_order_and_the_position_once() -> None:
    """However often it is told."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        told = desk.broker.fill(live.order.order_id, 4, tell=False)
        for _ in range(3):
            await desk.record(told)
        assert (live.order.status, live.order.filled_nanos) == (OrderStatus.PARTIALLY_FILLED, 4 * ONE)
        assert await held(desk) == 4
        assert desk.observer.tally.fills == 1


async def test_news_of_another_desks_order_changes_nothing() -> None:
    """It is not ours."""
    async with a_desk(rhythm=NEVER) as desk:
        await desk.record(update(OrderId("none"), OrderEventKind.ACCEPTED))
        await desk.record(replace(update(OrderId("x"), OrderEventKind.CANCELED), order=_foreign()))
        assert desk.store.entries == []


async def test_a_fill_beyond_the_order_is_refused_and_logged() -> None:
    """The venue has made an error; the book does not follow."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        await desk.record(fill_update(live.order.order_id, 11, 11))
        assert live.order.filled_nanos == 0


async def test_a_late_fill_of_a_forgotten_order_still_counts() -> None:
    """It was canceled, and memory has let go of it."""
    async with a_desk(rhythm=NEVER, closed_in_memory=0) as desk:
        live = await the_order(desk)
        order_id = live.order.order_id
        desk.broker.end(order_id, OrderEventKind.CANCELED)
        await until(lambda: desk.blotter.get(order_id) is None)
        await desk.journal.flush()
        desk.broker.fill(order_id, 3)
        await until(lambda: desk.observer.tally.fills == 1)
        await desk.journal.flush()
        assert fold([logged.event for logged in await desk.store.events(order_id)]).filled_nanos == 3 * ONE
        assert await held(desk) == 3


async def test_an_order_is_not_read_before_its_last_events_are_written() -> None:
    """Memory has let go of it, the store is slow, and its fill is told twice."""
    async with a_desk(rhythm=NEVER, closed_in_memory=0) as desk:
        live = await the_order(desk)
        order_id = live.order.order_id
        desk.store.delay_s = 0.05
        told = desk.broker.fill(order_id, 10)
        await until(lambda: desk.blotter.get(order_id) is None)
        await desk.record(told)
        await desk.journal.flush()
        assert fold([logged.event for logged in await desk.store.events(order_id)]).filled_nanos == 10 * ONE
        assert await held(desk) == 10


async def test_one_pass_finds_what_the_stream_did_not_tell_and_a_second_finds_nothing() -> None:
    """A fill, a cancel and an acceptance."""
    async with a_desk(rhythm=NEVER) as desk:
        orders = [await the_order(desk) for _ in range(3)]
        desk.broker.fill(orders[0].order.order_id, 4, tell=False)
        desk.broker.end(orders[1].order.order_id, OrderEventKind.CANCELED, tell=False)
        assert await desk.reconcile.everything() == 2
        assert await desk.reconcile.everything() == 0
        assert [live.order.status for live in orders] == ["PARTIALLY_FILLED", "CANCELED", "ACCEPTED"]
        await desk.journal.flush()
        flagged = [e.event.kind for e in desk.store.entries if e.event.reconciliation]
        assert flagged == [OrderEventKind.FILL, OrderEventKind.CANCELED]


async def test_a_fill_that_was_reconciled_does_not_count_again_when_it_is_told() -> None:
    """By the venue's cumulative quantity."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        told = desk.broker.fill(live.order.order_id, 4, tell=False)
        await desk.reconcile.everything()
        await desk.record(told)
        assert await held(desk) == 4
        desk.broker.fill(live.order.order_id, 6)
        await until(lambda: live.order.status is OrderStatus.FILLED)
        assert await held(desk) == 10


async def test_an_opening_position_is_taken_once_while_another_program_trades() -> None:
    """What it trades between the comparison of orders and that of positions is in both."""
    desk = assemble(rhythm=NEVER)
    asked = VenueTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, 5 * ONE)

    async def positions() -> list[VenuePosition]:
        filled = {"filled_nanos": 5 * ONE, "avg_price_nanos": 100 * ONE, "terms": asked}
        desk.broker.book[OrderId("theirs")] = venue_order(None, OrderStatus.FILLED, **filled)
        return [VenuePosition("AAPL", 7 * ONE, 100 * ONE)]

    desk.broker.positions = positions
    async with at_work(desk):
        await desk.reconcile.everything()
        assert await held(desk) == 7


async def test_an_order_that_is_not_at_the_venue_ends_after_two_proofs() -> None:
    """One is not enough, and neither are two at once."""
    async with a_desk(rhythm=replace(NEVER, miss_apart_s=0.05)) as desk:
        desk.broker.answers = [Unavailable("timeout")]
        live = await desk.orders.need((await desk.buy()).order.order_id)
        await live.until(lambda order: order.status is OrderStatus.UNRESOLVED, PATIENCE_S)
        assert await desk.reconcile.in_flight() == 0
        assert await desk.reconcile.in_flight() == 0
        assert live.order.status is OrderStatus.UNRESOLVED
        live.missed_ns -= 50_000_000
        assert await desk.reconcile.in_flight() == 1
        assert (live.order.status, live.order.reason) == (OrderStatus.REJECTED, "NOT_AT_VENUE")
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (0, 0)


async def test_an_order_on_its_way_is_not_looked_for() -> None:
    """Its submit will tell."""
    async with a_desk(rhythm=NEVER) as desk:
        desk.broker.gate.clear()
        live = await desk.orders.need((await desk.buy()).order.order_id)
        assert await desk.reconcile.everything() == 0
        assert (live.order.status, live.misses) == (OrderStatus.SUBMITTED, 0)
        desk.broker.gate.set()


async def test_a_cancel_that_never_arrived_is_found_out() -> None:
    """The venue works on; so does the order."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        desk.broker.cancel_answer = Unavailable("timeout")
        with desk.waiting_in_vain():
            await desk.cancel(live.order.order_id)
        assert await desk.reconcile.in_flight() == 1
        assert live.order.status is OrderStatus.ACCEPTED


async def test_open_orders_are_compared_while_the_service_runs() -> None:
    """A cancel at the venue's own screen is found by the loop."""
    async with a_desk() as desk:
        live = await the_order(desk)
        desk.broker.end(live.order.order_id, OrderEventKind.CANCELED, tell=False)
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)


async def test_an_order_the_venue_has_lost_is_asked_for_by_name_before_it_ends() -> None:
    """Not being in a list proves nothing."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        del desk.broker.book[live.order.order_id]
        assert await desk.reconcile.open_orders() == 0
        assert live.misses == 1


async def test_a_venue_that_does_not_answer_means_nothing() -> None:
    """A failed query is never flat."""
    async with a_desk(rhythm=NEVER) as desk:
        live = await the_order(desk)
        desk.broker.down = True
        with pytest.raises(Unavailable):
            await desk.reconcile.everything()
        assert (live.order.status, live.misses) == (OrderStatus.ACCEPTED, 0)


async def test_the_loop_outlives_a_venue_that_does_not_answer() -> None:
    """It asks again."""
    async with a_desk() as desk:
        live = await the_order(desk)
        desk.broker.down = True
        await until(lambda: desk.clock.monotonic_ns() - live.moved_ns > 30_000_000)
        desk.broker.down = False
        desk.broker.fill(live.order.order_id, 10, tell=False)
        assert await live.until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)


async def test_nothing_accepted_is_lost_by_a_crash() -> None:
    """Open, unanswered, filled meanwhile: the next process has them all, and the venue got each once."""
    async with a_desk(rhythm=NEVER) as desk:
        filled, working, lost = [await the_order(desk) for _ in range(3)]
        desk.broker.gate.clear()
        unsent = await desk.orders.need((await desk.buy()).order.order_id)
        await desk.journal.flush()
        reborn = after_crash(desk)
        reborn.broker.fill(filled.order.order_id, 10, tell=False)
        del reborn.broker.book[lost.order.order_id]
        async with at_work(reborn):
            again = {live.order.order_id: live.order.status for live in reborn.blotter.open_orders()}
            assert again[working.order.order_id] is OrderStatus.ACCEPTED
            assert again[unsent.order.order_id] is OrderStatus.UNRESOLVED
            found = await reborn.orders.need(filled.order.order_id)
            assert found.order.status is OrderStatus.FILLED
            assert await held(reborn) == 10
            await until(lambda: unsent.order.order_id not in {o.order.order_id for o in reborn.blotter.open_orders()})
            gone = await reborn.orders.need(unsent.order.order_id)
            assert gone.order.reason == "NOT_AT_VENUE"
            assert reborn.broker.submitted == []
        desk.broker.gate.set()


async def test_a_recalled_log_is_the_log_that_was_written() -> None:
    """Chains whole, counters equal, keys remembered, holdings the sum of the fills."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = (await desk.sent(client_order_id="mine")).order.order_id
        desk.broker.fill(order_id, 4)
        await until(lambda: desk.observer.tally.fills == 1)
        await desk.journal.finish()
        reborn = after_crash(desk)
        async with at_work(reborn):
            verify([logged.event for logged in await reborn.store.events(order_id)])
            assert reborn.blotter.statuses == {OrderStatus.PARTIALLY_FILLED: 1}
            assert reborn.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 4 * ONE)
            again = await reborn.sent(client_order_id="mine")
            assert (again.duplicate, again.order.order_id) == (True, order_id)


def _foreign() -> object:
    from builders.orders import venue_order

    return venue_order(None)
