"""NATS comes and goes; events do not."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import nats
import psutil
import pytest
from faults import say_nothing, tcp_server
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from servers import accepts, free_port, nats_server, process
from waiting import until

from fleet import bus as fleet_bus
from fleet.bus import Bus, Message, connect
from fleet.consumption import MAX_DELIVERIES
from fleet.metrics import Metrics
from fleet.telemetry import span
from trading.errors import InvalidArgument, Unavailable
from trading.ids import new_id

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"nt_{name}", labels) or 0.0


@asynccontextmanager
async def running(directory: Path, port: int) -> AsyncIterator[str]:
    """A nats-server on a port of our choice, so that it can come back."""
    server = nats_server(directory, port)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def publish(bus: Bus, subject: str, payload: bytes = b"x", event_id: str = "") -> str:
    event_id = event_id or new_id()
    await bus.publish_event(subject, payload, event_id=event_id, event_type="t", source="test", time_ns=0)
    return event_id


async def publish_at_last(bus: Bus, subject: str, payload: bytes = b"x") -> None:
    """Publish one event as a relay does: until it is acknowledged."""
    event_id = new_id()

    async def published() -> bool:
        try:
            await publish(bus, subject, payload, event_id)
        except Unavailable:
            return False
        return True

    await until(published, "JetStream's ack")


class Connected(Protocol):
    """Opens a connection that outlives its server."""

    async def __call__(self, url: str, metrics: Metrics | None = None) -> Bus: ...


class Consumer:
    """Consumes a stream in the background and remembers what was handled."""

    def __init__(self, bus: Bus, stream: str, subject: str, fails: Callable[[bytes], Exception | None]) -> None:
        self.handled: list[bytes] = []
        self.calls: list[list[bytes]] = []
        self._fails = fails
        self._task = asyncio.create_task(bus.consume(stream, "durable", subject, self._handle))

    async def _handle(self, messages: list[Message]) -> None:
        payloads = [message.payload for message in messages]
        self.calls.append(payloads)
        for payload in payloads:
            if error := self._fails(payload):
                raise error
        self.handled += payloads

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


Fails = Callable[[bytes], Exception | None]


class StartConsumer(Protocol):
    """Starts a consumer of a stream of its own; gives it and a subject of the stream."""

    async def __call__(self, fails: Fails = ...) -> tuple[Consumer, str]: ...


@pytest.fixture
async def consumer(bus: Bus) -> AsyncIterator[StartConsumer]:
    """Starts consumers of the shared server, on a stream of their own."""
    started: list[Consumer] = []

    async def start(fails: Fails = lambda _payload: None) -> tuple[Consumer, str]:
        name = f"S{new_id().replace('-', '')}"
        await bus.ensure_stream(name, [f"{name}.>"])
        started.append(Consumer(bus, name, f"{name}.>", fails))
        return started[-1], f"{name}.a"

    yield start
    for each in started:
        await each.stop()


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    """Opens connections that outlive their server."""
    async with AsyncExitStack() as stack:

        async def start(url: str, metrics: Metrics | None = None) -> Bus:
            return await stack.enter_async_context(connect(url, "test", metrics or Metrics()))

        yield start


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


async def _sent_until(bus: Bus, subject: str, heard: "asyncio.Queue[Message]") -> bool:
    await bus.publish(subject, b"payload")
    await bus.flush()
    return not heard.empty()


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
    message = await subscription.next_msg(5)
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
    assert sorted(waits)[len(waits) // 2] < 0.2


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
    letter = await letters.next_msg(20)
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
    await asyncio.sleep(1.5)  # three times the ack wait
    info = await bus.jetstream.consumer_info(stream, "durable")
    assert (info.num_redelivered, info.num_ack_pending) == (0, 1)
    released.set()
    task.cancel()


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
    assert time.perf_counter() - started < 5
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


async def test_an_old_stream_gets_today_s_configuration(bus: Bus) -> None:
    stream = f"O{new_id().replace('-', '')}"
    await bus.jetstream.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.a"]))
    await bus.ensure_stream(stream, [f"{stream}.>"])
    config = (await bus.jetstream.stream_info(stream)).config
    assert (config.subjects, config.max_age) == ([f"{stream}.>"], fleet_bus.MAX_AGE_S)


async def test_a_restarted_server_is_found_again_within_a_second(connected: Connected, tmp_path: Path) -> None:
    port, metrics = free_port(), Metrics()
    got: list[bytes] = []

    async def take(message: Message) -> None:
        got.append(message.payload)

    async with running(tmp_path, port) as url:
        bus = await connected(url, metrics)
        listening = asyncio.create_task(bus.listen("tick", take))
        await until(lambda: _published(bus, got), "the first tick")
    await until(lambda: _is_away(bus), "the loss to be noticed")
    before = count(metrics, "bus_dropped_total", reason="disconnected")
    await bus.publish("tick", b"lost")
    assert count(metrics, "bus_dropped_total", reason="disconnected") == before + 1
    with pytest.raises(Unavailable):
        await publish(bus, "event.a")
    async with running(tmp_path, port):
        started = time.perf_counter()
        got.clear()
        await until(lambda: _published(bus, got), "ticks to flow again")
        took = time.perf_counter() - started
        listening.cancel()
    print(f"reconnected and listening after {took:.3f} s")
    assert took < 1
    assert b"lost" not in got


async def _published(bus: Bus, got: list[bytes]) -> bool:
    await bus.publish("tick", b"tick")
    return bool(got)


async def _is_away(bus: Bus) -> bool:
    try:
        await bus.check()
    except Unavailable:
        return True
    return False


async def test_a_wiped_store_gets_its_stream_and_consumer_back(connected: Connected, tmp_path: Path) -> None:
    port = free_port()
    async with running(tmp_path, port) as url:
        bus = await connected(url)
        await bus.ensure_stream("ORDERS", ["orders.>"])
        reader = Consumer(bus, "ORDERS", "orders.>", lambda _payload: None)
        await publish_at_last(bus, "orders.a", b"before")
        await until(lambda: reader.handled == [b"before"], "the first event")
    await until(lambda: _is_away(bus), "the loss to be noticed")
    shutil.rmtree(tmp_path / "jetstream")
    async with running(tmp_path, port):
        started = time.perf_counter()
        await publish_at_last(bus, "orders.a", b"after")
        await until(lambda: b"after" in reader.handled, "the event of the new store")
        print(f"stream, consumer and event back after {time.perf_counter() - started:.3f} s")
        await reader.stop()
    assert reader.handled == [b"before", b"after"]


async def test_a_stream_deleted_under_us_comes_back_with_the_next_publish(bus: Bus) -> None:
    stream = f"W{new_id().replace('-', '')}"
    await bus.ensure_stream(stream, [f"{stream}.>"])
    await bus.jetstream.delete_stream(stream)
    with pytest.raises(Unavailable, match="try again"):
        await publish(bus, f"{stream}.a")
    await publish(bus, f"{stream}.a")
    assert (await bus.jetstream.stream_info(stream)).state.messages == 1


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


async def test_a_mute_server_holds_the_publisher_back_within_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_bus, "PUBLISH_TIMEOUT_S", 1.0)
    metrics, port = Metrics(), free_port()
    async with running(tmp_path, port) as url, connect(url, "test", metrics) as bus:
        pid = _pid_listening(port)
        os.kill(pid, signal.SIGSTOP)
        try:
            sent = 0
            while not count(metrics, "bus_dropped_total", reason="outbound"):
                await bus.publish("tick", bytes(64 * 1024))
                sent += 1
                assert sent < 1_000
            with pytest.raises(Unavailable, match="NATS does not answer"):
                await bus.flush()
            with pytest.raises(Unavailable, match="JetStream does not answer"):
                await publish(bus, "orders.a")
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: _flushed(bus), "the server to answer again")
    assert sent * 64 * 1024 < 32 * 1024 * 1024


async def _flushed(bus: Bus) -> bool:
    try:
        await bus.flush()
    except Unavailable:
        return False
    return True


def _pid_listening(port: int) -> int:
    return next(
        child.pid
        for child in psutil.Process().children()
        if any(connection.laddr.port == port for connection in child.net_connections())
    )


async def test_a_message_too_long_for_the_server_is_dropped_and_counted(nats_url: str) -> None:
    metrics = Metrics()
    async with connect(nats_url, "test", metrics) as bus:
        await bus.publish("tick", bytes(2 * 1024 * 1024))
        await bus.check()
    assert count(metrics, "bus_dropped_total", reason="outbound") == 1


async def test_without_jetstream_an_event_is_unavailable(bus: Bus) -> None:
    with pytest.raises(Unavailable):
        await publish(bus, f"nobody.{new_id()}")
    with pytest.raises(Unavailable, match="cannot be made"):
        await bus.ensure_stream("BAD", ["a.>", "a.b"])


@pytest.mark.parametrize("login", ["", "trader:hunter2@", "hunter2@", "a//b:hunter2@"])
async def test_an_absent_server_is_unavailable_and_the_password_unsaid(login: str) -> None:
    port = free_port()
    started = time.perf_counter()
    with pytest.raises(Unavailable, match=f"No NATS server answers at nats://127.0.0.1:{port}") as failure:
        async with connect(f"nats://{login}127.0.0.1:{port}", "test", Metrics(), start_timeout_s=0.3):
            raise AssertionError
    assert "hunter2" not in str(failure.value)
    assert time.perf_counter() - started < 2


async def test_somebody_who_listens_and_says_nothing_is_no_nats_server() -> None:
    async with tcp_server(say_nothing) as port:  # it ends when the last caller has left
        with pytest.raises(Unavailable):
            async with connect(f"nats://127.0.0.1:{port}", "test", Metrics(), start_timeout_s=0.5):
                raise AssertionError


async def test_a_wrong_password_is_said_without_saying_it(tmp_path: Path) -> None:
    port = free_port()
    binary = str(Path(sys.executable).with_name("nats-server"))
    command = [binary, "--addr", "127.0.0.1", "--port", str(port), "--user", "trader", "--pass", "right"]
    with process(command, log=tmp_path / "nats.log"):
        await until(lambda: accepts(port), "nats-server")
        async with connect(f"nats://trader:right@127.0.0.1:{port}", "test", Metrics()) as bus:
            await bus.flush()
        with pytest.raises(Unavailable, match=r"(?i)authorization") as failure:
            async with connect(f"nats://trader:hunter2@127.0.0.1:{port}", "t", Metrics(), start_timeout_s=0.5):
                raise AssertionError
    assert "hunter2" not in str(failure.value)


async def test_the_default_patience_at_the_start_is_ten_seconds() -> None:
    assert fleet_bus.START_TIMEOUT_S == 10


@pytest.mark.parametrize(
    "url",
    [
        "nats://a:hunter2@one:4222,nats://b:hunter2@two:4222",
        "hunter2@one:4222",
        "tls://x:hunter2@one",
        "nats://x:hunter2/2@one:4222",
    ],
)
def test_no_form_of_url_shows_its_password(url: str) -> None:
    shown = fleet_bus._public(url)
    assert "hunter2" not in shown
    assert shown.endswith(url.rpartition("@")[2])


async def test_a_server_without_jetstream_is_unavailable_for_events(tmp_path: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("nats-server")), "--addr", "127.0.0.1", "--port", str(port)]
    with process(command, log=tmp_path / "nats.log"):
        await until(lambda: accepts(port), "nats-server")
        async with connect(f"nats://127.0.0.1:{port}", "test", Metrics()) as bus:
            with pytest.raises(Unavailable):
                await publish(bus, "orders.a")
            with pytest.raises(Unavailable, match="cannot be made"):
                await bus.ensure_stream("ORDERS", ["orders.>"])
