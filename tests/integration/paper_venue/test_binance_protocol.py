"""The Binance protocol over real sockets: signatures, limits, control messages, sessions, the end of a connection."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from servers import REPOSITORY
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from services.paper_venue.binance.ed25519 import SigningKey

PATIENCE_S = 20
SAMPLES = REPOSITORY.parent / "shared" / "payloads" / "binance" / "rest"


@pytest.fixture(scope="module")
def addresses(open_venue: Any) -> Iterator[dict[str, str]]:
    """A lively market with a small weight, so that the limit can be met."""
    with open_venue("--quote-rate", "50", "--trade-rate", "20", "--symbols", "BTC-USDT,AAPL") as running:
        yield running.line["binance"]


def signed(addresses: dict[str, str], **values: object) -> str:
    """A query with its time and its HMAC."""
    query = urlencode({"timestamp": round(time.time() * 1000)} | values)
    return f"{query}&signature={hmac.new(addresses['secret'].encode(), query.encode(), hashlib.sha256).hexdigest()}"


def call(addresses: dict[str, str], verb: str, path: str, query: str = "", **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        shown = {"X-MBX-APIKEY": addresses["key"]} | headers
        return client.request(verb, f"{addresses['rest']}/api/v3/{path}?{query}", headers=shown)


def say(socket: ClientConnection, **message: object) -> Any:
    """Send a request and wait for its answer, past everything that streams."""
    socket.send(json.dumps(message))
    while True:
        heard = json.loads(socket.recv(timeout=PATIENCE_S))
        if "e" not in heard and "stream" not in heard and "event" not in heard:
            return heard


def flood(socket: ClientConnection) -> None:
    """More messages than a second allows, then listen."""
    for _ in range(20):
        socket.send("{}")
    while True:
        socket.recv(timeout=PATIENCE_S)


def test_answers_tell_what_has_been_used(addresses: dict[str, str]) -> None:
    first = call(addresses, "GET", "depth", "symbol=BTCUSDT&limit=5000")
    second = call(addresses, "GET", "depth", "symbol=BTCUSDT&limit=100")
    used = [int(answer.headers["X-MBX-USED-WEIGHT-1M"]) for answer in (first, second)]

    assert used[1] - used[0] == 5 or used[1] == 5  # a new minute may have begun
    assert used[0] >= 250


def test_too_much_weight_is_429_with_a_time_to_wait(open_venue: Any) -> None:
    with open_venue("--symbols", "BTC-USDT", "--weight-limit", "30") as running:
        answers = [call(running.line["binance"], "GET", "exchangeInfo") for _ in range(4)]

    refused = next(answer for answer in answers if answer.status_code == 429)  # a new minute may have begun
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert 0 < int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("query", "key", "status", "code"),
    [
        ("timestamp=1&signature=00", "good", 400, -1021),
        ("", "good", 400, -1102),
        ("signed", "", 401, -2014),
        ("signed", "other", 401, -2015),
        ("forged", "good", 400, -1022),
    ],
)
def test_who_may_not_come_in_is_told_why(
    addresses: dict[str, str], query: str, key: str, status: int, code: int
) -> None:
    query = signed(addresses) if query == "signed" else query
    query = signed(addresses | {"secret": "other"}) if query == "forged" else query
    answer = call(addresses, "GET", "account", query, **({} if key == "good" else {"X-MBX-APIKEY": key}))

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_orders_count_and_times_may_be_microseconds(addresses: dict[str, str]) -> None:
    query = signed(addresses, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    answer = call(addresses, "POST", "order", query, **{"X-MBX-TIME-UNIT": "MICROSECOND"})

    assert answer.json()["status"] == "FILLED"
    assert answer.json()["transactTime"] > 10**15
    assert int(answer.headers["X-MBX-ORDER-COUNT-1D"]) >= 1


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


def test_a_session_is_opened_with_ed25519_and_then_needs_no_signature(addresses: dict[str, str]) -> None:
    seed = base64.b64decode(addresses["ed25519_key"].splitlines()[1])[-32:]
    now_ms = round(time.time() * 1000)
    text = f"apiKey={addresses['key']}&timestamp={now_ms}"
    signature = base64.b64encode(SigningKey(seed).sign(text.encode())).decode()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "timestamp": now_ms}

    with connect(addresses["ws_api"], proxy=None) as socket:
        assert say(socket, id=1, method="order.place", params=order)["error"]["code"] == -2014
        opened = say(
            socket,
            id=2,
            method="session.logon",
            params={"apiKey": addresses["key"], "timestamp": now_ms, "signature": signature},
        )
        assert (opened["status"], opened["result"]["apiKey"]) == (200, addresses["key"])
        assert opened["rateLimits"][0]["limit"] == 6_000
        assert say(socket, id=3, method="userDataStream.subscribe")["result"] == {"subscriptionId": 0}
        socket.send(json.dumps({"id": 4, "method": "order.place", "params": order}))
        heard = [json.loads(socket.recv(timeout=PATIENCE_S)) for _ in range(5)]
        assert say(socket, id=5, method="sing", params={"returnRateLimits": False}) == {
            "id": 5,
            "status": 400,
            "error": {"code": -1141, "msg": "Unknown method."},
        }

    events = [message["event"]["e"] for message in heard if "event" in message]
    assert events == ["executionReport", "outboundAccountPosition"] * 2
    assert next(message for message in heard if "id" in message)["result"]["status"] == "FILLED"


def test_a_session_tells_of_itself_and_ends(addresses: dict[str, str]) -> None:
    def signed_params(**values: object) -> dict[str, object]:
        params = {"apiKey": addresses["key"], "timestamp": round(time.time() * 1000), **values}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        digest = hmac.new(addresses["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
        return params | {"signature": digest}

    with connect(addresses["ws_api"], proxy=None) as socket:
        assert say(socket, id=1, method="session.status")["result"]["authorizedSince"] is None
        assert say(socket, id=2, method="userDataStream.subscribe")["error"]["code"] == -2015
        subscribed = say(socket, id=3, method="userDataStream.subscribe.signature", params=signed_params())
        assert subscribed["result"] == {"subscriptionId": 0}
        assert say(socket, id=4, method="session.subscriptions")["result"] == [{"subscriptionId": 0}]
    with connect(addresses["ws_api"], proxy=None) as socket:
        say(socket, id=5, method="userDataStream.subscribe.signature", params=signed_params())
        assert say(socket, id=6, method="userDataStream.unsubscribe", params={"subscriptionId": 0})["status"] == 200
        assert say(socket, id=7, method="session.subscriptions")["result"] == []
        assert say(socket, id=8, method="session.logout")["result"]["userDataStream"] is False
        unsigned = {"apiKey": addresses["key"], "timestamp": 1}
        assert say(socket, id=9, method="account.status", params=unsigned)["error"]["code"] == -1102
        assert say(socket, id=10, method=7)["status"] == 400


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


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs the venue's own sample answers")
@pytest.mark.parametrize(
    ("sample", "verb", "path", "query"),
    [
        ("ping", "GET", "ping", ""),
        ("server_time", "GET", "time", ""),
        ("depth", "GET", "depth", "symbol=BTCUSDT"),
        ("trades", "GET", "trades", "symbol=BTCUSDT"),
        ("klines", "GET", "klines", "symbol=BTCUSDT&interval=1m"),
        ("avg_price", "GET", "avgPrice", "symbol=BTCUSDT"),
        ("ticker_24hr", "GET", "ticker/24hr", "symbol=BTCUSDT"),
        ("ticker_price", "GET", "ticker/price", "symbol=BTCUSDT"),
        ("book_ticker", "GET", "ticker/bookTicker", "symbol=BTCUSDT"),
        ("account", "GET", "account", "signed"),
        ("new_order_full", "POST", "order", "signed&side=BUY&type=MARKET&quantity=0.01&symbol=BTCUSDT"),
        ("order", "GET", "order", "signed&symbol=BTCUSDT&orderId=1"),
        ("account_trades", "GET", "myTrades", "signed&symbol=BTCUSDT"),
        ("all_orders", "GET", "allOrders", "signed&symbol=BTCUSDT"),
    ],
)
def test_answers_have_the_members_of_the_venues_own_samples(
    addresses: dict[str, str], sample: str, verb: str, path: str, query: str
) -> None:
    call(addresses, "POST", "order", signed(addresses, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01"))
    if query.startswith("signed"):
        query = signed(addresses, **dict(pair.split("=") for pair in query.split("&")[1:]))
    answer = call(addresses, verb, path, query).json()

    assert shape(json.loads((SAMPLES / f"{sample}_response.json").read_text())) <= shape(answer)


def shape(answer: Any, at: str = "") -> set[str]:
    """Every member of an answer with its type; of a list the first element stands for all."""
    if isinstance(answer, list):
        return {f"{at}[]"} | (shape(answer[0], f"{at}[]") if answer else set())
    if isinstance(answer, dict):
        return {at} | {found for name, value in answer.items() for found in shape(value, f"{at}.{name}")}
    return {f"{at}:{type(answer).__name__}"}
