"""Events reach their handler in order, again and again until they are handled, and never block one another."""

import asyncio
import time

import nats
import pytest
from buses import Consumer, StartConsumer, publish
from nats.js.api import AckPolicy, ConsumerConfig
from waiting import until, within

from fleet import bus as fleet_bus
from fleet.bus import Bus, Message
from fleet.consumption import MAX_DELIVERIES
from trading.errors import InvalidArgument, Unavailable
from trading.ids import new_id


async def test_events_are_handled_in_order_and_acknowledged(consumer: StartConsumer, bus: Bus) -> None:
    reader, subject = await consumer()
    sent = [f"{number}".encode() for number in range(300)]
    for payload in sent:
        await publish(bus, subject, payload)
    await until(lambda: len(reader.handled) == 300, "every event")
    assert reader.handled == sent
    stream = subject.partition(".")[0]

    async def all_acknowledged() -> bool:
        info = await bus.jetstream.consumer_info(stream, "durable")
        return (info.num_ack_pending, info.num_pending) == (0, 0)

    await until(all_acknowledged, "the acks")


async def test_a_backlog_is_handled_in_batches(consumer: StartConsumer, bus: Bus) -> None:
    stream = f"B{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    for _ in range(600):
        await publish(bus, f"{stream}.a")
    reader = Consumer(bus, stream, f"{stream}.>", lambda _payload: None)
    await until(lambda: len(reader.handled) == 600, "the backlog")
    assert len(reader.calls) < 30
    assert max(map(len, reader.calls)) <= 256
    await reader.stop()


@pytest.mark.timed
async def test_a_lone_event_does_not_wait_for_company(consumer: StartConsumer, bus: Bus) -> None:
    reader, subject = await consumer()
    await publish(bus, subject)
    await until(lambda: len(reader.handled) == 1, "the first event")
    waits = []
    for number in range(2, 8):
        started = time.perf_counter()
        await publish(bus, subject)
        await until(lambda seen=number: len(reader.handled) == seen, "the next event")
        waits.append(time.perf_counter() - started)
    assert sorted(waits)[len(waits) // 2] < within(0.2)


async def test_a_failing_event_is_delivered_again(consumer: StartConsumer, bus: Bus) -> None:
    failures = iter([ValueError("first"), ValueError("alone"), ValueError("again")])
    reader, subject = await consumer(lambda _payload: next(failures, None))
    await publish(bus, subject, b"stubborn")
    await until(lambda: reader.handled == [b"stubborn"], "the redelivery")


async def test_a_poison_event_is_given_up_after_five_deliveries_and_blocks_nobody(
    consumer: StartConsumer, bus: Bus, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.consumption.RETRY_WAIT_S", 0.01)
    raw = await nats.connect(nats_url)
    reader, subject = await consumer(lambda payload: InvalidArgument("Not an order.") if payload == b"poison" else None)
    letters = await raw.subscribe(f"dead_letter.{subject}")
    await raw.flush()
    sent = [b"poison" if number == 3 else f"{number}".encode() for number in range(10)]
    for payload in sent:
        await publish(bus, subject, payload, f"{subject}-{payload.decode()}")
    letter = await letters.next_msg(60)
    assert letter.data == b"poison"
    assert letter.headers is not None
    assert letter.headers["ce-id"] == f"{subject}-poison"
    await until(lambda: len(set(reader.handled)) == 9, "the others")
    assert set(reader.handled) == set(sent) - {b"poison"}
    assert sum(call == [b"poison"] for call in reader.calls) >= 5
    await publish(bus, subject, b"after")
    await until(lambda: b"after" in reader.handled, "the stream to go on")
    await raw.close()


async def test_while_a_part_of_the_fleet_is_away_no_event_is_blamed(consumer: StartConsumer, bus: Bus) -> None:
    away = True
    reader, subject = await consumer(lambda _payload: Unavailable("The database does not answer.") if away else None)
    sent = [f"{number}".encode() for number in range(5)]
    for payload in sent:
        await publish(bus, subject, payload)
    await until(lambda: len(reader.calls) > MAX_DELIVERIES, "more attempts than deliveries are allowed")
    assert reader.handled == []
    away = False
    await until(lambda: len(reader.handled) == 5, "the events")
    assert reader.handled == sent


async def test_slow_handling_keeps_its_claim_on_the_events(
    consumer: StartConsumer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.consumption.CLAIM_EVERY_S", 0.1)
    monkeypatch.setattr("fleet.bus.ACK_WAIT_S", 0.5)
    released, calls = asyncio.Event(), 0

    async def handle(_messages: list[Message]) -> None:
        nonlocal calls
        calls += 1
        await released.wait()

    stream = f"C{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    task = asyncio.create_task(bus.consume(stream, "durable", f"{stream}.>", handle))
    await publish(bus, f"{stream}.a")
    await until(lambda: calls == 1, "the delivery")
    config = ConsumerConfig(durable_name="idle", ack_policy=AckPolicy.EXPLICIT, ack_wait=0.5)
    idle = await bus.jetstream.pull_subscribe(f"{stream}.>", "idle", stream, config)
    for _ in range(3):  # once, and twice more because nobody claims it
        await idle.fetch(1, 5)
    info = await bus.jetstream.consumer_info(stream, "durable")
    assert (info.num_redelivered, info.num_ack_pending) == (0, 1)
    released.set()
    task.cancel()


@pytest.mark.timed
async def test_what_a_crashed_consumer_had_fetched_comes_again_soon(bus: Bus, nats_url: str) -> None:
    stream = f"C{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    fetched = asyncio.Event()

    async def crash(_messages: list[Message]) -> None:
        fetched.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(bus.consume(stream, "durable", f"{stream}.>", crash))
    await publish(bus, f"{stream}.a", b"once")
    await fetched.wait()
    task.cancel()
    started = time.perf_counter()
    reader = Consumer(bus, stream, f"{stream}.>", lambda _payload: None)
    await until(lambda: reader.handled == [b"once"], "the redelivery")
    assert time.perf_counter() - started < within(5)
    await reader.stop()


async def test_an_old_consumer_gets_today_s_configuration(bus: Bus) -> None:
    stream = f"O{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    old = ConsumerConfig(
        durable_name="durable", ack_policy=AckPolicy.EXPLICIT, filter_subject=f"{stream}.>", ack_wait=30, max_deliver=-1
    )
    await bus.jetstream.add_consumer(stream, old)
    reader = Consumer(bus, stream, f"{stream}.>", lambda _payload: None)

    async def updated() -> bool:
        config = (await bus.jetstream.consumer_info(stream, "durable")).config
        return config.ack_wait == fleet_bus.ACK_WAIT_S

    await until(updated, "the new configuration")
    await reader.stop()
