"""Messages of the fleet as JSON, and bodies as messages."""

import math
from typing import Any

import pytest
from builders.gateway import EVENT_NS, ONE, a_bar, a_fill, a_quote, an_order, an_order_event
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from neuraltrader.execution.v1 import execution_pb2
from services.gateway.schemas import orders as order_shapes
from services.gateway.schemas.config import fleet_config, verdict
from services.gateway.schemas.execution import SignalTradingUpdate
from services.gateway.schemas.market_data import bar_page, bar_view, quote_view
from services.gateway.schemas.portfolio import OptimizeRequest, matrix
from services.gateway.schemas.reports import audit_view
from services.gateway.schemas.scalars import Amount, NanosecondsIn, Percent
from services.gateway.settings import Settings
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS, format_nanos

AMOUNT: TypeAdapter[int] = TypeAdapter(Amount)
NANOSECONDS: TypeAdapter[int] = TypeAdapter(NanosecondsIn)
PERCENT: TypeAdapter[int] = TypeAdapter(Percent)


@given(st.integers(-MAX_NANOS, MAX_NANOS))
def test_an_amount_comes_back_as_it_was_printed(nanos: int) -> None:
    assert AMOUNT.validate_python(format_nanos(nanos)) == nanos


@pytest.mark.parametrize(("value", "nanos"), [("1.5", 15 * ONE // 10), (0.1, ONE // 10), (10, 10 * ONE), ("1e-9", 1)])
def test_an_amount_is_read_from_text_or_number(value: Any, nanos: int) -> None:
    assert AMOUNT.validate_python(value) == nanos


@pytest.mark.parametrize(
    "value",
    ["", " 1", "1_0", "0x1", "NaN", "inf", "١", "1e400", "9" * 65, True, None, [], {}, math.inf, math.nan, 1e10],
)
def test_what_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize(("value", "ns"), [("0", 0), (5, 5), (7.0, 7), (str(MAX_NANOS), MAX_NANOS)])
def test_nanoseconds_are_read_from_text_or_number(value: Any, ns: int) -> None:
    assert NANOSECONDS.validate_python(value) == ns


@pytest.mark.parametrize("value", [-1, "-1", 1.5, "1.5", True, "", MAX_NANOS + 1, "٣", None])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        NANOSECONDS.validate_python(value)


@pytest.mark.parametrize("name", [name for name, value in execution_pb2.OrderStatus.items() if value])
def test_every_state_has_its_name_in_the_contract(name: str) -> None:
    order = an_order(status=execution_pb2.OrderStatus.Value(name))
    view = order_shapes.order_view(order)
    assert TypeAdapter(order_shapes.Order).validate_python(view)["status"] == name.removeprefix("ORDER_STATUS_")


def test_a_fill_is_part_of_its_event() -> None:
    fill = execution_pb2.Fill(
        execution_id="x", price_nanos=3 * ONE, quantity_nanos=2 * ONE, fee_nanos=-1, currency="USD", event_time_ns=9
    )
    assert order_shapes.fill_view(a_fill())["liquidity"] == "TAKER"
    event = order_shapes.event_view(an_order_event(3, fill=fill, reason="late", previous_hash="cd"))
    assert event["fill"] == {
        "execution_id": "x",
        "price": "3",
        "quantity": "2",
        "fee": "-0.000000001",
        "currency": "USD",
        "event_time_ns": "9",
        "mid": None,
        "liquidity": None,
    }
    assert (event["reason"], event["previous_hash"]) == ("late", "cd")


def test_a_limit_order_shows_its_prices() -> None:
    order = an_order(price_nanos=ONE, stop_price_nanos=2 * ONE, client_timestamp_ns=5, side=execution_pb2.SIDE_SELL)
    view = order_shapes.order_view(order)
    assert (view["price"], view["stop_price"], view["client_timestamp_ns"], view["side"]) == ("1", "2", "5", "SELL")


TERMS = {
    "reduce_only": False,
    "post_only": False,
    "expire_time_ns": None,
    "trail_price": None,
    "trail_percent": None,
    "parent_order_id": None,
    "role": None,
    "external": False,
    "arrival_price": None,
    "slippage": None,
    "fee": "0",
    "replacements": 0,
    "take_profit": None,
    "stop_loss": None,
}


def test_what_an_order_lacks_is_null() -> None:
    view = order_shapes.order_view(an_order())
    assert {name: view[name] for name in TERMS} == TERMS  # type: ignore[literal-required]  # names of the shape


def test_an_order_shows_all_its_terms_and_what_they_cost() -> None:
    order = an_order(
        reduce_only=True,
        post_only=True,
        expire_time_ns=EVENT_NS,
        trail_nanos=ONE // 2,
        trail_bps=125,
        parent_order_id="entry",
        role=execution_pb2.ORDER_ROLE_STOP_LOSS,
        external=True,
        arrival_price_nanos=190 * ONE,
        slippage_nanos=-ONE // 100,
        fee_nanos=ONE,
        replacements=2,
        take_profit_nanos=200 * ONE,
        stop_loss_nanos=90 * ONE,
    )
    view = order_shapes.order_view(order)
    assert TypeAdapter(order_shapes.Order).validate_python(view) == view
    assert {name: view[name] for name in TERMS} == {  # type: ignore[literal-required]  # names of the shape
        "reduce_only": True,
        "post_only": True,
        "expire_time_ns": str(EVENT_NS),
        "trail_price": "0.5",
        "trail_percent": "1.25",
        "parent_order_id": "entry",
        "role": "STOP_LOSS",
        "external": True,
        "arrival_price": "190",
        "slippage": "-0.01",
        "fee": "1",
        "replacements": 2,
        "take_profit": "200",
        "stop_loss": "90",
    }


@pytest.mark.parametrize(("value", "basis_points"), [("1.25", 125), (0.5, 50), (2, 200), (2.0, 200), ("50", 5000)])
def test_a_percentage_becomes_basis_points(value: Any, basis_points: int) -> None:
    assert PERCENT.validate_python(value) == basis_points


@pytest.mark.parametrize("value", ["1.255", 1.255, "-1", -1, "1e1", "", "١", True, None, [], 1e9, math.nan, math.inf])
def test_what_is_no_percentage_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        PERCENT.validate_python(value)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"state": "HALTED"}', {"state": "HALTED"}),
        (
            '{"max_order_notional_nanos": 1500000000, "max_position_nanos": null, "max_open_orders": 3}',
            {"max_order_notional": "1.5", "max_position": None, "max_open_orders": 3},
        ),
        (
            '{"price_collar": 0.1, "max_quote_age_ns": 5, "refuse_self_trades": true}',
            {"price_collar": 0.1, "max_quote_age_ns": "5", "refuse_self_trades": True},
        ),
        ('{"enabled": false, "models": "[\\"m\\"]"}', {"enabled": False, "models": ["m"]}),
    ],
)
def test_an_audited_value_reads_as_it_was_set(stored: str, shown: dict[str, Any]) -> None:
    entry = execution_pb2.AuditEntry(id=4, subject="risk_limits", value=stored)
    assert audit_view(entry)["value"] == shown


def test_an_empty_side_of_a_quote_is_null() -> None:
    view = quote_view(a_quote(ask_nanos=0, last_trade_price_nanos=ONE, last_trade_size_nanos=2 * ONE))
    assert (view["ask"], view["ask_size"], view["last_price"], view["last_size"]) == (None, None, 1.0, 2.0)


def test_bars_are_grouped_in_the_order_of_the_answer() -> None:
    page = bar_page([a_bar("B"), a_bar("A"), a_bar("B", trade_count=2)], "next")
    assert list(page["bars"]) == ["B", "A"]
    assert page["bars"]["B"] == [bar_view(a_bar()), bar_view(a_bar(trade_count=2))]
    assert page["next_cursor"] == "next"


def test_signal_trading_changes_only_what_is_said() -> None:
    current = execution_pb2.SignalTrading(notional_nanos=5, min_confidence=0.6, account="main", models=["m"])
    update = SignalTradingUpdate(enabled=True, min_confidence=0.7)
    assert update.message(current) == execution_pb2.SignalTrading(
        enabled=True, notional_nanos=5, min_confidence=0.7, account="main", models=["m"]
    )


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), max_size=4))
def test_a_matrix_keeps_every_value(rows: list[list[float]]) -> None:
    found = matrix(rows, 3, "returns")
    assert found.shape == (len(rows), 3)
    assert found.tolist() == rows


def test_a_ragged_matrix_is_pointed_at() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        matrix([[1.0, 2.0], [1.0]], 2, "covariance")
    assert refusal.value.metadata == {"field": "covariance.1", "expected": 2, "was": 1}


def test_a_window_stands_for_the_returns() -> None:
    message = OptimizeRequest(symbols=["A", "B"], window_days=2).message()
    assert message.window.days == 2
    assert not message.returns_f64le


@pytest.mark.parametrize("config", [{}, {"log_level": "DEBUG"}, {"NT_SYMBOLS": "AAPL,MSFT", "REDIS_URL": "redis://x"}])
def test_settings_of_the_fleet_are_judged_without_the_environment(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NT_LOG_LEVEL", "NONSENSE")
    assert verdict(config, fleet_config([Settings])) == {"valid": True, "errors": []}


def test_a_snake_case_configuration_of_the_sdk_is_recognised() -> None:
    found = verdict({"data_source": "alpaca", "symbols": [], "api_key": "k"}, fleet_config([]))
    assert [error["path"] for error in found["errors"]] == ["symbols"]
