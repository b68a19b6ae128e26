"""Group commit, the outbox relay, and what an outage of either does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import sentinel

import pytest
from builders.execution import PATIENCE_S, QUICK, RHYTHM, a_desk, assemble, at_work, running, until
from builders.orders import MAIN, venue_order
from fakes.order_stores import FakeOrderStore

from services.execution.domain.adoption import adopted_id
from services.execution.domain.chain import verify
from services.execution.domain.news import differences
from services.execution.domain.order import fold
from services.execution.domain.submission import Wait
from services.execution.domain.venue import VenueTerms
from services.execution.ports.log import Entry, OutboxRow
from trading.errors import Unavailable
from trading.ids import EventId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce


async def test_submits_that_come_together_are_committed_together() -> None:
    """One transaction for all that waited."""
    async with a_desk() as desk:
        desk.broker.gate.clear()
        before = len(desk.store.appends)
        await asyncio.gather(*[desk.buy() for _ in range(20)])
        assert len([append for append in desk.store.appends[before:] if append.entries]) <= 2
        assert len(desk.store.entries) == 40
        desk.broker.gate.set()


async def test_the_log_has_no_gaps() -> None:
    """Places follow one another from 1."""
    async with a_desk() as desk:
        await asyncio.gather(*[desk.sent() for _ in range(10)])
        await desk.journal.flush()
        assert [e.log_sequence for e in desk.store.entries] == list(range(1, len(desk.store.entries) + 1))


async def test_a_batch_is_bounded() -> None:
    """The rest is committed next."""
    async with a_desk(bounds=replace(QUICK, max_batch=3)) as desk:
        await asyncio.gather(*[desk.buy() for _ in range(10)])
        assert max(len(append.entries) for append in desk.store.appends) <= 6
        assert await desk.store.head() >= 20


async def test_what_the_venue_said_survives_an_outage_of_the_store() -> None:
    """Facts are written as soon as the store is back, in their order."""
    store = FakeOrderStore()
    async with a_desk(store=store) as desk:
        order_id = (await desk.sent()).order.order_id
        await desk.journal.flush()
        store.outages = 3
        desk.broker.fill(order_id, 10)
        await until(lambda: any(e.order.status is OrderStatus.FILLED for e in store.entries))


async def test_a_commit_that_was_done_after_all_is_not_done_twice() -> None:
    """Its outcome was unknown; the log is asked first."""
    store = FakeOrderStore()
    async with a_desk(store=store) as desk:
        store.outages = store.written_anyway = 1
        outcome = await desk.sent()
        await desk.journal.flush()
        kinds = [e.event.kind for e in store.entries if e.event.order_id == outcome.order.order_id]
        assert kinds == ["INITIALIZED", "SUBMITTED", "ACCEPTED"]


async def test_everything_is_told_in_the_order_of_the_log() -> None:
    """Creations are told by the verdict that follows them."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 10)
        await until(lambda: len(desk.publisher.published) == 3)
        assert [row.kind for row in desk.publisher.published] == ["SUBMITTED", "ACCEPTED", "FILL"]
        await until(lambda: desk.relay.depth == 0)


async def test_what_was_told_leaves_the_outbox() -> None:
    """Along with a later commit."""
    async with a_desk() as desk:
        await desk.sent()
        await until(lambda: desk.store.waiting == [])


async def test_an_outage_of_jetstream_stops_no_order_and_loses_no_event() -> None:
    """The rows wait."""
    async with a_desk() as desk:
        desk.publisher.outages = 5
        for _ in range(3):
            await desk.sent()
        await until(lambda: len(desk.publisher.published) == 6)
        assert len({row.event_id for row in desk.publisher.published}) == 6


async def test_an_earlier_run_is_told_to_its_end() -> None:
    """Its outbox is read from the store before anything new."""
    async with a_desk() as desk:
        desk.publisher.outages = 10**6
        await desk.sent()
        await desk.journal.flush()
        left = [row.event_id for row in desk.store.waiting]
    reborn = assemble(desk.store, desk.controls, desk.broker)
    async with at_work(reborn):
        await until(lambda: len(reborn.publisher.published) >= len(left))
        assert [row.event_id for row in reborn.publisher.published[: len(left)]] == left


async def test_too_much_to_remember_is_read_from_the_store() -> None:
    """Nothing is told twice or forgotten."""
    desk = assemble()
    desk.relay._capacity = 1
    async with at_work(desk):
        desk.publisher.outages = 20
        await asyncio.gather(*[desk.buy() for _ in range(10)])
        await until(lambda: len(desk.publisher.published) == 20)
        sequences = [row.log_sequence for row in desk.publisher.published]
        assert sequences == sorted(set(sequences))


async def test_the_relay_waits_out_an_outage_of_the_store() -> None:
    """It has to read what an earlier run left."""
    desk = assemble()
    desk.store.down = True
    async with running(desk):
        desk.relay.offer(())
        await asyncio.sleep(0.02)
        desk.store.down = False
        assert await desk.relay.until_empty(PATIENCE_S)


async def test_what_is_committed_while_the_outbox_cannot_be_read_does_not_overtake_it() -> None:
    """Told out of turn it would take the older rows out of the outbox with it."""
    async with a_desk() as desk:
        desk.publisher.outages = 10**6
        await desk.sent()
        await desk.journal.flush()
        older = [row.event_id for row in desk.store.waiting]
    reborn = assemble(desk.store, desk.controls, desk.broker)
    fresh = OutboxRow(10**6, EventId("fresh"), OrderEventKind.ACCEPTED, MAIN, b"", 0)

    async def fail(after: int, limit: int) -> Sequence[OutboxRow]:
        """A commit, and no answer."""
        desk.store.outbox = outbox
        reborn.relay.offer([Entry(10**6, sentinel.event, sentinel.order, fresh)])
        raise Unavailable("The store is down.")

    outbox, desk.store.outbox = desk.store.outbox, fail
    async with at_work(reborn):
        await until(lambda: len(reborn.publisher.published) >= len(older))
        assert [row.event_id for row in reborn.publisher.published[: len(older)]] == older


async def test_what_has_a_history_is_not_abandoned() -> None:
    """A stranger's order is adopted and trades while the log is away; whoever asked for it in vain ends nothing."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=3600.0)) as desk:
        desk.store.down = True
        found = venue_order(None, terms=VenueTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, 10 * ONE))
        await desk.record.adopt(found)
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.orders.need(adopted_id(found))
        filled = replace(found, status=OrderStatus.FILLED, filled_nanos=10 * ONE, avg_price_nanos=100 * ONE)
        for fact in differences(desk.blotter.get(adopted_id(found)).order, filled):
            desk.record.record(desk.blotter.get(adopted_id(found)), fact)
        desk.store.down = False
        await desk.journal.flush()
        life = [logged.event for logged in await desk.store.events(adopted_id(found))]
        verify(life)
        assert fold(life).status is OrderStatus.FILLED


async def test_a_stopping_service_writes_everything_down() -> None:
    """What was under way is finished, committed and told."""
    async with a_desk() as desk:
        orders = [(await desk.buy(Wait.NONE)).order.order_id for _ in range(5)]
    statuses = {e.order.order_id: e.order.status for e in desk.store.entries}
    assert [statuses[order_id] for order_id in orders] == [OrderStatus.ACCEPTED] * 5
    assert desk.store.waiting == []
    assert set(desk.store.timings) == set(orders)


async def test_the_end_waits_for_the_commit_that_is_under_way() -> None:
    """Even where nothing else waits: what was published must not be told again."""
    async with a_desk() as desk:
        await desk.sent()
        await desk.journal.flush()
        desk.store.delay_s = 0.05
        desk.journal.note_published(desk.store.entries[-1].log_sequence)
        await until(lambda: desk.store.writing)
        await desk.journal.finish()
        assert desk.store.waiting == []


async def test_a_stopping_service_takes_no_more_orders() -> None:
    """It says so."""
    async with a_desk() as desk:
        pass
    outcome = (await asyncio.gather(desk.buy(), return_exceptions=True))[0]
    assert "stopping" in str(outcome)


async def test_the_queue_tells_how_full_it_is() -> None:
    """For the statistics."""
    async with a_desk(bounds=replace(QUICK, max_pending=100)) as desk:
        assert desk.journal.utilization == 0
        desk.store.down = True
        submit = asyncio.create_task(desk.buy(quantity_nanos=ONE))
        await until(lambda: desk.journal.utilization == 0.02)
        desk.store.down = False
        await submit
        assert desk.journal.utilization < 0.02


async def test_rows_that_others_put_into_the_outbox_are_told_too() -> None:
    """The bell rings for ours as well, which are not told twice."""
    async with a_desk() as desk:
        await desk.sent()
        await until(lambda: len(desk.publisher.published) == 2)
        foreign = replace(desk.publisher.published[-1], log_sequence=1_000, event_id=EventId("foreign"))
        desk.store.waiting.append(foreign)
        for place in (desk.store.entries[-1].log_sequence, 1_000):
            desk.bell.rung.put_nowait(place)
        await until(lambda: len(desk.publisher.published) == 3)
        assert desk.publisher.published[-1] == foreign
        assert await desk.relay.until_empty(PATIENCE_S)
