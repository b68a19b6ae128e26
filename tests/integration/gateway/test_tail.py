"""The live end of a stream: every event in order, and a loss that is noticed even in silence."""

import asyncio

import pytest
from nats.errors import Error as NatsError

from fleet.bus import Bus
from services.gateway.websocket import tail as tail_module
from services.gateway.websocket.tail import Broken, Tail, tail
from trading.ids import new_id

STREAM = "TAIL"


@pytest.fixture
async def stream(own_bus: Bus) -> Bus:
    await own_bus.ensure_stream(STREAM, [f"{STREAM}.>"])
    for name in ("a", "b", "c"):
        await tell(own_bus, name)
    return own_bus


@pytest.fixture(autouse=True)
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "SILENCE_S", 0.1)


async def tell(bus: Bus, payload: str) -> None:
    await bus.publish_event(
        f"{STREAM}.x", payload.encode(), event_id=new_id(), event_type="t", source="test", time_ns=0
    )


async def payloads(live: Tail, count: int) -> list[str]:
    return [(await live.next()).data.decode() for _ in range(count)]


async def test_events_come_from_the_given_place_on_and_then_live(stream: Bus) -> None:
    async with tail(stream.jetstream, STREAM, f"{STREAM}.>", 2) as live:
        assert await payloads(live, 2) == ["b", "c"]
        waiting = asyncio.create_task(payloads(live, 1))
        await tell(stream, "d")
        assert await waiting == ["d"]


async def test_an_event_that_was_delivered_and_never_came_breaks_the_tail(stream: Bus) -> None:
    async with tail(stream.jetstream, STREAM, f"{STREAM}.>", 1) as live:
        assert await payloads(live, 1) == ["a"]
        await live._arrived.get()
        with pytest.raises(Broken):
            await live.next()


async def test_a_lost_last_event_is_noticed_in_the_silence_after_it(stream: Bus) -> None:
    async with tail(stream.jetstream, STREAM, f"{STREAM}.>", 1) as live:
        assert await payloads(live, 2) == ["a", "b"]
        await live._arrived.get()
        with pytest.raises(Broken):
            await live.next()


async def test_a_consumer_that_is_gone_is_noticed_in_silence(stream: Bus) -> None:
    async with tail(stream.jetstream, STREAM, f"{STREAM}.>", 1) as live:
        assert await payloads(live, 3) == ["a", "b", "c"]
        await stream.jetstream.delete_stream(STREAM)
        with pytest.raises(NatsError):
            await live.next()
