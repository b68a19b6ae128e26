"""The REST routes against real servers of the fleet's contracts."""

import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest
import pytest_asyncio
from builders.gateway import a_bar, an_order, an_order_event
from fakes.backends import fake_fleet
from integration.gateway.conftest import KEY, Gateway, running

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.inference.v1 import inference_service_pb2 as inference
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from trading.clock import DAY_NS
from trading.errors import FailedPrecondition, IdempotencyConflict, ResourceExhausted, UnknownSymbol

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDER: dict[str, Any] = {"symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "MARKET"}
ORDER_ID = "01990000-0000-7000-8000-000000000001"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_gateway(nats_url: str) -> AsyncIterator[Gateway]:
    """One gateway for all tests here: none of them breaks it."""
    async with fake_fleet(KEY) as fleet, running(fleet, nats_url) as started:
        yield started


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """The shared gateway before a fleet that remembers nothing."""
    shared_gateway.fleet.reset()
    return shared_gateway


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, checked for what every one of them carries."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"urn:neural-trader:problem:{code.lower().replace('_', '-')}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


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
    "body",
    [
        b'{"symbol": "AA',
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b'{"symbol": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"quantity": NaN}',
        b"1e999",
        b'"\\ud800"',
        b"{} trailing",
    ],
)
async def test_a_body_that_cannot_be_parsed_is_400(gateway: Gateway, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem(await gateway.http.post("/v1/orders", content=body, headers=headers), 400, "MALFORMED_BODY")


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"[1,2]"])
async def test_a_parsed_body_of_the_wrong_kind_is_422(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.http.post("/v1/orders", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422, "INVALID_ARGUMENT")


async def test_another_media_type_is_415(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/orders", content=b"a=1", headers={"Content-Type": "text/plain"})
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_without_a_media_type_is_read_as_json(gateway: Gateway) -> None:
    request = gateway.http.build_request("POST", "/v1/orders", content=b'{"symbol":"AAPL"}')
    request.headers.pop("content-type", None)
    problem(await gateway.http.send(request), 422, "INVALID_ARGUMENT")


async def test_a_body_too_large_is_413_whether_declared_or_streamed(gateway: Gateway) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    problem(await gateway.http.post("/v1/orders", content=b" " * 2_000_000, headers=headers), 413, "BODY_TOO_LARGE")
    problem(await gateway.http.post("/v1/orders", content=pieces(), headers=headers), 413, "BODY_TOO_LARGE")
    assert (await gateway.http.get("/healthz")).status_code == 200


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


async def test_an_unknown_order_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/orders/none"), 404, "UNKNOWN_ORDER")


async def test_an_unknown_status_is_422_by_parameter(gateway: Gateway) -> None:
    body = problem(await gateway.http.get("/v1/orders?status=OPEN"), 422, "INVALID_ARGUMENT")
    assert body["errors"][0]["parameter"] == "status"


async def test_a_query_that_breaks_the_contract_is_422_by_parameter(gateway: Gateway) -> None:
    body = problem(await gateway.http.get("/v1/orders?limit=0"), 422, "INVALID_ARGUMENT")
    assert [error["parameter"] for error in body["errors"]] == ["limit"]


async def test_a_quote_in_any_spelling(gateway: Gateway) -> None:
    quote = (await gateway.http.get("/v1/market-data/quotes/AAPL")).json()
    assert (quote["bid"], quote["ask"], quote["ask_size"], quote["last_price"]) == (189.99, 190.01, 200.0, None)
    assert quote["timestamp_ns"] == "1760000000000000000"
    bitcoin = (await gateway.http.get("/v1/market-data/quotes/BTC%2FUSD")).json()
    assert (bitcoin["symbol"], bitcoin["bid"], bitcoin["bid_size"]) == ("BTC-USDT", None, None)


async def test_an_unknown_symbol_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/market-data/quotes/NOSUCH"), 404, "UNKNOWN_SYMBOL")


async def test_a_symbol_without_a_quote_is_503_with_retry_after(gateway: Gateway) -> None:
    gateway.fleet.market_data.quotes.clear()
    answer = await gateway.http.get("/v1/market-data/quotes/AAPL")
    problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"


async def test_bars_by_symbol_with_times_in_either_form(gateway: Gateway) -> None:
    query = {"symbols": "AAPL, BTC/USD", "start": "2025-01-01T00:00:00.000001Z", "end": "1760000000000000000"}
    page = (await gateway.http.get("/v1/market-data/bars", params=query | {"interval": "1d", "limit": 7})).json()
    assert page["bars"]["AAPL"][0]["volume"] == 1e10
    assert page["next_cursor"] is None
    (asked,) = gateway.fleet.script.heard(market_data.ListBarsRequest)
    assert asked.start_time_ns == 1_735_689_600_000_001_000
    assert (asked.end_time_ns, asked.interval, asked.page_size) == (1_760_000_000_000_000_000, "1d", 7)
    assert list(asked.symbols) == ["AAPL", "BTC/USD"]


async def test_bars_of_activity_are_asked_for_by_their_rule(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "interval": "tick-100"})
    assert answer.status_code == 200
    (asked,) = gateway.fleet.script.heard(market_data.ListBarsRequest)
    assert asked.interval == "tick-100"
    wrong = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "interval": "tick-0"})
    problem(wrong, 422, "INVALID_ARGUMENT")


async def test_the_rolling_windows_of_a_symbol(gateway: Gateway) -> None:
    found = (await gateway.http.get("/v1/market-data/windows/AAPL")).json()
    assert found == {
        "symbol": "AAPL",
        "windows": [{"name": "vwap:5m", "value": 190.25, "ticks": 7, "warm": True}],
        "as_of_ns": "1760000000000000000",
        "from_quotes": False,
    }
    problem(await gateway.http.get("/v1/market-data/windows/NOSUCH"), 404, "UNKNOWN_SYMBOL")


async def test_windows_before_the_first_tick_have_no_value(gateway: Gateway) -> None:
    gateway.fleet.market_data.quotes.clear()
    found = (await gateway.http.get("/v1/market-data/windows/AAPL")).json()
    assert (found["windows"][0]["value"], found["as_of_ns"]) == (None, None)


async def test_an_instrument_says_whether_it_can_be_traded_now(gateway: Gateway) -> None:
    apple, bitcoin = (await gateway.http.get("/v1/instruments")).json()["instruments"]
    facts = [apple[name] for name in ("trading_hours", "session_state", "session_open_ns", "session_close_ns")]
    assert facts == ["XNYS", "HALTED", "1760000000000000000", "1760023400000000000"]
    assert (bitcoin["session_state"], bitcoin["session_open_ns"]) == ("OPEN", None)


@pytest.mark.parametrize("start", ["yesterday", "9" * 19, "1815-06-18", "9999-12-31"])
async def test_a_moment_that_is_none_is_422(gateway: Gateway, start: str) -> None:
    answer = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "start": start})
    assert problem(answer, 422, "INVALID_ARGUMENT")["errors"][0]["parameter"] == "start"


@pytest.mark.parametrize("path", ["/v1/instruments", "/v1/models"])
async def test_a_slow_list_has_an_etag(gateway: Gateway, path: str) -> None:
    first = await gateway.http.get(path)
    again = await gateway.http.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert (await gateway.http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_models_and_one_model(gateway: Gateway) -> None:
    (model,) = (await gateway.http.get("/v1/models")).json()["models"]
    assert model == (await gateway.http.get("/v1/models/momentum-v1")).json()
    assert (model["horizon_ns"], model["metrics"]) == ("500000000", {"brier_skill": 0.25})
    problem(await gateway.http.get("/v1/models/none"), 404, "UNKNOWN_MODEL")


ROW: dict[str, Any] = {"symbol": "AAPL", "price": 190.0, "volume": 1, "timestamp_ns": "5", "bid": 189, "ask": 191}


async def test_rows_and_columns_are_the_same_prediction(gateway: Gateway) -> None:
    columns = {name: [value, value] for name, value in ROW.items()}
    by_row = await gateway.http.post("/v1/models/momentum-v1/predict", json={"market_data": [ROW, ROW]})
    by_column = await gateway.http.post("/v1/models/momentum-v1/predict", json=columns)
    assert by_row.json() == by_column.json()
    assert by_row.json()["predictions"] == [0.5, 0.5]
    first, second = gateway.fleet.script.heard(inference.PredictRequest)
    assert first == second
    assert first.market_data[0].timestamp_ns == 5
    assert not first.market_data[0].HasField("spread")


async def test_a_wrong_row_is_pointed_at(gateway: Gateway) -> None:
    rows = {"market_data": [ROW, ROW | {"price": 0}]}
    body = problem(await gateway.http.post("/v1/models/momentum-v1/predict", json=rows), 422, "INVALID_ARGUMENT")
    assert [error["pointer"] for error in body["errors"]] == ["#/market_data/1/price"]


async def test_columns_of_different_lengths_are_422(gateway: Gateway) -> None:
    columns = {name: [value] for name, value in ROW.items()} | {"bid": [1, 2]}
    problem(await gateway.http.post("/v1/models/momentum-v1/predict", json=columns), 422, "INVALID_ARGUMENT")


async def test_the_kill_switch_knows_who_turned_it(gateway: Gateway) -> None:
    halted = await gateway.http.post("/v1/execution/halt", json={"reason": "drill", "cancel_open": True})
    assert halted.json() == {"trading_state": "HALTED", "cancels_requested": 1}
    assert (await gateway.http.post("/v1/execution/resume")).json()["trading_state"] == "ACTIVE"
    first, second = gateway.fleet.script.heard(execution.SetTradingStateRequest)
    assert (first.reason, first.cancel_open, first.actor) == ("drill", True, "admin1")
    assert second.state == execution_pb2.TRADING_STATE_ACTIVE


async def test_limits_that_were_read_can_be_sent_back(gateway: Gateway) -> None:
    limits = (await gateway.http.get("/v1/risk-limits")).json()
    assert (limits["max_order_notional"], limits["price_collar"], limits["max_position"]) == ("1000000", 0.1, None)
    again = await gateway.http.put("/v1/risk-limits", json=limits | {"max_open_orders": 5, "max_position": "2.5"})
    assert again.json() == limits | {"max_open_orders": 5, "max_position": "2.5"}
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
    assert stats["submit_latency"] == {"p50_ns": "0", "p99_ns": "123", "mean_ns": "0", "count": 0}
    assert (stats["orders_processed"], stats["orders_by_status"]) == (7, {"FILLED": 7})


async def test_accounts_and_positions_are_exact(gateway: Gateway) -> None:
    account = (await gateway.http.get("/v1/account")).json()
    assert (account["buying_power"], account["day_pnl"]) == ("98105.5", "-5.25")
    assert (await gateway.http.get("/v1/accounts")).json() == {"accounts": [account]}
    book = (await gateway.http.get("/v1/positions?include_flat=true")).json()
    (position,) = book["positions"]
    assert (book["account"], book["as_of_ns"]) == ("main", "5")
    assert Decimal(position["quantity"]) * 190 == Decimal(position["market_value"])
    assert gateway.fleet.script.heard(portfolio.ListPositionsRequest)[0].include_flat


async def test_an_unknown_account_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/account?account=other"), 404, "UNKNOWN_ACCOUNT")


async def test_a_covariance_travels_as_float64(gateway: Gateway) -> None:
    body = {
        "symbols": ["AAPL", "BTC-USDT"],
        "expected_returns": [0.1, 0.2],
        "covariance": [[0.04, 0.01], [0.01, 0.09]],
        "constraints": {"max_position_size": 0.6, "min_position_kind": "hard", "sector_caps": {"Tech": 0.5}},
        "current_positions": {"AAPL": 0.5},
    }
    answer = (await gateway.http.post("/v1/portfolio/optimize", json=body)).json()
    assert answer["allocations"] == {"AAPL": 1.0, "BTC-USDT": 0.0}
    assert (answer["cvar"], answer["turnover"]) == (None, 0.5)
    (sent,) = gateway.fleet.script.heard(portfolio.OptimizeRequest)
    assert struct.unpack("<4d", sent.covariance_f64le) == (0.04, 0.01, 0.01, 0.09)
    assert sent.objective == portfolio.OBJECTIVE_MAX_SHARPE
    assert sent.constraints.min_position_kind == portfolio.MIN_POSITION_KIND_HARD
    assert (sent.risk_free_rate, sent.periods_per_year) == (0.02, 252)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"covariance": [[1.0]]}, "SHAPE_MISMATCH"),
        ({"covariance": [[1.0, 0.0], [0.0]]}, "SHAPE_MISMATCH"),
        ({"expected_returns": [0.1]}, "SHAPE_MISMATCH"),
        ({"expected_returns": None}, "SHAPE_MISMATCH"),
        ({"returns": [[0.1, 0.2]]}, "INVALID_ARGUMENT"),
        ({"covariance": None}, "INVALID_ARGUMENT"),
        ({"objective": "luck"}, "INVALID_ARGUMENT"),
        ({"constraints": {"max": 1}}, "INVALID_ARGUMENT"),
    ],
)
async def test_a_problem_of_the_wrong_shape_is_422(gateway: Gateway, change: dict[str, Any], code: str) -> None:
    body = {"symbols": ["A", "B"], "expected_returns": [0.1, 0.2], "covariance": [[1.0, 0.0], [0.0, 1.0]]}
    problem(await gateway.http.post("/v1/portfolio/optimize", json=body | change), 422, code)
    assert gateway.fleet.script.calls == []


async def test_an_infeasible_problem_is_422_with_constraint_and_numbers(gateway: Gateway) -> None:
    refusal = FailedPrecondition(
        "3 × 0.3 < 1.", reason="INFEASIBLE_BUDGET", constraint="max_position_size", numbers='{"attainable": 0.9}'
    )
    gateway.fleet.script.refusals[portfolio.OptimizeRequest] = refusal
    body = {"symbols": ["A"], "returns": [[0.1], [0.2]]}
    found = problem(await gateway.http.post("/v1/portfolio/optimize", json=body), 422, "INFEASIBLE_BUDGET")
    assert (found["constraint"], found["numbers"]) == ("max_position_size", {"attainable": 0.9})


async def test_risk_of_a_window_of_the_fleets_own_history(gateway: Gateway) -> None:
    days = range(20_000, 20_006)
    gateway.fleet.market_data.bars = [
        a_bar(symbol, timestamp_ns=day * DAY_NS + offset, close_nanos=(100 + day % 7 + offset) * 1_000_000_000)
        for symbol, offset in (("AAPL", 0), ("BTC-USDT", 5))
        for day in days
    ]
    body = {"symbols": ["AAPL"], "positions": [1.0], "window_days": 4, "benchmark": "BTC/USD"}
    answer = (await gateway.http.post("/v1/portfolio/risk", json=body)).json()
    assert (answer["observations"], answer["beta"], answer["correlation"]) == (4, 1.1, None)
    (sent,) = gateway.fleet.script.heard(portfolio.CalculateRiskRequest)
    closes = [100 + day % 7 for day in days][-5:]
    expected = [after / before - 1 for before, after in pairwise(closes)]
    assert struct.unpack("<4d", sent.returns_f64le) == pytest.approx(expected, abs=1e-15)
    assert len(sent.market_returns_f64le) == 32


async def test_too_little_history_is_422_with_its_numbers(gateway: Gateway) -> None:
    body = {"symbols": ["AAPL", "BTC-USDT"], "window_days": 252}
    found = problem(await gateway.http.post("/v1/portfolio/optimize", json=body), 422, "INSUFFICIENT_HISTORY")
    assert found["numbers"]["wanted"] == 252


async def test_risk_of_given_returns_and_market(gateway: Gateway) -> None:
    body = {"symbols": ["A", "B"], "positions": [1, 2], "position_kind": "notional", "returns": [[0.1, 0.2]] * 3}
    assert (await gateway.http.post("/v1/portfolio/risk", json=body | {"market_returns": [0.1] * 3})).status_code == 200
    wrong = await gateway.http.post("/v1/portfolio/risk", json=body | {"market_returns": [0.1]})
    problem(wrong, 422, "SHAPE_MISMATCH")


async def test_the_seeds_configurations_are_recognised(gateway: Gateway) -> None:
    good = [
        {"websocketUrl": "wss://x.example", "apiKey": "k", "bufferSize": 10},
        {"modelPath": "./models/m.safetensors", "batchSize": 32, "useGpu": False, "precision": "fp16"},
        {"riskFreeRate": 0.02, "constraints": {"maxPositionSize": 0.3, "sectors": {"Tech": 0.4}}},
        {"symbols": ["AAPL"], "dataSource": "alpaca", "apiKey": "k"},
        {"NT_LOG_LEVEL": "INFO", "gateway_port": 8080, "NATS_URL": "nats://x:4222", "NT_VENUE": "paper"},
    ]
    for config in good:
        answer = await gateway.http.post("/v1/config/validate", json=config)
        assert answer.json() == {"valid": True, "errors": []}, config


async def test_a_wrong_configuration_is_told_where(gateway: Gateway) -> None:
    config = {"riskFreeRate": "high", "constraints": {"maxPositionSize": 2, "sektors": {}}}
    verdict = (await gateway.http.post("/v1/config/validate", json=config)).json()
    assert not verdict["valid"]
    paths = {error["path"] for error in verdict["errors"]}
    assert paths == {"riskFreeRate", "constraints.maxPositionSize", "constraints.sektors"}
