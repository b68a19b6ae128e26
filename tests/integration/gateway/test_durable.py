"""Durable channels: every event once and in order, across clients, gateways and outages of NATS."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from builders.gateway import EVENT_NS, a_position_change, an_order_event
from contracts.stream_shapes import complaints
from fakes.backends import FakeFleet
from integration.gateway.conftest import Client, Gateway, eventually, running
from servers import free_port, nats_server

from fleet import subjects
from fleet.bus import Bus
from fleet.bus import connect as connect_bus
from fleet.metrics import Metrics
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from trading.errors import Unavailable


async def tell_order(bus: Bus, log_sequence: int, account: str = "main") -> None:
    """Publish an event of an order as execution does."""
    event = an_order_event(log_sequence, account)
    await _tell(bus, subjects.order_event("accepted", account), event.SerializeToString(), event.event_id)


async def tell_position(bus: Bus, account_sequence: int, account: str = "main") -> None:
    """Publish a change of a position as portfolio does."""
    changed = a_position_change(account_sequence, account)
    name = f"{account}-{changed.event_id}"
    await _tell(bus, subjects.position_changed(account), changed.SerializeToString(), name)


async def _tell(bus: Bus, subject: str, payload: bytes, event_id: str) -> None:
    await bus.publish_event(subject, payload, event_id=event_id, event_type="test", source="test", time_ns=EVENT_NS)


async def make_streams(bus: Bus) -> None:
    """What execution and portfolio do when they start."""
    await bus.ensure_stream(subjects.ORDER_STREAM, [subjects.ORDERS_ALL])
    await bus.ensure_stream(subjects.POSITION_STREAM, [subjects.PORTFOLIO_ALL])


@pytest.fixture
async def streams(own_bus: Bus) -> Bus:
    """The durable streams, empty."""
    await make_streams(own_bus)
    return own_bus


async def cursors(client: Client, channel: str, count: int) -> list[str]:
    """Cursors of the next updates of a channel."""
    return [(await client.next_of(channel))["cursor"] for _ in range(count)]


async def test_orders_begin_with_the_working_ones_and_go_on_live(streams: Bus, streaming: Gateway) -> None:
    await tell_order(streams, 4)
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders"})
        snapshot = await client.next_of("orders", "snapshot")
        assert (snapshot["cursor"], snapshot["data"]["account"]) == ("4", "main")
        assert snapshot["data"]["orders"][0]["status"] == "FILLED"
        await tell_order(streams, 6)
        update = await client.next_of("orders")
        assert (update["cursor"], update["data"]["log_sequence"], update["seq"]) == ("6", "6", 2)
        assert [complaints(frame) for frame in client.frames if complaints(frame)] == []
    asked = streaming.fleet.script.heard(execution.ListOrdersRequest)
    assert len(asked[0].statuses) == 10


async def test_positions_begin_with_what_is_held_and_go_on_live(streams: Bus, streaming: Gateway) -> None:
    async with streaming.client() as client:
        await client.subscribe({"channel": "positions", "account": "main"})
        snapshot = await client.next_of("positions", "snapshot")
        assert (snapshot["cursor"], snapshot["data"]["positions"][0]["symbol"]) == ("0", "AAPL")
        await tell_position(streams, 1)
        update = await client.next_of("positions")
        assert (update["cursor"], update["data"]["cash"]) == ("1", "98105")
        assert [complaints(frame) for frame in client.frames if complaints(frame)] == []


async def test_a_client_resumes_where_it_left(streams: Bus, streaming: Gateway) -> None:
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders"})
        await client.next_of("orders", "snapshot")
        await tell_order(streams, 1)
        await cursors(client, "orders", 1)
    for sequence in (3, 4, 9):
        await tell_order(streams, sequence)
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders", "after": "1"})
        assert await cursors(client, "orders", 3) == ["3", "4", "9"]
        await tell_order(streams, 10)
        assert await cursors(client, "orders", 1) == ["10"]
        assert {frame["type"] for frame in client.frames if "type" in frame} == {"update"}


async def test_a_new_gateway_resumes_what_an_old_one_began(streams: Bus, fleet: FakeFleet, own_nats_url: str) -> None:
    for sequence in range(1, 6):
        await tell_position(streams, sequence)
    async with running(fleet, own_nats_url) as gateway, gateway.client() as client:
        await client.subscribe({"channel": "positions"}, after=2)
        assert await cursors(client, "positions", 3) == ["3", "4", "5"]


async def test_each_account_has_a_cursor_of_its_own(streams: Bus, streaming: Gateway) -> None:
    streaming.fleet.execution.accounts = ["main", "other"]
    for sequence, account in ((1, "main"), (2, "other"), (3, "main"), (4, "other")):
        await tell_order(streams, sequence, account)
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders", "account": "other", "after": 2})
        assert await cursors(client, "orders", 1) == ["4"]
        ack = await client.subscribe({"channel": "orders", "accounts": ["main"], "after": 0})
        assert ack["subscriptions"] == [{"channel": "orders", "keys": ["main", "other"]}]
        assert await cursors(client, "orders", 2) == ["1", "3"]


async def test_a_long_past_is_sent_whole_through_a_small_queue(
    streams: Bus, fleet: FakeFleet, own_nats_url: str
) -> None:
    await asyncio.gather(*(tell_position(streams, sequence) for sequence in range(1, 301)))
    async with running(fleet, own_nats_url, stream_queue_max=16) as gateway, gateway.client() as client:
        await client.subscribe({"channel": "positions", "after": 0})
        assert sorted(map(int, await cursors(client, "positions", 300))) == list(range(1, 301))


async def test_a_cursor_from_the_future_is_a_gap_and_a_snapshot(streams: Bus, streaming: Gateway) -> None:
    await tell_order(streams, 1)
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders", "after": "99"})
        assert (await client.next_of("orders", "gap"))["data"]["after"] == "99"
        assert (await client.next_of("orders", "snapshot"))["cursor"] == "1"
        await tell_order(streams, 2)
        assert await cursors(client, "orders", 1) == ["2"]


async def test_events_that_are_gone_are_a_gap_and_a_snapshot(streams: Bus, streaming: Gateway) -> None:
    for sequence in range(1, 5):
        await tell_order(streams, sequence)
    await streams.jetstream.purge_stream(subjects.ORDER_STREAM, seq=3)
    async with streaming.client() as client:
        await client.subscribe({"channel": "orders", "after": 1})
        await client.next_of("orders", "gap")
        assert (await client.next_of("orders", "snapshot"))["cursor"] == "4"
        await client.subscribe({"channel": "orders", "after": 3})
        assert await cursors(client, "orders", 1) == ["4"]


async def test_an_event_that_makes_no_sense_is_passed_over(streams: Bus, streaming: Gateway) -> None:
    async with streaming.client() as client:
        await client.subscribe({"channel": "positions"})
        await client.next_of("positions", "snapshot")
        await _tell(streams, subjects.position_changed("main"), b"\xff\xff", "poison")
        await tell_position(streams, 1)
        assert await cursors(client, "positions", 1) == ["1"]
    await _tell(streams, subjects.position_changed("main"), b"\xff\xff", "poison-2")
    async with streaming.client() as client:
        await client.subscribe({"channel": "positions"})
        await client.next_of("positions", "snapshot")
        await client.subscribe({"channel": "positions", "after": 0})
        await tell_position(streams, 2)
        assert await cursors(client, "positions", 2) == ["1", "2"]


async def test_events_during_an_outage_of_nats_all_arrive(fleet: FakeFleet, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as servers:
        url = servers.enter_context(nats_server(tmp_path, port))
        async with connect_bus(url, "test", Metrics()) as bus:
            await make_streams(bus)
            async with running(fleet, url) as gateway, gateway.client() as client:
                await client.subscribe({"channel": "positions"})
                await client.next_of("positions", "snapshot")
                await tell_position(bus, 1)
                assert await cursors(client, "positions", 1) == ["1"]
                servers.close()
                servers.enter_context(nats_server(tmp_path, port))
                for sequence in (2, 3):
                    await _until_told(bus, sequence)
                assert await cursors(client, "positions", 2) == ["2", "3"]


async def _until_told(bus: Bus, sequence: int) -> None:
    async def told() -> bool:
        try:
            await tell_position(bus, sequence)
        except Unavailable:
            return False
        return True

    await eventually(told)


async def test_without_streams_a_durable_channel_begins_empty(streaming: Gateway) -> None:
    """Before execution has ever run there is nothing to resume, and nothing to be wrong about."""
    async with streaming.client() as client:
        ack: dict[str, Any] = await client.subscribe({"channel": "orders"})
        assert ack["op"] == "ack"
        assert (await client.next_of("orders", "snapshot"))["cursor"] == "0"
