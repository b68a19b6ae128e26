"""Every fault of requests strikes the running venue as it says, on each protocol."""

import time
from typing import Any

import pytest
from builders.fault_script import LOST, PROTOCOLS, READS, SHORT_S, Script, client_of


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
        refused, after = client.get(READS[protocol]), client.get(READS[protocol])

    assert (refused.status_code, refused.headers["Retry-After"], after.status_code) == (status, "7", 200)
    assert body.items() <= refused.json().items()


@pytest.mark.parametrize("kind", ["refuse", "disconnect"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_connection_of_a_request_is_reset(coin: Any, script: Script, protocol: str, kind: str) -> None:
    script.arm(kind, protocol=protocol, transport="http", count=1)
    with client_of(coin, protocol) as client:
        with pytest.raises(LOST):
            client.get(READS[protocol])
        assert client.get(READS[protocol]).status_code == 200


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_comes_late(coin: Any, script: Script, protocol: str) -> None:
    script.arm("delay", protocol=protocol, transport="http", count=1, delay_s=SHORT_S)
    with client_of(coin, protocol) as client:
        began = time.monotonic()
        assert client.get(READS[protocol]).status_code == 200

    assert time.monotonic() - began >= SHORT_S


def test_a_form_names_its_symbol_too(floor: Any, script: Script) -> None:
    script.arm("status", protocol="binance", symbols=["BTC-USDT"], path="/binance/api/v3/order", status=503)
    with client_of(floor, "binance") as client:
        struck = client.post("/api/v3/order", data={"symbol": "BTCUSDT", "side": "BUY"})
        spared = client.post("/api/v3/order", data={"symbol": "ETHUSDT", "side": "BUY"})

    assert (struck.status_code, spared.status_code) == (503, 400)
