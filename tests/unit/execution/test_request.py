"""What must be true of a submit before risk is looked at."""

from typing import Any

import pytest
from builders.orders import AAPL, request

from services.execution.domain.request import fingerprint, normalise
from trading.errors import InvalidArgument
from trading.ids import OrderId
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"order_type": OrderType.LIMIT, "price_nanos": ONE},
        {"order_type": OrderType.STOP, "stop_price_nanos": ONE},
        {"client_order_id": "A-z_0.9"},
    ],
)
def test_a_sound_request_stays_as_it_is(order: dict[str, Any]) -> None:
    """There is nothing to normalise."""
    assert normalise(request(**order)) == request(**order)


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"quantity_nanos": 0}, "quantity"),
        ({"quantity_nanos": -1}, "quantity"),
        ({"quantity_nanos": 2**63}, "quantity"),
        ({"price_nanos": ONE}, "price"),
        ({"stop_price_nanos": ONE}, "stop_price"),
        ({"order_type": OrderType.LIMIT}, "price"),
        ({"order_type": OrderType.LIMIT, "price_nanos": 0}, "price"),
        ({"order_type": OrderType.LIMIT, "price_nanos": -ONE}, "price"),
        ({"order_type": OrderType.LIMIT, "price_nanos": ONE, "stop_price_nanos": ONE}, "stop_price"),
        ({"order_type": OrderType.STOP}, "stop_price"),
        ({"order_type": OrderType.STOP, "stop_price_nanos": 0}, "stop_price"),
        ({"order_type": OrderType.STOP, "price_nanos": ONE, "stop_price_nanos": 2 * ONE}, "stop_price"),
        ({"order_type": OrderType.TRAILING_STOP}, "trail_price"),
        ({"client_order_id": "with blank"}, "client_order_id"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
    ],
)
def test_a_wrong_value_is_named(order: dict[str, Any], field: str) -> None:
    """The caller learns which field it was."""
    with pytest.raises(InvalidArgument) as refusal:
        normalise(request(**order))
    assert refusal.value.metadata["field"] == field


@pytest.mark.parametrize("stop", [None, 5 * ONE])
def test_a_stop_may_carry_its_trigger_as_price(stop: int | None) -> None:
    """It ends up where triggers belong."""
    asked = request(order_type=OrderType.STOP, price_nanos=5 * ONE, stop_price_nanos=stop)
    assert normalise(asked) == request(order_type=OrderType.STOP, stop_price_nanos=5 * ONE)


def test_the_key_is_the_callers_or_our_order_id() -> None:
    """An order always has one."""
    assert request(client_order_id="mine").key(OrderId("o")) == "mine"
    assert request().key(OrderId("o")) == "o"


def test_the_same_order_has_the_same_fingerprint_whatever_the_spelling() -> None:
    """BTC/USD is BTC-USDT."""
    coin = crypto("BTC")
    assert fingerprint(request(symbol="BTC/USD"), coin) == fingerprint(request(symbol="BTCUSDT"), coin)


@pytest.mark.parametrize(
    "change",
    [
        {"side": Side.SELL},
        {"quantity_nanos": 1},
        {"order_type": OrderType.LIMIT},
        {"price_nanos": 1},
        {"stop_price_nanos": 1},
        {"time_in_force": TimeInForce.GTC},
        {"account": "other"},
        {"client_timestamp_ns": 1},
    ],
)
def test_another_body_has_another_fingerprint(change: dict[str, Any]) -> None:
    """Whatever differs."""
    assert fingerprint(request(**change), AAPL) != fingerprint(request(), AAPL)


def test_the_key_is_no_part_of_the_fingerprint() -> None:
    """It is what fingerprints are compared under."""
    assert fingerprint(request(client_order_id="a"), AAPL) == fingerprint(request(client_order_id="b"), AAPL)
