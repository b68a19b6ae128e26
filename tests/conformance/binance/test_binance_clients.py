"""Binance's official clients, and ccxt, work against the paper venue as they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import venues
from conformance.venues import running_venue

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

MINUTE_MS = 60_000
LIFE = [["NEW", "NEW"], ["CANCELED", "CANCELED"], ["NEW", "NEW"], ["TRADE", "FILLED"], ["NEW", "NEW"]]


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """The Binance part of a fresh venue's line of JSON."""
    with running_venue("--trade-rate", "20") as line:
        yield line["binance"]


def findings(python: Path, client: str, addresses: dict[str, str]) -> Any:
    """What the client's script reports."""
    script = Path(__file__).with_name(f"{client.replace('-', '_')}_client.py")
    return venues.findings(python, script, json.dumps(addresses))


def test_python_binance_works_unmodified(client_python: Any, addresses: dict[str, str]) -> None:
    found = findings(client_python("python-binance"), "python-binance", addresses)

    assert len(found["streams"]["heard"]) == 5
    assert found["streams"]["trade_ids_contiguous"]
    assert found["streams"]["depth_contiguous"]
    assert found["history"]["klines"] == found["history"]["distinct"]
    assert found["history"]["klines"] in (2_880, 2_881)
    assert found["history"]["step_ms"] == [MINUTE_MS]
    orders = found["orders"]
    assert (orders["placed"], orders["found"], orders["waiting"]) == ("NEW", "NEW", ["rest-1"])
    assert orders["canceled"] == ["CANCELED", "rest-1"]
    assert orders["bought"] == ["FILLED", "0.02000000", True]
    assert orders["reports"][:5] == LIFE
    assert orders["balances_told"]
    assert orders["refusal"] == [400, -1013, "Filter failure: LOT_SIZE"]
    assert (orders["btc"], orders["bought_in_fills"], orders["all_orders"]) == (0.01, 0.02, 3)
    assert found["order_lists"] == {
        "pair": ["OCO", ["LIMIT_MAKER", "STOP_LOSS_LIMIT"]],
        "waiting": True,
        "canceled": ["ALL_DONE", ["CANCELED", "CANCELED"]],
        "maker": ["LIMIT_MAKER", "NEW"],
        "amended": ["0.02000000", True],
        "trailing": [2000, "NEW"],
    }
    assert found["ed25519"] == "SPOT"


def test_binance_connector_works_unmodified(client_python: Any, addresses: dict[str, str]) -> None:
    found = findings(client_python("binance-connector"), "binance-connector", addresses)

    assert found["streams"]["heard"] == found["streams"]["listed"]
    assert len(found["streams"]["heard"]) == 3
    assert found["history"]["klines"] in (2_999, 3_000)
    assert found["history"]["step_ms"] == [MINUTE_MS]
    assert found["history"]["trade_ids"] == list(range(1, 11))
    orders = found["orders"]
    assert (orders["subscription"], orders["placed"], orders["canceled"], orders["bought"], orders["over_ws"]) == (
        0,
        "NEW",
        "CANCELED",
        "FILLED",
        "FILLED",
    )
    assert orders["reports"][:5] == LIFE
    assert orders["fills"] == 0.5
    assert found["order_lists"] == {
        "types": [True, True],
        "locked": 0.1,
        "listed": 1,
        "told": ["NEW", "NEW", "EXEC_STARTED", "CANCELED", "CANCELED", "ALL_DONE"],
    }
    assert found["refusals"] == [[400, -1121], [400, -2013], [400, -2011], [400, -1013], [400, -1022]]
    assert found["ed25519"] == "SPOT"


def test_binance_sdk_spot_works_unmodified(client_python: Any, addresses: dict[str, str]) -> None:
    found = findings(client_python("binance-sdk-spot"), "binance-sdk-spot", addresses)

    assert found["filters"] == 7
    assert found["streams"] == {
        "heard": ["bookTicker", "depth", "kline", "trade"],
        "trade_ids_contiguous": True,
        "depth_contiguous": True,
    }
    assert found["history"] == {"klines": 2_500, "step_ms": [MINUTE_MS], "trade_ids": [1, 2, 3, 4, 5]}
    orders = found["orders"]
    assert orders.pop("reports")[:5] == LIFE
    assert orders == {
        "subscription": 0,
        "placed": True,
        "limits_told": True,
        "canceled": "CANCELED",
        "bought": "FILLED",
        "over_rest": "FILLED",
    }
    assert "-1121" in found["refusal"]


def test_ccxt_works_unmodified(client_python: Any, addresses: dict[str, str]) -> None:
    found = findings(client_python("ccxt"), "ccxt", addresses)

    assert found["markets"] == ["BTC/USDT", "ETH/USDT"]
    assert found["precision"] == 0.01
    assert found["watched"] == {"trades": True, "uncrossed": True, "ticker": True}
    assert found["history"]["rows"] in (2_499, 2_500)
    assert found["history"]["step_ms"] == [MINUTE_MS]
    orders = found["orders"]
    assert (orders["placed"], orders["waiting"], orders["canceled"], orders["bought"]) == (
        "open",
        1,
        "canceled",
        "closed",
    )
    assert orders["reports"][-1] == ["closed", "market"]
    assert (orders["refusal"], orders["btc"], orders["trades"]) == ("InsufficientFunds", 0.01, True)
