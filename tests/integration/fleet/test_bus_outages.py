"""NATS comes and goes; events do not."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from buses import Connected, Consumer, count, publish, publish_at_last, running
from nats.aio.client import Client
from servers import free_port
from waiting import until, within

from fleet import bus as fleet_bus
from fleet.bus import Bus, Message, connect
from fleet.metrics import Metrics
from trading.errors import Unavailable
from trading.ids import new_id


@pytest.mark.timed
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
    await until(lambda: _dropped(bus, metrics, before), "a tick to be dropped, and counted")
    with pytest.raises(Unavailable):
        await publish(bus, "event.a")
    async with running(tmp_path, port):
        started = time.perf_counter()
        got.clear()
        await until(lambda: _published(bus, got), "ticks to flow again")
        took = time.perf_counter() - started
        listening.cancel()
    print(f"reconnected and listening after {took:.3f} s")
    assert took < within(1)
    assert b"lost" not in got


async def test_a_bus_closed_during_an_outage_leaves_no_task_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reconnect that is refused in the moment of its cancel hides the cancel; it ends all the same."""
    connecting = asyncio.Event()

    async def refused_late(*_server: object) -> None:
        connecting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
        raise ConnectionRefusedError

    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        async with running(tmp_path, free_port()) as url:
            await stack.enter_async_context(connect(url, "test", Metrics()))
            monkeypatch.setattr(Client, "_connect_to_server", refused_late)
        await connecting.wait()
    await until(lambda: asyncio.all_tasks() == before, "every task to end")


async def _published(bus: Bus, got: list[bytes]) -> bool:
    await bus.publish("tick", b"tick")
    return bool(got)


async def _dropped(bus: Bus, metrics: Metrics, before: float) -> bool:
    """Ticks have a connection of their own, which may notice the loss a moment later."""
    sent = await bus.publish("tick", b"lost")
    assert count(metrics, "bus_dropped_total", reason="disconnected") == before + (not sent)
    return not sent


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
