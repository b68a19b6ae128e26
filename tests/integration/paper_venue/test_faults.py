"""Every scripted fault strikes the running venue as it says, on each protocol that it concerns."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 20
SHORT_S = 0.15
PROTOCOLS = ("alpaca", "polygon", "binance")
LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ConnectError)
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


class Script:
    """The admin route of a venue."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str = "/faults", **options: Any) -> httpx.Response:
        with httpx.Client(trust_env=False) as client:
            return client.request(method, self.url + path, **options)

    def arm(self, kind: str, **members: Any) -> int:
        """Arm a fault; returns its id."""
        answer = self.call("POST", json={"kind": kind, **members})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def hits(self, fault_id: int) -> int:
        return int(next(each["hits"] for each in self.call("GET").json()["faults"] if each["id"] == fault_id))

    def until_it_strikes(self, fault_id: int, times: int = 1) -> None:
        ends = time.monotonic() + PATIENCE_S
        while self.hits(fault_id) < times:
            assert time.monotonic() < ends, "The fault never struck."


@pytest.fixture(scope="module")
def coin(open_venue: Any) -> Iterator[Any]:
    """A market of one lively coin, so that the ids of its trades are contiguous on every protocol.

    Without bursts: what is late must not be overtaken by more than a test reads.
    """
    with open_venue(
        "--admin", "--symbols", "BTC-USDT", "--trade-rate", "300", "--quote-rate", "10", "--no-edge"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def floor(open_venue: Any) -> Iterator[Any]:
    """A market where orders fill."""
    with open_venue("--admin", "--symbols", "AAPL,MSFT,BTC-USDT") as running:
        yield running


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Iterator[Script]:
    """The script of the venue that the test uses, empty at first and at last."""
    running = request.getfixturevalue("coin" if "coin" in request.fixturenames else "floor")
    found = Script(running.line["admin"])
    yield found
    found.call("DELETE")


def client_of(running: Any, protocol: str) -> httpx.Client:
    """An HTTP client that shows the right key."""
    keys = running.line[protocol]
    headers = {
        "alpaca": running.headers,
        "polygon": {"Authorization": f"Bearer {keys['key']}"},
        "binance": {"X-MBX-APIKEY": keys["key"]},
    }[protocol]
    return httpx.Client(base_url=keys["rest"], headers=headers, trust_env=False, timeout=PATIENCE_S)


READS = {"alpaca": "/v2/clock", "polygon": "/v1/marketstatus/now", "binance": "/api/v3/time"}


@contextmanager
def subscribed(running: Any, protocol: str) -> Iterator[ClientConnection]:
    """A connection that hears the coin's trades."""
    keys = running.line[protocol]
    address = {
        "alpaca": running.alpaca["crypto_stream"],
        "polygon": f"{keys['stream']}/crypto",
        "binance": f"{keys['stream']}/ws/btcusdt@trade",
    }[protocol]
    headers = running.headers if protocol == "alpaca" else None
    with connect(address, proxy=None, additional_headers=headers, close_timeout=0.5) as socket:
        if protocol == "alpaca":
            socket.send(json.dumps({"action": "subscribe", "trades": ["*"]}))
        elif protocol == "polygon":
            socket.send(json.dumps({"action": "auth", "params": keys["key"]}))
            socket.send(json.dumps({"action": "subscribe", "params": "XT.*"}))
        yield socket


def ids_in(frame: str | bytes) -> list[int]:
    """The ids of the trades in a frame of any protocol."""
    heard = json.loads(frame)
    messages = heard if isinstance(heard, list) else [heard]
    return [int(each.get("i", each.get("t"))) for each in messages if {"p", "t"} <= set(each)]


def hear(socket: ClientConnection, enough: Callable[[list[int]], bool]) -> list[int]:
    """The ids of trades until there are enough."""
    ids: list[int] = []
    while not enough(ids):
        ids += ids_in(socket.recv(timeout=PATIENCE_S))
    return ids


def around(socket: ClientConnection, strike: Callable[[], int], script: Script, times: int = 1) -> list[int]:
    """The ids heard from before a fault is armed until well after it has struck."""
    ids = hear(socket, lambda heard: len(heard) > 3)
    fault_id = strike()
    script.until_it_strikes(fault_id, times)
    return ids + hear(socket, lambda heard: len(heard) > 150)


def gaps(ids: list[int]) -> list[int]:
    return [later - earlier - 1 for earlier, later in pairwise(ids) if later != earlier + 1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dropped_trades_leave_a_hole(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(socket, lambda: script.arm("drop", protocol=protocol, channel="trades", count=3), script, 3)

    assert sum(gaps(ids)) == 3
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_doubled_trades_come_twice(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket, lambda: script.arm("duplicate", protocol=protocol, symbols=["BTCUSDT"], count=2), script, 2
        )

    assert sum(count - 1 for count in Counter(ids).values()) == 2
    assert gaps(sorted(set(ids))) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reordered_trades_change_places_with_the_next(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(socket, lambda: script.arm("reorder", protocol=protocol, channel="trades", count=1), script)

    assert [later - earlier for earlier, later in pairwise(ids) if later != earlier + 1] == [2, -1, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_late_trade_is_overtaken_by_others(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket, lambda: script.arm("late", protocol=protocol, channel="trades", count=1, delay_s=SHORT_S), script
        )

    assert gaps(sorted(ids)) == []
    (back,) = [earlier - later for earlier, later in pairwise(ids) if later < earlier]
    assert back > 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_delayed_stream_keeps_its_order(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        began = time.monotonic()
        ids = around(
            socket,
            lambda: script.arm("delay", protocol=protocol, transport="stream", count=2, delay_s=SHORT_S),
            script,
            2,
        )
        took_s = time.monotonic() - began

    assert gaps(ids) == []
    assert took_s >= SHORT_S


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_mute_stream_stays_open_and_speaks_again(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        fault_id = script.arm("mute", protocol=protocol, transport="stream", duration_s=1.0)
        script.until_it_strikes(fault_id)
        with suppress(TimeoutError):
            while True:
                socket.recv(timeout=0.5)  # what was under way before the fault
        script.call("DELETE")
        assert len(hear(socket, lambda ids: len(ids) > 20)) > 20
        assert socket.close_code is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_is_reset_at_once_without_a_farewell(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        fault_id = script.arm("disconnect", protocol=protocol, transport="stream", count=1)
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket, lambda _: False)
    assert closed.value.rcvd is None
    assert script.hits(fault_id) == 1
    with subscribed(coin, protocol) as again:
        assert hear(again, bool)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_is_closed_with_a_code(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        script.arm("disconnect", protocol=protocol, transport="stream", count=1, code=1012)
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket, lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_ends_in_the_place_of_a_message(coin: Any, script: Script, protocol: str) -> None:
    """Everything before that message has arrived."""
    ids: list[int] = []
    with subscribed(coin, protocol) as socket:
        ids += hear(socket, bool)
        script.arm("disconnect", protocol=protocol, channel="trades", count=1, code=1001)
        with pytest.raises(ConnectionClosed):
            hear(socket, lambda heard: ids.extend(heard) or False)
    assert ids


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refused_connections_are_reset_before_they_open(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as older:
        script.arm("refuse", protocol=protocol, transport="stream", count=1)
        with pytest.raises((ConnectionResetError, InvalidMessage, EOFError)), subscribed(coin, protocol):
            pass
        assert hear(older, bool)
    with subscribed(coin, protocol) as again:
        assert hear(again, bool)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_upgrade_is_answered_with_a_status(coin: Any, script: Script, protocol: str, status: int) -> None:
    script.arm("status", protocol=protocol, transport="stream", count=1, status=status, retry_after_s=2)
    with pytest.raises(InvalidStatus) as refused, subscribed(coin, protocol):
        pass

    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("protocol", "status", "body"),
    [
        ("alpaca", 429, {"code": 42910000}),
        ("alpaca", 500, {"code": 50010000}),
        ("polygon", 429, {"status": "ERROR"}),
        ("polygon", 502, {"status": "ERROR"}),
        ("binance", 418, {"code": -1003}),
        ("binance", 503, {"code": -1001}),
    ],
)
def test_requests_are_answered_with_a_status_in_the_venues_words(
    coin: Any, script: Script, protocol: str, status: int, body: dict[str, Any]
) -> None:
    script.arm("status", protocol=protocol, status=status, retry_after_s=7, count=1)
    with client_of(coin, protocol) as client:
        refused, after = client.get(_read(protocol)), client.get(_read(protocol))

    assert (refused.status_code, refused.headers["Retry-After"], after.status_code) == (status, "7", 200)
    assert body.items() <= refused.json().items()


@pytest.mark.parametrize("kind", ["refuse", "disconnect"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_connection_of_a_request_is_reset(coin: Any, script: Script, protocol: str, kind: str) -> None:
    script.arm(kind, protocol=protocol, transport="http", count=1)
    with client_of(coin, protocol) as client:
        with pytest.raises(LOST):
            client.get(_read(protocol))
        assert client.get(_read(protocol)).status_code == 200


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_comes_late(coin: Any, script: Script, protocol: str) -> None:
    script.arm("delay", protocol=protocol, transport="http", count=1, delay_s=SHORT_S)
    with client_of(coin, protocol) as client:
        began = time.monotonic()
        assert client.get(_read(protocol)).status_code == 200

    assert time.monotonic() - began >= SHORT_S


def _read(protocol: str) -> str:
    """A harmless request of each protocol."""
    return READS[protocol]


@pytest.mark.parametrize(("kind", "placed"), [("mute", True), ("disconnect", True), ("drop", False), ("refuse", False)])
def test_an_order_without_an_answer_may_have_been_accepted(floor: Any, script: Script, kind: str, placed: bool) -> None:
    name = f"unanswered-{kind}"
    script.arm(kind, protocol="alpaca", path="/v2/orders", method="post", symbols=["AAPL"], count=1)
    with client_of(floor, "alpaca") as client:
        other = client.post("/v2/orders", json=ORDER | {"symbol": "MSFT"})
        with pytest.raises((httpx.ReadTimeout, *LOST)):
            client.post("/v2/orders", json=ORDER | {"client_order_id": name}, timeout=0.5)
        found = client.get("/v2/orders:by_client_order_id", params={"client_order_id": name})

    assert other.status_code == 200
    assert (found.status_code == 200) is placed


def test_a_form_names_its_symbol_too(floor: Any, script: Script) -> None:
    script.arm("status", protocol="binance", symbols=["BTC-USDT"], path="/binance/api/v3/order", status=503)
    with client_of(floor, "binance") as client:
        struck = client.post("/api/v3/order", data={"symbol": "BTCUSDT", "side": "BUY"})
        spared = client.post("/api/v3/order", data={"symbol": "ETHUSDT", "side": "BUY"})

    assert (struck.status_code, spared.status_code) == (503, 400)


@contextmanager
def updates(running: Any) -> Iterator[ClientConnection]:
    """A trading stream that listens."""
    with connect(running.alpaca["trading_stream"], proxy=None, additional_headers=running.headers) as socket:
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(socket.recv(timeout=PATIENCE_S))["stream"] == "listening"
        yield socket


def events(socket: ClientConnection, count: int) -> list[str]:
    return [json.loads(socket.recv(timeout=PATIENCE_S))["data"]["event"] for _ in range(count)]


@pytest.mark.parametrize(
    ("kind", "event", "told"),
    [
        ("duplicate", "fill", ["new", "fill", "fill"]),
        ("duplicate", "new", ["new", "new", "fill"]),
        ("reorder", "new", ["fill", "new"]),
        ("late", "new", ["fill", "new"]),
        ("drop", "new", ["fill"]),
    ],
)
def test_order_events_come_twice_late_or_in_another_order(
    floor: Any, script: Script, kind: str, event: str, told: list[str]
) -> None:
    script.arm(kind, channel="orders", event=event, symbols=["AAPL"], count=1, delay_s=SHORT_S)
    with updates(floor) as socket, client_of(floor, "alpaca") as client:
        assert client.post("/v2/orders", json=ORDER).status_code == 200
        assert events(socket, len(told)) == told


def test_a_late_fill_comes_after_what_happened_since(floor: Any, script: Script) -> None:
    script.arm("late", channel="orders", event="fill", symbols=["AAPL"], count=1, delay_s=SHORT_S)
    with updates(floor) as socket, client_of(floor, "alpaca") as client:
        for symbol in ("AAPL", "MSFT"):
            client.post("/v2/orders", json=ORDER | {"symbol": symbol})
        heard = [json.loads(socket.recv(timeout=PATIENCE_S))["data"] for _ in range(4)]

    assert [(each["order"]["symbol"], each["event"]) for each in heard] == [
        ("AAPL", "new"),
        ("MSFT", "new"),
        ("MSFT", "fill"),
        ("AAPL", "fill"),
    ]


def test_what_nothing_overtakes_is_told_after_a_while(floor: Any, script: Script) -> None:
    script.arm("reorder", channel="orders", event="fill", count=1, delay_s=SHORT_S)
    with updates(floor) as socket, client_of(floor, "alpaca") as client:
        client.post("/v2/orders", json=ORDER)
        assert events(socket, 2) == ["new", "fill"]


def test_execution_reports_of_binance_are_doubled(floor: Any, script: Script) -> None:
    script.arm("duplicate", protocol="binance", channel="orders", event="fill", count=1)
    keys = floor.line["binance"]
    with connect(keys["ws_api"], proxy=None) as socket:
        socket.send(json.dumps({"id": 1, "method": "userDataStream.subscribe.signature", "params": _signed(keys)}))
        assert json.loads(socket.recv(timeout=PATIENCE_S))["status"] == 200
        order = _signed(keys, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        socket.send(json.dumps({"id": 2, "method": "order.place", "params": order}))
        heard = [json.loads(socket.recv(timeout=PATIENCE_S)) for _ in range(6)]

    assert [each["event"]["x"] for each in heard if each.get("event", {}).get("e") == "executionReport"] == [
        "NEW",
        "TRADE",
        "TRADE",
    ]


def test_the_answer_to_an_order_over_a_socket_can_be_lost(floor: Any, script: Script) -> None:
    keys = floor.line["binance"]
    with connect(keys["ws_api"], proxy=None) as socket:
        script.arm("drop", protocol="binance", channel="control", count=1)
        order = _signed(keys, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01", newClientOrderId="lost")
        status = _signed(keys, symbol="BTCUSDT", origClientOrderId="lost")
        socket.send(json.dumps({"id": 1, "method": "order.place", "params": order}))
        socket.send(json.dumps({"id": 2, "method": "order.status", "params": status}))
        heard = json.loads(socket.recv(timeout=PATIENCE_S))

    assert (heard["id"], heard["result"]["status"]) == (2, "FILLED")


def _signed(keys: dict[str, str], **values: Any) -> dict[str, Any]:
    import hashlib
    import hmac

    params = {"apiKey": keys["key"], "timestamp": round(time.time() * 1000), **values}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return params | {"signature": hmac.new(keys["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()}


def test_msgpack_frames_suffer_alike_and_stay_whole(coin: Any, script: Script) -> None:
    headers = coin.headers | {"Content-Type": "application/msgpack"}
    script.arm("duplicate", protocol="alpaca", channel="trades", count=1)
    with connect(coin.alpaca["crypto_stream"], proxy=None, additional_headers=headers) as socket:
        socket.send(msgspec.msgpack.encode({"action": "subscribe", "trades": ["*"]}))
        trades: list[dict[str, Any]] = []
        while len(trades) < 20:
            frame = socket.recv(timeout=PATIENCE_S)
            assert isinstance(frame, bytes)
            trades += [each for each in msgspec.msgpack.decode(frame) if each["T"] == "t"]

    assert trades[0] == trades[1]
    assert gaps([trade["i"] for trade in trades[1:]]) == []
    assert {trade["t"].tzinfo is not None for trade in trades} == {True}


def test_faults_are_listed_counted_and_taken_back(coin: Any, script: Script) -> None:
    first = script.arm("status", protocol="polygon", path="/v1/", status=500, count=2)
    second = script.arm("drop", channel="quotes", symbols=["X:BTCUSD"], duration_s=60)
    with client_of(coin, "polygon") as client:
        assert [client.get(_read("polygon")).status_code for _ in range(3)] == [500, 500, 200]
    listed = {each["id"]: each for each in script.call("GET").json()["faults"]}

    assert (listed[first]["hits"], listed[first]["active"]) == (2, False)
    assert (listed[second]["symbols"], listed[second]["active"]) == (["BTC-USDT"], True)
    assert script.call("DELETE", f"/faults/{second}").status_code == 204
    assert script.call("DELETE", f"/faults/{second}").status_code == 404
    script.call("DELETE")
    assert script.call("GET", "").json()["faults"] == []
    assert set(script.call("GET").json()["kinds"]["refuse"]) == {"http", "stream"}


def test_several_faults_are_armed_at_once(script: Script, coin: Any) -> None:
    told = script.call("POST", json=[{"kind": "drop", "count": 1, "path": "/x"}, {"kind": "mute", "path": "/x"}]).json()

    assert [each["kind"] for each in told] == ["drop", "mute"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"kind":"explode"}',
        '{"kind":"drop","sort":1}',
        '{"kind":"drop","count":0}',
        '{"kind":"status","status":200}',
    ],
)
def test_what_is_no_fault_is_refused(coin: Any, script: Script, body: str) -> None:
    refused = script.call("POST", content=body)

    assert refused.status_code == 400
    assert refused.json()["error"]


def test_the_board_is_bounded(coin: Any, script: Script) -> None:
    fault = {"kind": "drop", "path": "/nowhere"}
    assert script.call("POST", json=[fault] * 100).status_code == 201
    assert script.call("POST", json=fault).status_code == 409
    assert script.call("POST", content=b" " * 70_000).status_code == 413


def test_who_does_not_know_the_address_finds_nothing(coin: Any) -> None:
    root = coin.line["admin"].rpartition("/")[0]

    assert Script(f"{root}/guess").call("GET").status_code == 404
    assert Script(f"{root}/guess").call("POST", json={"kind": "drop"}).status_code == 404


def test_without_being_asked_for_there_is_no_admin_route(venue: Any) -> None:
    assert venue.line["admin"] is None
    assert venue.call("GET", "/admin/None/faults").status_code == 404
