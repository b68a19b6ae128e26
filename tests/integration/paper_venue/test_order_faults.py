"""What orders suffer: events twice, late, in another order, and answers that never come."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from builders.fault_script import (
    ORDER,
    PATIENCE_S,
    SHORT_S,
    Script,
    client_of,
)
from websockets.sync.client import ClientConnection, connect


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
