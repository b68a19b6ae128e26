"""Polygon's official clients, under both of their names, work against the paper venue as they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.venues import findings, running_venue

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("polygon_client.py")
CLIENTS = {"massive": "massive", "polygon-api-client": "polygon"}
STOCKS = ["AAPL", "MSFT", "NVDA", "SPY", "TSLA"]
COINS = ["X:BTCUSD", "X:ETHUSD"]


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """The Polygon part of a fresh venue's line of JSON; a minute of its market takes five seconds."""
    with running_venue("--speed", "12") as line:
        yield line["polygon"]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_client_works_unmodified(client_python: Any, addresses: dict[str, str], client: str) -> None:
    found = findings(client_python(client), SCRIPT, CLIENTS[client], json.dumps(addresses))

    assert found["stocks"] == {
        "heard": ["A", "AM", "Q", "T"],
        "names": ["AAPL", "MSFT"],
        "ids_grow": True,
        "uncrossed": True,
    }
    assert found["crypto"] == {
        "heard": ["XA", "XAS", "XQ", "XT"],
        "names": ["BTC-USD"],
        "ids_grow": True,
        "uncrossed": True,
    }
    assert found["stranger"] == "AuthError: authentication failed"
    history = found["history"]
    assert history.pop("minutes") > 2_800
    assert history.pop("hours") in (48, 49)
    assert history.pop("days") > 500
    assert history.pop("trades") > 10
    assert history == {
        "minute_steps_ms": [60_000],
        "hours_traded": True,
        "days_fall": True,
        "trades_distinct": True,
        "quotes_fall": True,
    }
    assert found["answers"] == {
        "close_agrees": True,
        "grouped": STOCKS,
        "last_trade": True,
        "last_quote": True,
        "last_coin_trade": True,
        "snapshot": ["AAPL", True, True],
        "snapshots": COINS,
        "tickers": [*STOCKS, *COINS],
        "details": "Apple Inc.",
        "market": "open",
    }
    assert found["refusals"] == ["NOT_FOUND", "NOT_AUTHORIZED", "ERROR", "ERROR"]
