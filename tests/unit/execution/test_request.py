"""What must be true of a submit before risk is looked at."""

from typing import Any

import pytest
from builders.orders import AAPL, LIMIT, NOW_NS, request

from services.execution.domain.request import MOST_TRAIL_BPS, fingerprint, normalise
from trading.errors import InvalidArgument
from trading.ids import OrderId
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce

STOP_LIMIT = {**LIMIT, "order_type": OrderType.STOP_LIMIT, "stop_price_nanos": 101 * ONE}
TRAILING = {"order_type": OrderType.TRAILING_STOP}
GTD = {"time_in_force": TimeInForce.GTD, "expire_time_ns": NOW_NS}


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"order_type": OrderType.LIMIT, "price_nanos": ONE},
        {"order_type": OrderType.STOP, "stop_price_nanos": ONE},
        {"client_order_id": "A-z_0.9"},
        STOP_LIMIT,
        {**STOP_LIMIT, **GTD},
        {**TRAILING, "trail_nanos": ONE},
        {**TRAILING, "trail_bps": 1},
        {**TRAILING, "trail_bps": MOST_TRAIL_BPS},
        {**LIMIT, **GTD},
        {**LIMIT, "post_only": True},
        {**LIMIT, **GTD, "post_only": True},
        {"reduce_only": True},
        {"take_profit_nanos": 110 * ONE},
        {"stop_loss_nanos": 90 * ONE},
        {"take_profit_nanos": 110 * ONE, "stop_loss_nanos": 90 * ONE},
        {"side": Side.SELL, "take_profit_nanos": 90 * ONE, "stop_loss_nanos": 110 * ONE},
        {**LIMIT, "take_profit_nanos": 101 * ONE, "stop_loss_nanos": 99 * ONE},
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
        ({**STOP_LIMIT, "price_nanos": None}, "price"),
        ({**STOP_LIMIT, "stop_price_nanos": None}, "stop_price"),
        ({**TRAILING, "trail_nanos": ONE, "trail_bps": 1}, "trail_price"),
        ({**TRAILING, "trail_nanos": 0}, "trail_price"),
        ({**TRAILING, "trail_bps": 0}, "trail_percent"),
        ({**TRAILING, "trail_bps": MOST_TRAIL_BPS + 1}, "trail_percent"),
        ({**TRAILING, "trail_nanos": ONE, "price_nanos": ONE}, "price"),
        ({**TRAILING, "trail_nanos": ONE, "stop_price_nanos": ONE}, "stop_price"),
        ({**LIMIT, "trail_bps": 1}, "trail_price"),
        ({"trail_nanos": ONE}, "trail_price"),
        ({"time_in_force": TimeInForce.GTD}, "expire_time_ns"),
        ({"expire_time_ns": NOW_NS}, "expire_time_ns"),
        ({**STOP_LIMIT, "time_in_force": TimeInForce.IOC}, "time_in_force"),
        ({**TRAILING, "trail_bps": 1, "time_in_force": TimeInForce.FOK}, "time_in_force"),
        ({"post_only": True}, "post_only"),
        ({**STOP_LIMIT, "post_only": True}, "post_only"),
        ({**LIMIT, "post_only": True, "time_in_force": TimeInForce.IOC}, "post_only"),
        ({"take_profit_nanos": 0}, "take_profit"),
        ({"stop_loss_nanos": -1}, "stop_loss"),
        ({"take_profit_nanos": ONE, "reduce_only": True}, "reduce_only"),
        ({"take_profit_nanos": 90 * ONE, "stop_loss_nanos": 90 * ONE}, "take_profit"),
        ({"side": Side.SELL, "take_profit_nanos": 110 * ONE, "stop_loss_nanos": 90 * ONE}, "take_profit"),
        ({**LIMIT, "take_profit_nanos": 100 * ONE}, "take_profit"),
        ({**LIMIT, "stop_loss_nanos": 100 * ONE}, "stop_loss"),
        ({**LIMIT, "side": Side.SELL, "stop_loss_nanos": 99 * ONE}, "stop_loss"),
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
        {"expire_time_ns": 1},
        {"trail_nanos": 1},
        {"trail_bps": 1},
        {"reduce_only": True},
        {"post_only": True},
        {"take_profit_nanos": 1},
        {"stop_loss_nanos": 1},
    ],
)
def test_another_body_has_another_fingerprint(change: dict[str, Any]) -> None:
    """Whatever differs."""
    assert fingerprint(request(**change), AAPL) != fingerprint(request(), AAPL)


def test_the_key_is_no_part_of_the_fingerprint() -> None:
    """It is what fingerprints are compared under."""
    assert fingerprint(request(client_order_id="a"), AAPL) == fingerprint(request(client_order_id="b"), AAPL)
