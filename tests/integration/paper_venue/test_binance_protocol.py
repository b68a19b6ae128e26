"""The Binance protocol over real sockets: signatures, limits, sessions, the members of its answers."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from builders.binance_customer import PATIENCE_S, SAMPLES, call, say, signed
from websockets.sync.client import connect

from services.paper_venue.binance.ed25519 import SigningKey


@pytest.fixture(scope="module")
def addresses(open_venue: Any) -> Iterator[dict[str, str]]:
    """A lively market with a small weight, so that the limit can be met."""
    with open_venue("--quote-rate", "50", "--trade-rate", "20", "--symbols", "BTC-USDT,AAPL") as running:
        yield running.line["binance"]


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
