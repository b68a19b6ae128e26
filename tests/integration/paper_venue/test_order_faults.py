"""What orders suffer on each protocol: lost answers, refusals, events twice, late or out of order, resets."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from builders.fault_script import LOST, PATIENCE_S, SHORT_S, Script
from builders.order_customers import CUSTOMERS, FAR_BELOW, BinanceCustomer, Customer, heard
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

NAMES = count(1)


@pytest.fixture(params=list(CUSTOMERS))
def customer(request: pytest.FixtureRequest, floor: Any) -> Iterator[Customer]:
    """A customer of either protocol."""
    found: Customer = CUSTOMERS[request.param](floor)
    with found.client:
        yield found


@pytest.fixture
def name() -> str:
    """A name that no order has yet."""
    return f"fault-{next(NAMES)}"


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
    customer: Customer, script: Script, name: str, kind: str, event: str, told: list[str]
) -> None:
    fault = {"channel": "orders", "event": event, "symbols": ["BTC-USDT"], "count": 1, "delay_s": SHORT_S}
    script.arm(kind, protocol=customer.protocol, **fault)
    with customer.updates() as socket:
        assert customer.place(name).status_code == 200
        assert heard(customer, socket, len(told)) == [(each, name) for each in told]


def test_a_late_fill_comes_after_what_happened_since(customer: Customer, script: Script, name: str) -> None:
    """The venue has booked it before the cancellation of another order, and tells it afterwards."""
    script.arm("late", protocol=customer.protocol, channel="orders", event="fill", count=1, delay_s=SHORT_S)
    with customer.updates() as socket:
        resting = customer.place(f"{name}-rests", limit=FAR_BELOW)
        customer.place(name)
        assert customer.cancel(resting).status_code in (200, 204)
        found = customer.find(name).json()
        told = heard(customer, socket, 4)

    assert found["status"].lower() == "filled"
    assert told == [("new", f"{name}-rests"), ("new", name), ("canceled", f"{name}-rests"), ("fill", name)]


def test_what_nothing_overtakes_is_told_after_a_while(customer: Customer, script: Script, name: str) -> None:
    script.arm("reorder", protocol=customer.protocol, channel="orders", event="fill", count=1, delay_s=SHORT_S)
    with customer.updates() as socket:
        customer.place(name)
        assert heard(customer, socket, 2) == [("new", name), ("fill", name)]


def test_the_stream_is_reset_in_place_of_a_fill_which_stays_booked(
    customer: Customer, script: Script, name: str
) -> None:
    script.arm("disconnect", protocol=customer.protocol, channel="orders", event="fill", count=1)
    with customer.updates() as socket:
        customer.place(name)
        with pytest.raises(ConnectionClosed):
            heard(customer, socket, 3)

    assert customer.find(name).json()["status"].lower() == "filled"
    with customer.updates() as socket:
        customer.place(f"{name}-again")
        assert heard(customer, socket, 1) == [("new", f"{name}-again")]


def test_a_doubled_fill_has_the_same_execution_id(customer: Customer, script: Script, name: str) -> None:
    script.arm("duplicate", protocol=customer.protocol, channel="orders", event="fill", count=1)
    frames: list[str | bytes] = []
    with customer.updates() as socket:
        customer.place(name)
        while len(frames) < 3:
            frame = socket.recv(timeout=PATIENCE_S)
            frames += [] if customer.event(frame) is None else [frame]

    assert frames[0] != frames[1] == frames[2]


@pytest.mark.parametrize(("kind", "placed"), [("mute", True), ("disconnect", True), ("drop", False), ("refuse", False)])
def test_an_order_without_an_answer_may_have_been_accepted(
    customer: Customer, script: Script, name: str, kind: str, placed: bool
) -> None:
    script.arm(kind, protocol=customer.protocol, path=customer.orders_path, method="POST", count=1)
    with pytest.raises((httpx.ReadTimeout, *LOST)):
        customer.place(name, timeout=0.5)

    assert (customer.find(name).status_code == 200) is placed


@pytest.mark.parametrize("status", [403, 422, 429, 500, 503, 504])
def test_a_refused_order_is_not_placed(customer: Customer, script: Script, name: str, status: int) -> None:
    script.arm(
        "status",
        protocol=customer.protocol,
        path=customer.orders_path,
        method="POST",
        status=status,
        retry_after_s=3,
        count=1,
    )
    refused = customer.place(name)
    absent = customer.find(name)
    placed = customer.place(name)

    assert (refused.status_code, refused.headers["Retry-After"]) == (status, "3")
    assert isinstance(refused.json()["code"], int)
    assert absent.status_code in (400, 404)
    assert placed.status_code == 200


def test_a_refusal_says_what_the_script_says(customer: Customer, script: Script, name: str) -> None:
    words = {"error_code": -2010, "message": "Account has insufficient balance for requested action."}
    script.arm("status", protocol=customer.protocol, path=customer.orders_path, status=400, count=1, **words)

    assert list(customer.place(name).json().values()) == list(words.values())


def test_the_answer_to_an_order_over_a_socket_can_be_lost(floor: Any, script: Script, name: str) -> None:
    keys, customer = floor.line["binance"], BinanceCustomer(floor)
    with customer.client, connect(keys["ws_api"], proxy=None) as socket:
        script.arm("drop", protocol="binance", channel="control", count=1)
        own = {"apiKey": keys["key"], "symbol": "BTCUSDT"}
        order = customer.signed(**own, side="BUY", type="MARKET", quantity="0.01", newClientOrderId=name)
        status = customer.signed(**own, origClientOrderId=name)
        socket.send(json.dumps({"id": 1, "method": "order.place", "params": order}))
        socket.send(json.dumps({"id": 2, "method": "order.status", "params": status}))
        heard_back = json.loads(socket.recv(timeout=PATIENCE_S))

    assert (heard_back["id"], heard_back["result"]["status"]) == (2, "FILLED")
