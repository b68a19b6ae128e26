"""The script of a venue's faults, and customers of every protocol whom they strike."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60
SHORT_S = 0.15
PROTOCOLS = ("alpaca", "polygon", "binance")
LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ConnectError)
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


class Script:
    """The admin route of a venue."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str = "/faults", **options: Any) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60) as client:
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
    ends = time.monotonic() + PATIENCE_S
    while not enough(ids):
        assert time.monotonic() < ends, f"Not enough in {PATIENCE_S} s."
        ids += ids_in(socket.recv(timeout=PATIENCE_S))
    return ids


def around(
    socket: ClientConnection,
    strike: Callable[[], int],
    script: Script,
    times: int = 1,
    seen: Callable[[list[int]], bool] = lambda _: True,
) -> list[int]:
    """The ids heard from before a fault is armed until well after it has struck and its work is `seen` in them.

    On a busy host much of what came before it has yet to be read when it strikes.
    """
    ids = hear(socket, lambda heard: len(heard) > 3)
    fault_id = strike()
    script.until_it_strikes(fault_id, times)
    ids += hear(socket, lambda heard: seen(ids + heard))
    return ids + hear(socket, lambda heard: len(heard) > 150)


def gaps(ids: list[int]) -> list[int]:
    return [later - earlier - 1 for earlier, later in pairwise(ids) if later != earlier + 1]
