"""A customer of each protocol who places the same order for a coin, finds it again, and hears of it."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from builders.fault_script import PATIENCE_S, client_of
from websockets.sync.client import ClientConnection, connect

FAR_BELOW = "10000"


class AlpacaCustomer:
    """Speaks Alpaca's protocol."""

    protocol, orders_path = "alpaca", "/v2/orders"

    def __init__(self, running: Any) -> None:
        self._running = running
        self.client = client_of(running, "alpaca")

    def place(self, name: str, limit: str | None = None, **options: Any) -> httpx.Response:
        """Buy at the market, or wait at a limit."""
        body = {"symbol": "BTC/USD", "qty": "0.01", "side": "buy", "type": "market", "time_in_force": "gtc"}
        body |= {"type": "limit", "limit_price": limit} if limit else {}
        return self.client.post("/v2/orders", json=body | {"client_order_id": name}, **options)

    def cancel(self, placed: httpx.Response) -> httpx.Response:
        return self.client.delete(f"/v2/orders/{placed.json()['id']}")

    def find(self, name: str) -> httpx.Response:
        return self.client.get("/v2/orders:by_client_order_id", params={"client_order_id": name})

    @contextmanager
    def updates(self) -> Iterator[ClientConnection]:
        """A socket that hears of orders."""
        address = self._running.alpaca["trading_stream"]
        with connect(address, proxy=None, additional_headers=self._running.headers, close_timeout=0.5) as socket:
            socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            assert json.loads(socket.recv(timeout=PATIENCE_S))["stream"] == "listening"
            yield socket

    def event(self, frame: str | bytes) -> tuple[str, str] | None:
        """What a frame says of which order."""
        data = json.loads(frame)["data"]
        return data["event"], data["order"]["client_order_id"]


class BinanceCustomer:
    """Speaks Binance's protocol."""

    protocol, orders_path = "binance", "/binance/api/v3/order"

    def __init__(self, running: Any) -> None:
        self._keys = running.line["binance"]
        self.client = client_of(running, "binance")

    def place(self, name: str, limit: str | None = None, **options: Any) -> httpx.Response:
        """Buy at the market, or wait at a limit."""
        terms = {"type": "LIMIT", "timeInForce": "GTC", "price": limit} if limit else {"type": "MARKET"}
        params = self.signed(symbol="BTCUSDT", side="BUY", quantity="0.01", newClientOrderId=name, **terms)
        return self.client.post("/api/v3/order", params=params, **options)

    def cancel(self, placed: httpx.Response) -> httpx.Response:
        params = self.signed(symbol="BTCUSDT", orderId=placed.json()["orderId"])
        return self.client.delete("/api/v3/order", params=params)

    def find(self, name: str) -> httpx.Response:
        return self.client.get("/api/v3/order", params=self.signed(symbol="BTCUSDT", origClientOrderId=name))

    @contextmanager
    def updates(self) -> Iterator[ClientConnection]:
        """A socket that hears of orders."""
        with connect(self._keys["ws_api"], proxy=None, close_timeout=0.5) as socket:
            params = self.signed(apiKey=self._keys["key"])
            socket.send(json.dumps({"id": 1, "method": "userDataStream.subscribe.signature", "params": params}))
            assert json.loads(socket.recv(timeout=PATIENCE_S))["status"] == 200
            yield socket

    def event(self, frame: str | bytes) -> tuple[str, str] | None:
        """What a frame says of which order; None for what is no report."""
        event = json.loads(frame).get("event", {})
        if event.get("e") != "executionReport":
            return None
        words = {"TRADE": "fill", "NEW": "new", "CANCELED": "canceled"}
        return words[event["x"]], event["C"] or event["c"]

    def signed(self, **values: Any) -> dict[str, Any]:
        """Parameters by name, with their time and HMAC: what both REST and the WebSocket API take."""
        params = dict(sorted({"timestamp": round(time.time() * 1000), **values}.items()))
        text = "&".join(f"{name}={value}" for name, value in params.items())
        return params | {
            "signature": hmac.new(self._keys["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
        }


CUSTOMERS = {"alpaca": AlpacaCustomer, "binance": BinanceCustomer}
Customer = AlpacaCustomer | BinanceCustomer


def heard(customer: Customer, socket: ClientConnection, count: int) -> list[tuple[str, str]]:
    """The next reports of orders as (event, client order id)."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        event = customer.event(socket.recv(timeout=PATIENCE_S))
        found += [] if event is None else [event]
    return found
