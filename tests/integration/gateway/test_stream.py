"""The stream over real WebSockets, NATS and gRPC."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import websockets
from builders.gateway import (
    EVENT_NS,
    a_bar,
    a_signal,
    an_account,
    quote_block,
    trade_block,
)
from contracts.stream_shapes import complaints
from fakes.backends import FakeFleet
from integration.gateway.conftest import KEY, Client, Gateway, eventually, running

from fleet import subjects
from fleet.bus import Bus
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from trading.market import Interval

AAPL_QUOTES = subjects.quote("paper", "AAPL")
AAPL_TRADES = subjects.trade("paper", "AAPL")


@pytest.fixture
async def client(streaming: Gateway) -> AsyncIterator[Client]:
    """A client that is known by its header; whatever it got kept the contract."""
    async with streaming.client() as connected:
        yield connected
    assert [(frame, found) for frame in connected.frames if (found := complaints(frame))] == []
    seen: dict[str, list[int]] = {}
    for frame in connected.frames:
        if "seq" in frame:
            seen.setdefault(frame["channel"], []).append(frame["seq"])
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in seen.values())


async def hears(gateway: Gateway, bus: Bus) -> None:
    """Wait until the gateway listens on NATS: a subscription takes effect a moment after it was asked for."""
    async with gateway.client() as probe:
        await probe.subscribe({"channel": "bars", "symbols": ["BTC-USDT"]})
        got = asyncio.create_task(probe.next_of("bars"))
        while not got.done():
            bar = a_bar("BTC-USDT").SerializeToString()
            await bus.publish(subjects.bar(Interval.ONE_MINUTE, "paper", "BTC-USDT"), bar)
            await asyncio.wait([got], timeout=0.05)
        await got


async def test_the_ack_carries_the_state_and_the_snapshot_comes_first(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    ack = await client.subscribe({"channel": "quotes", "symbols": ["AAPL", "BTC/USD"]}, id="a")
    assert (ack["ack"], ack["id"]) == ("subscribe", "a")
    assert ack["subscriptions"] == [{"channel": "quotes", "keys": ["AAPL", "BTC-USDT"]}]
    first = await client.next_of("quotes", "snapshot")
    assert (first["symbol"], first["seq"], first["data"]["bid"]) == ("AAPL", 1, 189.99)
    await client.next_of("quotes", "snapshot")
    await own_bus.publish(AAPL_QUOTES, quote_block(bid=200))
    update = await client.next_of("quotes")
    assert (update["seq"], update["data"]["bid"], update["data"]["ask"]) == (3, 200.0, 201.0)
    assert "skipped" not in update


async def test_a_block_of_quotes_is_its_newest_and_says_what_it_skipped(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]})
    await own_bus.publish(AAPL_QUOTES, quote_block(count=5, first=0))
    assert (await client.next_of("quotes"))["skipped"] == 4
    await own_bus.publish(AAPL_QUOTES, quote_block(first=8))
    assert (await client.next_of("quotes"))["skipped"] == 3


async def test_every_trade_comes_and_a_loss_on_the_way_is_a_gap(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "trades", "symbols": ["AAPL"]})
    await own_bus.publish(AAPL_TRADES, trade_block(count=3))
    trades = [await client.next_of("trades") for _ in range(3)]
    assert [trade["data"]["trade_id"] for trade in trades] == ["0", "1", "2"]
    assert trades[0]["data"]["side"] == "BUY"
    await own_bus.publish(AAPL_TRADES, trade_block(first=10))
    gap = await client.next_of("trades", "gap")
    assert gap["data"]["missed"] == 7
    assert (await client.next_of("trades"))["data"]["trade_id"] == "10"


async def test_the_last_trade_is_part_of_the_quote(client: Client, streaming: Gateway, own_bus: Bus) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "trades"}, {"channel": "quotes"})
    await own_bus.publish(AAPL_TRADES, trade_block(price=195))
    await client.next_of("trades")
    await own_bus.publish(AAPL_QUOTES, quote_block())
    assert (await client.next_of("quotes"))["data"]["last_price"] == 195.0


async def test_bars_and_signals_come_live_and_the_newest_is_the_snapshot(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "bars"}, {"channel": "signals"})
    await own_bus.publish(subjects.bar(Interval.ONE_MINUTE, "paper", "AAPL"), a_bar().SerializeToString())
    await own_bus.publish(subjects.signal("momentum-v1", "AAPL"), a_signal().SerializeToString())
    bar = await client.until(lambda frame: frame.get("channel") == "bars" and frame["symbol"] == "AAPL")
    signal = await client.next_of("signals")
    assert (bar["data"]["close"], bar["data"]["interval"]) == (190.0, "1m")
    assert (signal["data"]["side"], signal["data"]["horizon_ns"]) == ("BUY", "1000000000")
    async with streaming.client() as later:
        await later.subscribe({"channel": "signals", "symbols": ["AAPL"]}, {"channel": "bars", "symbols": ["AAPL"]})
        assert (await later.next_of("signals", "snapshot"))["data"] == signal["data"]
        assert (await later.next_of("bars", "snapshot"))["data"] == bar["data"]


async def test_a_gap_of_the_feed_is_said_on_its_channels(client: Client, streaming: Gateway, own_bus: Bus) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]}, {"channel": "system"})
    state = await client.next_of("system", "snapshot")
    assert state["data"]["venues"] == [{"venue": "paper", "state": "UP"}]
    gap = pb.Gap(venue="paper", symbol="AAPL", from_time_ns=1, to_time_ns=EVENT_NS, reason="reset")
    await own_bus.publish(subjects.gap("paper", "AAPL"), gap.SerializeToString())
    assert (await client.next_of("quotes", "gap"))["data"]["to_ns"] == str(EVENT_NS)
    assert (await client.next_of("system"))["data"]["event"] == "gap"


async def test_a_stale_venue_marks_its_quotes(client: Client, streaming: Gateway, own_bus: Bus) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]}, {"channel": "system"})
    for state, is_stale in ((pb.VENUE_STATE_STALE, True), (pb.VENUE_STATE_UP, False)):
        status = pb.VenueStatus(venue="paper", state=state, reason="silence", time_ns=EVENT_NS)
        await own_bus.publish(subjects.venue_status("stale", "paper"), status.SerializeToString())
        await client.next_of("system")
        await own_bus.publish(AAPL_QUOTES, quote_block())
        assert (await client.next_of("quotes"))["data"]["stale"] is is_stale


async def test_a_message_that_makes_no_sense_does_not_stop_the_stream(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]})
    await own_bus.publish(AAPL_QUOTES, b"\xff\xff")
    await own_bus.publish(AAPL_QUOTES, quote_block(bid=7))
    assert (await client.next_of("quotes"))["data"]["bid"] == 7.0


async def test_an_account_is_sent_when_it_changes(client: Client, streaming: Gateway) -> None:
    await client.subscribe({"channel": "account", "account": "main"})
    assert (await client.next_of("account", "snapshot"))["data"]["equity"] == "100005"
    streaming.fleet.portfolio.account = an_account(trading_state="HALTED")
    changed = await client.until(
        lambda frame: frame.get("channel") == "account" and frame["data"]["trading_state"] == "HALTED"
    )
    assert changed["type"] == "update"


async def test_a_symbol_without_a_quote_is_followed_without_a_snapshot(
    client: Client, streaming: Gateway, own_bus: Bus
) -> None:
    await hears(streaming, own_bus)
    streaming.fleet.market_data.quotes.clear()
    await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]})
    await own_bus.publish(AAPL_QUOTES, quote_block())
    assert (await client.next_of("quotes"))["seq"] == 1


async def test_heartbeats_come_unasked_and_pongs_when_asked(client: Client) -> None:
    await client.until(lambda frame: frame.get("op") == "heartbeat")
    await client.say("ping", id="p")
    assert (await client.until(lambda frame: frame.get("op") == "pong"))["id"] == "p"


async def test_unsubscribing_ends_it(client: Client, streaming: Gateway, own_bus: Bus) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "quotes"}, {"channel": "trades", "symbols": ["AAPL"]})
    await client.say("unsubscribe", channels=[{"channel": "quotes"}])
    ack = await client.until(lambda frame: frame.get("ack") == "unsubscribe")
    assert ack["subscriptions"] == [{"channel": "trades", "keys": ["AAPL"]}]
    await own_bus.publish(AAPL_QUOTES, quote_block())
    await own_bus.publish(AAPL_TRADES, trade_block())
    await client.next_of("trades")
    assert all(frame.get("channel") != "quotes" or frame["type"] == "snapshot" for frame in client.frames)


async def test_everything_of_a_channel_is_one_subscription(client: Client, streaming: Gateway, own_bus: Bus) -> None:
    await hears(streaming, own_bus)
    await client.subscribe({"channel": "trades", "symbols": ["AAPL"]})
    ack = await client.subscribe({"channel": "trades"})
    assert ack["subscriptions"] == [{"channel": "trades", "keys": ["*"]}]
    ack = await client.subscribe({"channel": "trades", "symbols": ["AAPL"]})
    assert ack["subscriptions"] == [{"channel": "trades", "keys": ["*"]}]
    await own_bus.publish(AAPL_TRADES, trade_block())
    await own_bus.publish(AAPL_TRADES, trade_block(first=1))
    got = [await client.next_of("trades") for _ in range(2)]
    assert [frame["data"]["trade_id"] for frame in got] == ["0", "1"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{bad", "MALFORMED_MESSAGE"),
        ("[" * 50_000, "INVALID_ARGUMENT"),
        ('{"op":"dance"}', "UNKNOWN_OP"),
        ("{}", "INVALID_ARGUMENT"),
        ('{"op":"subscribe","channels":[{"channel":"quotes","symbols":["NOSUCH"]}]}', "UNKNOWN_SYMBOL"),
        ('{"op":"subscribe","channels":[{"channel":"quotes","symbols":["a b"]}]}', "INVALID_ARGUMENT"),
        ('{"op":"subscribe","channels":[{"channel":"orders","account":"other"}]}', "UNKNOWN_ACCOUNT"),
        ('{"op":"subscribe","channels":[{"channel":"orders","symbols":["AAPL"]}]}', "INVALID_ARGUMENT"),
        ('{"op":"subscribe","channels":[{"channel":"quotes","account":"main"}]}', "INVALID_ARGUMENT"),
    ],
)
async def test_a_bad_command_is_an_error_frame_and_nothing_more(client: Client, text: str, code: str) -> None:
    await client.socket.send(text)
    error = await client.until(lambda frame: frame.get("op") == "error")
    assert error["code"] == code
    assert (await client.subscribe({"channel": "bars", "symbols": ["AAPL"]}))["op"] == "ack"


async def test_a_subscription_is_whole_or_nothing(client: Client) -> None:
    channels = [{"channel": "quotes", "symbols": ["AAPL"]}, {"channel": "quotes", "symbols": ["NOSUCH"]}]
    assert (await client.subscribe(*channels))["op"] == "error"
    assert (await client.subscribe({"channel": "system"}))["subscriptions"] == [{"channel": "system", "keys": [""]}]


async def test_a_silent_service_is_an_error_frame(client: Client, streaming: Gateway) -> None:
    await streaming.fleet.stop("market_data")
    error = await client.subscribe({"channel": "quotes", "symbols": ["AAPL"]})
    assert error["code"] == "UNAVAILABLE"
    assert "127.0.0.1" not in error["message"]


async def _read_to_the_end(socket: Any) -> None:
    while True:
        await socket.recv()


async def closed_by(socket: Any) -> int:
    """Read until the server closes; the code it gave."""
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(60):
            await _read_to_the_end(socket)
    return int(socket.close_code)


async def test_the_first_message_may_show_the_key(streaming: Gateway) -> None:
    async with websockets.connect(streaming.stream_url, proxy=None) as socket:
        await socket.send(json.dumps({"op": "auth", "key": KEY}))
        assert json.loads(await socket.recv())["ack"] == "auth"


async def test_a_command_before_the_key_closes(streaming: Gateway) -> None:
    async with websockets.connect(streaming.stream_url, proxy=None) as socket:
        await socket.send(json.dumps({"op": "ping"}))
        assert await closed_by(socket) == 4401


async def test_a_wrong_key_closes(streaming: Gateway) -> None:
    async with websockets.connect(streaming.stream_url, proxy=None) as socket:
        await socket.send(json.dumps({"op": "auth", "key": "wrong"}))
        assert await closed_by(socket) == 4401


async def test_a_key_in_the_query_counts_for_nothing(streaming: Gateway) -> None:
    async with websockets.connect(f"{streaming.stream_url}?key={KEY}&token={KEY}", proxy=None) as socket:
        await socket.send(json.dumps({"op": "ping"}))
        assert await closed_by(socket) == 4401


async def test_a_wrong_header_is_401_before_the_upgrade(streaming: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(streaming.stream_url, additional_headers={"Authorization": "Bearer x"}, proxy=None)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["request_id"]
    assert "handshake" not in caplog.text  # an outsider's mistake is no error of ours
    assert refused.value.response.headers["content-type"] == "application/problem+json"


async def test_a_client_without_a_key_may_not_linger(fleet: FakeFleet, own_nats_url: str) -> None:
    async with (
        running(fleet, own_nats_url, stream_auth_seconds=0.1) as gateway,
        websockets.connect(gateway.stream_url, proxy=None) as socket,
    ):
        assert await closed_by(socket) == 4408


async def test_a_binary_message_closes(streaming: Gateway) -> None:
    async with streaming.client() as client:
        await client.socket.send(b"\x00")
        assert await closed_by(client.socket) == 1003


async def test_a_message_too_large_closes(fleet: FakeFleet, own_nats_url: str) -> None:
    async with running(fleet, own_nats_url, stream_message_bytes_max=2048) as gateway, gateway.client() as client:
        await client.socket.send("x" * 4096)
        assert await closed_by(client.socket) == 1009


async def test_subscriptions_have_a_limit(fleet: FakeFleet, own_nats_url: str) -> None:
    async with running(fleet, own_nats_url, stream_symbols_max=1) as gateway, gateway.client() as client:
        error = await client.subscribe({"channel": "trades", "symbols": ["AAPL", "BTC-USDT"]})
        assert error["code"] == "TOO_MANY_SUBSCRIPTIONS"


async def test_clients_have_a_limit(fleet: FakeFleet, own_nats_url: str) -> None:
    async with (
        running(fleet, own_nats_url, stream_clients_max=1) as gateway,
        gateway.client(),
        gateway.client() as second,
    ):
        assert await closed_by(second.socket) == 1013


async def test_a_gateway_that_stops_says_that_it_goes_away(fleet: FakeFleet, own_nats_url: str) -> None:
    async with running(fleet, own_nats_url) as gateway:
        client = gateway.client()
        connected = await client.__aenter__()
        await connected.subscribe({"channel": "trades"})
    assert await closed_by(connected.socket) == 1001
    await client.__aexit__(None, None, None)


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_sent_away_and_no_other_notices(
    fleet: FakeFleet, own_nats_url: str, own_bus: Bus
) -> None:
    async with running(fleet, own_nats_url, stream_queue_max=512) as gateway, gateway.client() as good:
        await hears(gateway, own_bus)
        await good.subscribe({"channel": "trades", "symbols": ["AAPL"]})
        async with gateway.client(max_queue=1) as slow:
            await slow.say("subscribe", channels=[{"channel": "trades", "symbols": ["AAPL"]}])
            sent = 0
            evicted = {"reason": "evicted"}
            while not gateway.metrics.registry.get_sample_value("nt_ws_dropped_total", evicted):
                await own_bus.publish(AAPL_TRADES, trade_block(count=200, first=sent))
                sent += 200
                last = str(sent - 1)
                await good.until(lambda frame, last=last: frame.get("data", {}).get("trade_id") == last)
    ids = [int(frame["data"]["trade_id"]) for frame in good.frames if frame.get("type") == "update"]
    assert ids == list(range(sent))
    assert gateway.metrics.registry.get_sample_value("nt_ws_clients") == 0


async def test_a_client_that_leaves_is_forgotten(streaming: Gateway) -> None:
    async with streaming.client() as client:
        await client.subscribe({"channel": "quotes"})
        assert streaming.metrics.registry.get_sample_value("nt_ws_clients") == 1
    await eventually(lambda: streaming.metrics.registry.get_sample_value("nt_ws_clients") == 0)
