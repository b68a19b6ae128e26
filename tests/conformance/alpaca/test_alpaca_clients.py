"""Alpaca's official client works against the paper venue as it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.venues import findings, running_venue

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("alpaca_py_client.py")


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """The Alpaca part of a fresh venue's line of JSON; a minute of its market takes five seconds."""
    with running_venue("--speed", "12") as line:
        yield line["alpaca"]


def test_alpaca_py_works_unmodified(client_python: Any, addresses: dict[str, str]) -> None:
    found = findings(client_python("alpaca-py"), SCRIPT, json.dumps(addresses))

    assert found["streams"] == {"uncrossed": True, "trade_ids_grow": True, "coins": ["BTC/USD"], "bar": True}
    assert found["history"] == {
        "limited": 12,
        "days": {"AAPL": True, "SPY": True},
        "minutes": True,
        "minute_steps_s": [60],
        "trades_distinct": True,
        "latest": True,
    }
    assert found["orders"] == {
        "bought": ["new", "fill"],
        "rested": ["new", "replaced"],
        "moved": ["new", "canceled"],
        "fill": [10.0, 10.0, True],
        "position": 10.0,
        "stopped": ["new", "fill"],
        "after_a_part": 7.0,
        "found": True,
        "closed": [200],
        "left": 0,
    }
    assert found["order_classes"] == {
        "bracket": ["bracket", ["held", "held"]],
        "pair": ["oco", ["held"]],
        "trailing": ["60", True, True],
        "stop_limit": ["stop_limit", "pending_new"],
        "nested": [0, 0, 1, 2],
        "canceled": [7, [200]],
    }
    assert found["account"] == [True, True, True]
    assert found["assets"] == ["AAPL", "BTC/USD", "ETH/USD"]
    assert found["refusals"] == [[403, 40310000], [422, 42210000], [404, 40410000], [401, 40110000]]
