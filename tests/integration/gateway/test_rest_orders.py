"""Orders, limits and switches by REST, against real servers of the fleet's contracts."""

import gzip
import json
from typing import Any

import pytest
from builders.gateway import an_order, an_order_event
from integration.gateway.conftest import ORDER, ORDER_ID, Gateway, problem

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from trading.errors import FailedPrecondition, IdempotencyConflict, ResourceExhausted, UnknownSymbol

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_order_goes_over_the_stream_and_comes_back_as_the_contract_says(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/orders", json=ORDER | {"client_order_id": "mine-1", "price": 189.5})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/orders/{ORDER_ID}"
    assert answer.json() == {
        "order_id": ORDER_ID,
        "client_order_id": "mine-1",
        "account": "main",
        "status": "FILLED",
        "filled_quantity": "10",
        "avg_price": "189.5",
        "total_latency_ns": "900000",
        "validation_time_ns": "100000",
        "execution_time_ns": "700000",
        "timestamp_ns": "1760000000001000000",
        "denial": None,
    }
    (sent,) = gateway.fleet.script.heard(execution.SubmitOrderRequest)
    assert sent.quantity_nanos == 10_000_000_000
    assert sent.price_nanos == 189_500_000_000
    assert not sent.HasField("stop_price_nanos")
    assert sent.wait == execution_pb2.WAIT_UNSPECIFIED
    assert len(gateway.fleet.execution.commands) == 1


async def test_every_term_of_an_order_travels_to_execution(gateway: Gateway) -> None:
    terms = {
        "order_type": "TRAILING_STOP",
        "time_in_force": "GTD",
        "expire_time_ns": "1760000000000000000",
        "trail_percent": "1.25",
        "reduce_only": True,
        "post_only": True,
        "take_profit": "210",
        "stop_loss": 180.5,
    }
    assert (await gateway.http.post("/v1/orders", json=ORDER | terms)).status_code == 201
    await gateway.http.post("/v1/orders", json=ORDER | {"order_type": "STOP_LIMIT", "trail_price": "0.5"})
    first, second = gateway.fleet.script.heard(execution.SubmitOrderRequest)
    assert first.order_type == execution_pb2.ORDER_TYPE_TRAILING_STOP
    assert (first.time_in_force, first.expire_time_ns) == (execution_pb2.TIME_IN_FORCE_GTD, 1760000000000000000)
    assert (first.trail_bps, first.HasField("trail_nanos")) == (125, False)
    assert (first.reduce_only, first.post_only) == (True, True)
    assert (first.take_profit_nanos, first.stop_loss_nanos) == (210_000_000_000, 180_500_000_000)
    assert (second.order_type, second.trail_nanos) == (execution_pb2.ORDER_TYPE_STOP_LIMIT, 500_000_000)
    assert (second.reduce_only, second.HasField("take_profit_nanos")) == (False, False)


async def test_a_repeated_order_is_200(gateway: Gateway) -> None:
    gateway.fleet.execution.answer = execution.SubmitOrderResponse(order=an_order(), duplicate=True)
    assert (await gateway.http.post("/v1/orders", json=ORDER)).status_code == 200


async def test_a_denied_order_is_201_with_its_numbers(gateway: Gateway) -> None:
    denied = an_order(
        status=execution_pb2.ORDER_STATUS_DENIED,
        filled_quantity_nanos=0,
        avg_price_nanos=0,
        denial=execution_pb2.Denial(code="PRICE_COLLAR", message="Too far.", limits={"limit": "0.1"}),
    )
    gateway.fleet.execution.answer = execution.SubmitOrderResponse(order=denied)
    answer = await gateway.http.post("/v1/orders", json=ORDER)
    assert answer.status_code == 201
    assert answer.json()["avg_price"] is None
    assert answer.json()["denial"] == {"code": "PRICE_COLLAR", "message": "Too far.", "limits": {"limit": "0.1"}}


async def test_the_idempotency_key_stands_in_for_a_client_order_id(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "key-1"}
    await gateway.http.post("/v1/orders", json=ORDER, headers=headers)
    await gateway.http.post("/v1/orders", json=ORDER | {"client_order_id": "mine"}, headers=headers)
    sent = gateway.fleet.script.heard(execution.SubmitOrderRequest)
    assert [order.client_order_id for order in sent] == ["key-1", "mine"]


async def test_the_wait_travels_to_execution(gateway: Gateway) -> None:
    await gateway.http.post("/v1/orders?wait=none&wait_ms=150", json=ORDER)
    (sent,) = gateway.fleet.script.heard(execution.SubmitOrderRequest)
    assert (sent.wait, sent.wait_ms) == (execution_pb2.WAIT_NONE, 150)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"side": "HOLD"}, "#/side"),
        ({"side": 1}, "#/side"),
        ({"quantity": "ten"}, "#/quantity"),
        ({"quantity": True}, "#/quantity"),
        ({"quantity": "1_000"}, "#/quantity"),
        ({"quantity": "0.0000000001"}, "#/quantity"),
        ({"quantity": "99999999999"}, "#/quantity"),
        ({"quantity": [1]}, "#/quantity"),
        ({"price": {}}, "#/price"),
        ({"order_type": "ICEBERG"}, "#/order_type"),
        ({"time_in_force": "LATER"}, "#/time_in_force"),
        ({"client_order_id": "with blank"}, "#/client_order_id"),
        ({"client_order_id": ""}, "#/client_order_id"),
        ({"timestamp_ns": "-1"}, "#/timestamp_ns"),
        ({"timestamp_ns": 2**63}, "#/timestamp_ns"),
        ({"symbol": ""}, "#/symbol"),
        ({"stopPrice": "1"}, "#/stopPrice"),
        ({"trail_percent": "1.255"}, "#/trail_percent"),
        ({"trail_price": "far"}, "#/trail_price"),
        ({"expire_time_ns": "tomorrow"}, "#/expire_time_ns"),
        ({"reduce_only": "yes"}, "#/reduce_only"),
        ({"take_profit": []}, "#/take_profit"),
        ({"symbol": None}, "#/symbol"),
    ],
)
async def test_a_wrong_field_is_422_with_a_pointer(gateway: Gateway, change: dict[str, Any], pointer: str) -> None:
    answer = await gateway.http.post("/v1/orders", json=ORDER | change)
    body = problem(answer, 422, "INVALID_ARGUMENT")
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert gateway.fleet.script.calls == []


async def test_every_wrong_field_is_named_at_once(gateway: Gateway) -> None:
    body = problem(await gateway.http.post("/v1/orders", json={"side": "x"}), 422, "INVALID_ARGUMENT")
    pointers = {error["pointer"] for error in body["errors"]}
    assert pointers == {"#/symbol", "#/side", "#/quantity", "#/order_type"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownSymbol("No instrument is called 'X'.", symbol="X"), 404, "UNKNOWN_SYMBOL"),
        (IdempotencyConflict("It came before with another body."), 409, "IDEMPOTENCY_CONFLICT"),
        (FailedPrecondition("Not now."), 409, "FAILED_PRECONDITION"),
        (ResourceExhausted("Full.", retry_after_s=2.5), 429, "RESOURCE_EXHAUSTED"),
    ],
)
async def test_a_refusal_on_the_stream_keeps_its_name(
    gateway: Gateway, error: Exception, status: int, code: str
) -> None:
    gateway.fleet.script.refusals[execution.SubmitOrderRequest] = error
    answer = await gateway.http.post("/v1/orders", json=ORDER)
    problem(answer, status, code)
    if status == 429:
        assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("retry_after_s", "header"), [(2.5, "3"), (0.1, "1"), (None, "1"), ("soon", "1"), (float("inf"), "1")]
)
async def test_a_full_execution_says_when_to_come_back(gateway: Gateway, retry_after_s: object, header: str) -> None:
    facts = {} if retry_after_s is None else {"retry_after_s": retry_after_s}
    gateway.fleet.script.refusals[execution.CancelOrdersRequest] = ResourceExhausted("Full.", **facts)
    answer = await gateway.http.delete("/v1/orders")
    problem(answer, 429, "RESOURCE_EXHAUSTED")
    assert answer.headers["retry-after"] == header


async def test_an_order_can_be_read_listed_canceled_and_followed(gateway: Gateway) -> None:
    gateway.fleet.execution.events = [an_order_event(7)]
    order = (await gateway.http.get(f"/v1/orders/{ORDER_ID}")).json()
    assert (order["symbol"], order["quantity"], order["price"], order["reason"]) == ("AAPL", "10", None, None)
    page = (await gateway.http.get("/v1/orders?status=filled,DENIED&status=CANCELED&limit=5&cursor=c")).json()
    assert page == {"orders": [order], "next_cursor": "more"}
    (request,) = gateway.fleet.script.heard(execution.ListOrdersRequest)
    wanted = [execution_pb2.ORDER_STATUS_FILLED, execution_pb2.ORDER_STATUS_DENIED, execution_pb2.ORDER_STATUS_CANCELED]
    assert (list(request.statuses), request.page_size, request.cursor) == (wanted, 5, "c")
    assert (await gateway.http.delete(f"/v1/orders/{ORDER_ID}")).json() == order
    events = (await gateway.http.get(f"/v1/orders/{ORDER_ID}/events")).json()["events"]
    assert (events[0]["kind"], events[0]["log_sequence"], events[0]["fill"]) == ("ACCEPTED", "7", None)


async def test_a_change_names_only_what_changes(gateway: Gateway) -> None:
    order = (await gateway.http.get(f"/v1/orders/{ORDER_ID}")).json()
    answer = await gateway.http.patch(f"/v1/orders/{ORDER_ID}", json={"price": "190.5", "quantity": None})
    assert (answer.status_code, answer.json()) == (200, order)
    (sent,) = gateway.fleet.script.heard(execution.ModifyOrderRequest)
    assert (sent.order_id, sent.price_nanos) == (ORDER_ID, 190_500_000_000)
    assert not sent.HasField("quantity_nanos")
    assert not sent.HasField("stop_price_nanos")


@pytest.mark.parametrize("body", [{}, {"price": None}, {"side": "SELL"}, {"quantity": "ten"}])
async def test_a_change_of_nothing_or_of_something_else_is_422(gateway: Gateway, body: dict[str, Any]) -> None:
    problem(await gateway.http.patch(f"/v1/orders/{ORDER_ID}", json=body), 422, "INVALID_ARGUMENT")
    assert gateway.fleet.script.calls == []


async def test_a_change_that_the_venue_refuses_is_409(gateway: Gateway) -> None:
    refusal = FailedPrecondition("The venue refused the change.", reason="MODIFY_REJECTED")
    gateway.fleet.script.refusals[execution.ModifyOrderRequest] = refusal
    answer = await gateway.http.patch(f"/v1/orders/{ORDER_ID}", json={"quantity": 5})
    problem(answer, 409, "MODIFY_REJECTED")


async def test_all_orders_of_a_symbol_are_canceled_at_once(gateway: Gateway) -> None:
    answer = await gateway.http.delete("/v1/orders?account=main&symbol=aapl")
    assert (answer.status_code, answer.json()) == (200, {"cancels_requested": 1})
    assert (await gateway.http.delete("/v1/orders")).status_code == 200
    first, second = gateway.fleet.script.heard(execution.CancelOrdersRequest)
    assert (first.account, first.symbol, second.account, second.symbol) == ("main", "aapl", "", "")


async def test_an_unknown_order_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/orders/none"), 404, "UNKNOWN_ORDER")


async def test_an_unknown_status_is_422_by_parameter(gateway: Gateway) -> None:
    body = problem(await gateway.http.get("/v1/orders?status=OPEN"), 422, "INVALID_ARGUMENT")
    assert body["errors"][0]["parameter"] == "status"


async def test_the_kill_switch_knows_who_turned_it(gateway: Gateway) -> None:
    wish = {"reason": "drill", "cancel_open": True, "flatten": True}
    halted = await gateway.http.post("/v1/execution/halt", json=wish)
    assert halted.json() == {"trading_state": "HALTED", "cancels_requested": 1, "closing_orders": 1}
    assert (await gateway.http.post("/v1/execution/resume")).json()["trading_state"] == "ACTIVE"
    first, second = gateway.fleet.script.heard(execution.SetTradingStateRequest)
    assert (first.reason, first.cancel_open, first.flatten, first.actor) == ("drill", True, True, "admin1")
    assert second.state == execution_pb2.TRADING_STATE_ACTIVE


async def test_limits_that_were_read_can_be_sent_back(gateway: Gateway) -> None:
    limits = (await gateway.http.get("/v1/risk-limits")).json()
    assert (limits["max_order_notional"], limits["price_collar"], limits["max_position"]) == ("1000000", 0.1, None)
    changes = {
        "max_open_orders": 5,
        "max_position": "2.5",
        "min_order_notional": "1",
        "max_modifies_per_second": 10,
        "duplicate_window_ns": "500000000",
        "refuse_self_trades": False,
    }
    again = await gateway.http.put("/v1/risk-limits", json=limits | changes)
    assert again.json() == limits | changes
    (sent,) = gateway.fleet.script.heard(execution.SetRiskLimitsRequest)
    assert sent.actor == "admin1"
    assert not sent.limits.HasField("max_daily_loss_nanos")


async def test_signal_trading_keeps_what_is_left_out(gateway: Gateway) -> None:
    before = (await gateway.http.get("/v1/execution/signal-trading")).json()
    after = (await gateway.http.put("/v1/execution/signal-trading", json={"enabled": True, "models": []})).json()
    assert after == before | {"enabled": True, "models": []}
    assert (before["notional"], before["models"]) == ("10000", ["momentum-v1"])


async def test_statistics_carry_durations_as_text(gateway: Gateway) -> None:
    stats = (await gateway.http.get("/v1/execution/stats")).json()
    assert stats["venue_latency"] == {"p50_ns": "456", "p99_ns": "0", "mean_ns": "0", "count": 0}
    assert stats["submit_latency"] == {"p50_ns": "0", "p99_ns": "123", "mean_ns": "0", "count": 0}
    assert (stats["orders_processed"], stats["orders_by_status"]) == (7, {"FILLED": 7})


async def test_signals_of_a_model_that_is_not_there_are_not_traded(gateway: Gateway) -> None:
    """A misspelt name would trade nothing, without a word; ending it all needs no model."""
    wish = {"enabled": True, "models": ["momentum-v1", "none"]}
    problem(await gateway.http.put("/v1/execution/signal-trading", json=wish), 404, "UNKNOWN_MODEL")
    assert gateway.fleet.script.heard(execution.SetSignalTradingRequest) == []
    answer = await gateway.http.put("/v1/execution/signal-trading", json=wish | {"enabled": False})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("DELETE", "/v1/orders?symbl=AAPL", "symbl"),
        ("GET", "/v1/orders?stauts=FILLED", "stauts"),
        ("POST", "/v1/orders?wait=none&waitms=5", "waitms"),
        ("GET", f"/v1/orders/{ORDER_ID}?account=main", "account"),
    ],
)
async def test_a_misspelt_parameter_is_refused(gateway: Gateway, method: str, path: str, name: str) -> None:
    """Left out, the filter of a cancel would cancel everything."""
    wrong = problem(await gateway.http.request(method, path, json=ORDER), 422, "INVALID_ARGUMENT")
    assert [error["parameter"] for error in wrong["errors"]] == [name]
    assert gateway.fleet.script.calls == []


@pytest.mark.parametrize(
    "body",
    [
        '{"symbol":"AAPL","symbol":"MSFT","side":"BUY","quantity":"1","order_type":"MARKET"}',
        '{"symbol":"AAPL","side":"BUY","quantity":"1","\\u0071uantity":"100","order_type":"MARKET"}',
    ],
)
async def test_an_order_that_says_two_things_is_not_guessed_at(gateway: Gateway, body: str) -> None:
    """Whichever spelling the name has."""
    headers = {"Content-Type": "application/json"}
    answer = await gateway.http.post("/v1/orders", content=body, headers=headers)
    assert "twice" in problem(answer, 400, "MALFORMED_BODY")["detail"]
    assert gateway.fleet.script.calls == []


async def test_a_compressed_body_is_415(gateway: Gateway) -> None:
    """And not "no JSON"."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await gateway.http.post("/v1/orders", content=gzip.compress(b"{}"), headers=headers)
    assert "gzip" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]


async def test_an_order_without_a_media_type_is_read_as_json(gateway: Gateway) -> None:
    """Not as text."""
    answer = await gateway.http.post("/v1/orders", content=json.dumps(ORDER))
    assert answer.status_code == 201
