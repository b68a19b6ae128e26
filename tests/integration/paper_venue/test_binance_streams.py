"""The Binance streams over real sockets: control messages, every stream, books, bounds, the end of a connection."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders.binance_customer import PATIENCE_S, call, flood, say
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def addresses(open_venue: Any) -> Iterator[dict[str, str]]:
    """A lively market with a small weight, so that the limit can be met."""
    with open_venue("--quote-rate", "50", "--trade-rate", "20", "--symbols", "BTC-USDT,AAPL") as running:
        yield running.line["binance"]


def test_a_socket_obeys_and_refuses(addresses: dict[str, str]) -> None:
    with connect(f"{addresses['stream']}/ws", proxy=None) as socket:
        assert say(socket, method="SUBSCRIBE", params=["btcusdt@bookTicker", "aapl@trade"], id=1) == {
            "result": None,
            "id": 1,
        }
        listed = say(socket, method="LIST_SUBSCRIPTIONS", id="x")
        assert listed == {"result": ["btcusdt@bookTicker", "aapl@trade"], "id": "x"}
        refused = say(socket, method="SING", id=None)
        assert (refused["code"], refused["id"]) == (2, None)
        assert "unknown variant" in refused["msg"]
        assert say(socket, method="GET_PROPERTY", params=["combined"], id=2) == {"result": False, "id": 2}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": [7], "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": [f"s{n}@trade" for n in range(1_025)], "id": 1}, 2),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0),
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1),
        ({"method": "LIST_SUBSCRIPTIONS", "id": "x" * 37}, 2),
        ([], 2),
    ],
)
def test_control_messages_that_cannot_be_obeyed(addresses: dict[str, str], message: Any, code: int) -> None:
    with connect(f"{addresses['stream']}/ws", proxy=None) as socket:
        socket.send(json.dumps(message))
        assert json.loads(socket.recv(timeout=PATIENCE_S))["code"] == code


def test_a_connection_can_become_combined_and_forget_a_stream(addresses: dict[str, str]) -> None:
    with connect(f"{addresses['stream']}/ws/btcusdt@depth@100ms/btcusdt@kline_1m", proxy=None) as socket:
        assert say(socket, method="SET_PROPERTY", params=["combined", True], id=1) == {"result": None, "id": 1}
        assert say(socket, method="UNSUBSCRIBE", params=["btcusdt@depth@100ms"], id=2) == {"result": None, "id": 2}
        while "stream" not in (heard := json.loads(socket.recv(timeout=PATIENCE_S))):
            continue

    assert heard["stream"] in ("btcusdt@depth@100ms", "btcusdt@kline_1m")


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("btcusdt@miniTicker", {"e", "c", "o", "h", "l", "v", "q"}),
        ("btcusdt@ticker", {"p", "P", "w", "x", "c"}),
        ("btcusdt@avgPrice", {"i", "w", "T"}),
        ("btcusdt@depth5", {"lastUpdateId", "bids", "asks"}),
        ("btcusdt@aggTrade", {"a", "f", "l", "m"}),
        ("btcusdt@kline_1h", {"e", "k"}),
    ],
)
def test_every_stream_speaks(addresses: dict[str, str], name: str, members: set[str]) -> None:
    with connect(f"{addresses['stream']}/ws/{name}", proxy=None) as socket:
        assert members <= set(json.loads(socket.recv(timeout=PATIENCE_S)))


def test_all_tickers_come_in_one_array(addresses: dict[str, str]) -> None:
    with connect(f"{addresses['stream']}/ws/!miniTicker@arr", proxy=None) as socket:
        assert [each["s"] for each in json.loads(socket.recv(timeout=PATIENCE_S))] == ["BTCUSDT"]


def test_more_streams_in_an_address_than_a_connection_may_have(addresses: dict[str, str]) -> None:
    names = "/".join(f"s{n}@trade" for n in range(1_025))
    with (
        connect(f"{addresses['stream']}/stream?streams={names}", proxy=None) as socket,
        pytest.raises(ConnectionClosed) as closed,
    ):
        socket.recv(timeout=PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_replay_waits_for_its_slowest_customer(open_venue: Any, tmp_path: Path) -> None:
    file = tmp_path / "btc-usdt.csv"
    rows = [f"{1_700_000_000_000 + n},100.{n % 90 + 10},1" for n in range(4_000)]
    file.write_text("\n".join(["timestamp,price,size", *rows]))
    flags = ("--market", str(file), "--symbols", "BTC-USDT", "--speed", "max", "--outbox-frames", "1")
    with (
        open_venue(*flags) as running,
        connect(f"{running.line['binance']['stream']}/ws/btcusdt@trade", proxy=None) as socket,
    ):
        ids = [json.loads(socket.recv(timeout=PATIENCE_S))["t"] for _ in rows]

    assert ids == list(range(1, 4_001))


def test_garbage_is_refused_and_a_flood_ends_the_connection(addresses: dict[str, str]) -> None:
    with connect(f"{addresses['stream']}/ws", proxy=None) as socket:
        socket.send("{")
        assert json.loads(socket.recv(timeout=PATIENCE_S))["code"] == 3
        with pytest.raises(ConnectionClosed) as closed:
            flood(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_differences_follow_a_snapshot_to_the_touch(addresses: dict[str, str]) -> None:
    """The documented way to a local book, checked against the best prices at the end."""
    with connect(f"{addresses['stream']}/ws/btcusdt@depth@100ms", proxy=None) as socket:
        events = [json.loads(socket.recv(timeout=PATIENCE_S))]
        snapshot = call(addresses, "GET", "depth", "symbol=BTCUSDT&limit=5000").json()
        while events[-1]["u"] <= snapshot["lastUpdateId"] or len(events) < 5:
            events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
    bids, last = dict(snapshot["bids"]), snapshot["lastUpdateId"]
    for event in events:
        if event["u"] > last:
            assert event["U"] <= last + 1
            last = event["u"]
            bids |= dict(event["b"])

    left = [float(price) for price, quantity in bids.items() if float(quantity)]
    assert len(left) == 20
    assert max(left) - min(left) == pytest.approx(0.19)


def test_a_connection_has_an_end_that_is_told_before(open_venue: Any) -> None:
    with (
        open_venue("--symbols", "BTC-USDT", "--socket-life-s", "1") as running,
        connect(f"{running.line['binance']['stream']}/stream?streams=nobody@trade", proxy=None) as socket,
    ):
        notice = json.loads(socket.recv(timeout=PATIENCE_S))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)

    assert (notice["stream"], notice["data"]["e"]) == ("!serverShutdown", "serverShutdown")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_who_does_not_read_is_cut_off_and_the_market_goes_on(open_venue: Any) -> None:
    flags = ("--quote-rate", "5000", "--outbox-frames", "1", "--symbols", "BTC-USDT,ETH-USDT")
    with open_venue(*flags) as running:
        address = f"{running.line['binance']['stream']}/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker"
        with connect(address, proxy=None) as socket:
            while running.stats()["connections"]:
                pass  # nothing is read until the venue has given the connection up
            with pytest.raises(ConnectionClosed):
                flood(socket)
        before = running.stats()["said"]["quotes"]["BTC-USDT"]
        while running.stats()["said"]["quotes"]["BTC-USDT"] == before:
            assert running.process.poll() is None
