"""Following the venue through its outages and ours."""

import asyncio
from dataclasses import replace

import pytest
from builders.execution import RHYTHM, a_desk, assemble, running, until

from services.execution.domain.venue import StreamOpened
from trading.errors import Unavailable
from trading.order import OrderEventKind

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)


async def test_orders_are_taken_once_the_venue_has_answered() -> None:
    """However often it has to be asked."""
    desk = assemble()
    await desk.start()
    desk.broker.down = True
    async with running(desk):
        desk.broker.stream.put_nowait(StreamOpened())
        await asyncio.sleep(0.03)
        with pytest.raises(Unavailable):
            desk.gate.check()
        desk.broker.down = False
        async with asyncio.timeout(60):
            await desk.gate.until_open()


async def test_a_reopened_stream_is_caught_up_with() -> None:
    """What was said while it was down is asked for."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 10, tell=False)
        desk.broker.stream.put_nowait(StreamOpened())
        await until(lambda: desk.observer.tally.fills == 1)


async def test_news_of_an_older_order_waits_for_the_store() -> None:
    """Nothing the venue says is dropped because the log is away."""
    async with a_desk(rhythm=NEVER, closed_in_memory=0) as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.end(order_id, OrderEventKind.CANCELED)
        await until(lambda: desk.blotter.get(order_id) is None)
        await desk.journal.flush()
        desk.store.down = True
        desk.broker.fill(order_id, 3)
        await asyncio.sleep(0.03)
        assert desk.observer.tally.fills == 0
        desk.store.down = False
        await until(lambda: desk.observer.tally.fills == 1)
