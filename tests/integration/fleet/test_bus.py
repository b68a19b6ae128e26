"""Ticks arrive or are counted as lost; events are stored once, with the headers of the contract."""

import asyncio

import nats
import pytest
from buses import count, publish
from nats.js.api import StreamConfig
from waiting import until

from fleet import bus as fleet_bus
from fleet.bus import Bus, Event, Message, connect
from fleet.metrics import Metrics
from fleet.telemetry import span
from trading.errors import InvalidArgument, Unavailable
from trading.ids import new_id

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_tick_arrives_as_it_was_sent_without_headers(bus: Bus) -> None:
    subject = f"tick.{new_id()}"
    heard: asyncio.Queue[Message] = asyncio.Queue()
    listening = asyncio.create_task(bus.listen(subject, heard.put))
    await until(lambda: _sent_until(bus, subject, heard), "the first message")
    assert await heard.get() == Message(subject, b"payload", {})
    listening.cancel()


async def test_a_listener_that_fails_says_so_to_whoever_started_it(bus: Bus) -> None:
    subject, heard = f"tick.{new_id()}", asyncio.Queue[Message]()

    async def take(message: Message) -> None:
        await heard.put(message)
        raise InvalidArgument("This cannot be read.")

    listening = asyncio.create_task(bus.listen(subject, take))
    await until(lambda: _sent_until(bus, subject, heard), "the first message")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        await listening
    await bus.publish(subject, b"payload")
    await bus.flush()
    assert heard.qsize() == 1


async def test_a_hearer_takes_messages_until_it_fails_and_then_says_so(bus: Bus) -> None:
    subject, heard = f"tick.{new_id()}", asyncio.Queue[Message]()

    def take(message: Message) -> None:
        heard.put_nowait(message)
        if heard.qsize() == 2:
            raise InvalidArgument("This cannot be read.")

    hearing = asyncio.create_task(bus.hear(subject, take))
    await until(lambda: _sent_until(bus, subject, heard), "the first message")
    assert bus.publish_at_once(subject, b"payload")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        await hearing
    assert bus.publish_at_once(subject, b"payload")
    await bus.flush()
    assert heard.qsize() == 2


async def test_what_cannot_leave_at_once_is_neither_sent_nor_counted(nats_url: str) -> None:
    metrics = Metrics()
    async with connect(nats_url, "test", metrics) as bus:
        assert not bus.publish_at_once("tick.large", bytes(2 * 1024 * 1024))  # more than the server takes
        assert count(metrics, "bus_published_total") == 0


async def _sent_until(bus: Bus, subject: str, heard: "asyncio.Queue[Message]") -> bool:
    await bus.publish(subject, b"payload")
    await bus.flush()
    return not heard.empty()


async def test_a_slow_listener_loses_messages_that_are_counted(nats_url: str) -> None:
    metrics, subject = Metrics(), f"slow.{new_id()}"
    heard: asyncio.Queue[Message] = asyncio.Queue()
    may_go_on = asyncio.Event()

    async def take(message: Message) -> None:
        await heard.put(message)
        await may_go_on.wait()

    async with connect(nats_url, "test", metrics) as bus:
        listening = asyncio.create_task(bus.listen(subject, take, pending_messages=10))
        await until(lambda: _sent_until(bus, subject, heard), "the first message")
        for _ in range(500):
            await bus.publish(subject, b"tick")
        await bus.flush()
        await until(lambda: count(metrics, "bus_dropped_total", reason="slow_consumer") >= 480, "the losses")
        may_go_on.set()
        await until(lambda: heard.qsize() >= 11, "what was kept")
        listening.cancel()


async def test_a_message_too_long_for_the_server_is_dropped_and_counted(nats_url: str) -> None:
    metrics = Metrics()
    async with connect(nats_url, "test", metrics) as bus:
        await bus.publish("tick", bytes(2 * 1024 * 1024))
        await bus.check()
    assert count(metrics, "bus_dropped_total", reason="outbound") == 1


async def test_an_event_carries_exactly_the_headers_of_the_contract(bus: Bus, nats_url: str) -> None:
    stream = f"H{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    raw = await nats.connect(nats_url)
    subscription = await raw.subscribe(f"{stream}.>")
    await raw.flush()
    time_ns = 1_700_000_000_123_456_789
    with span("order", TRACEPARENT):
        await bus.publish_event(
            f"{stream}.a", b"payload", event_id="id-1", event_type="order.filled", source="execution", time_ns=time_ns
        )
    message = await subscription.next_msg(60)
    assert (message.data, message.headers) == (
        b"payload",
        {
            "Nats-Msg-Id": "id-1",
            "ce-specversion": "1.0",
            "ce-id": "id-1",
            "ce-type": "order.filled",
            "ce-source": "execution",
            "ce-time": "2023-11-14T22:13:20.123456789Z",
            "traceparent": TRACEPARENT,
        },
    )
    await raw.close()


async def test_an_event_outside_a_trace_carries_none(bus: Bus) -> None:
    stream = f"H{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    await publish(bus, f"{stream}.a")
    stored = await bus.jetstream.get_msg(stream, 1)
    assert stored.headers is not None
    assert "traceparent" not in stored.headers


async def test_one_event_id_is_stored_once(bus: Bus) -> None:
    stream = f"D{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    for _ in range(3):
        await publish(bus, f"{stream}.a", event_id="same")
    await publish(bus, f"{stream}.a", event_id="other")
    assert (await bus.jetstream.stream_info(stream)).state.messages == 2


async def test_an_old_stream_gets_today_s_configuration(bus: Bus) -> None:
    stream = f"O{new_id().replace('-', '')}"
    await bus.jetstream.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.a"]))
    await bus.ensure_stream(stream, [f"{stream}.>"])
    config = (await bus.jetstream.stream_info(stream)).config
    assert (config.subjects, config.max_age) == ([f"{stream}.>"], fleet_bus.MAX_AGE_S)


async def test_without_jetstream_an_event_is_unavailable(bus: Bus) -> None:
    with pytest.raises(Unavailable):
        await publish(bus, f"nobody.{new_id()}")
    with pytest.raises(Unavailable, match="cannot be made"):
        await bus.ensure_stream("BAD", ["a.>", "a.b"])


async def test_events_published_together_are_stored_in_their_order_and_answered_one_by_one(bus: Bus) -> None:
    """One that no stream takes is named; the others are stored."""
    stream = f"T{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    subjects = (f"{stream}.a", f"nobody.{stream}", f"{stream}.b")
    events = [Event(subject, subject.encode(), new_id(), "t", "test", 0) for subject in subjects]
    outcomes = await bus.publish_events(events)
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    stored = [(await bus.jetstream.get_msg(stream, place)).data for place in (1, 2)]
    assert stored == [subjects[0].encode(), subjects[2].encode()]
