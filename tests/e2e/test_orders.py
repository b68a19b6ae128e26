"""An order's journey through the whole fleet, by REST, by gRPC and as a WebSocket sees it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import grpc
import httpx
import pytest
import structlog
import websockets
from builders.gateway import until
from e2e.conftest import Fleet
from servers import wait_until

from fleet.channels import call_metadata, connect
from neuraltrader.execution.v1 import execution_pb2, execution_service_pb2
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.gateway.order_stream import OrderStream
from trading.errors import TradingError

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(180)]
ONE = 1_000_000_000


def held(fleet: Fleet, symbol: str) -> Decimal:
    """The quantity that the book holds."""
    rows = fleet.client.get("/v1/positions").raise_for_status().json()["positions"]
    return sum((Decimal(row["quantity"]) for row in rows if row["symbol"] == symbol), Decimal(0))


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem+json body of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code"} <= set(body)
    assert body["status"] == answer.status_code
    return body


def test_a_market_order_is_filled_and_the_book_agrees(fleet: Fleet) -> None:
    before = held(fleet, "AAPL")
    answer = fleet.buy()
    order = answer.json()
    assert answer.status_code == 201
    assert order["status"] == "FILLED"
    assert Decimal(order["filled_quantity"]) == 10
    assert Decimal(order["avg_price"]) > 0
    validation, execution, total = (
        int(order[f"{name}_ns"]) for name in ("validation_time", "execution_time", "total_latency")
    )
    assert validation > 0
    assert execution > 0
    assert total >= validation + execution
    wait_until(lambda: held(fleet, "AAPL") == before + 10, "the position")


def test_the_same_client_order_id_twice_is_one_order(fleet: Fleet) -> None:
    first = fleet.buy(client_order_id="twice-1")
    again = fleet.buy(client_order_id="twice-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["order_id"] == first.json()["order_id"]


def test_the_same_id_with_another_body_is_refused(fleet: Fleet) -> None:
    fleet.buy(client_order_id="twice-2")
    refusal = fleet.buy(client_order_id="twice-2", quantity="11")
    assert refusal.status_code == 409
    assert problem(refusal)["code"] == "IDEMPOTENCY_CONFLICT"


def test_a_wrong_symbol_is_404_and_stores_nothing(fleet: Fleet) -> None:
    refusal = fleet.buy(symbol="NOSUCH", client_order_id="no-such-1")
    assert refusal.status_code == 404
    assert problem(refusal)["code"] == "UNKNOWN_SYMBOL"
    orders = fleet.client.get("/v1/orders").raise_for_status().json()["orders"]
    assert "no-such-1" not in {order["client_order_id"] for order in orders}


@pytest.mark.parametrize(
    ("field", "value"), [("side", "HOLD"), ("quantity", "-1"), ("quantity", "NaN"), ("order_type", "MAGIC")]
)
def test_a_wrong_value_is_422(fleet: Fleet, field: str, value: str) -> None:
    refusal = fleet.buy(**{field: value})
    assert refusal.status_code == 422
    assert field in json.dumps(problem(refusal))


def test_an_unparseable_body_is_400(fleet: Fleet) -> None:
    headers = {"Content-Type": "application/json"}
    refusal = fleet.client.post("/v1/orders", content=b'{"symbol": "AAPL', headers=headers)
    assert refusal.status_code == 400
    problem(refusal)


def test_a_wrong_key_is_401(fleet: Fleet) -> None:
    refusal = fleet.client.get("/v1/positions", headers={"Authorization": "Bearer nt_0_wrong"})
    assert refusal.status_code == 401
    assert "Bearer" in refusal.headers["www-authenticate"]
    problem(refusal)


def test_a_risk_breach_is_a_denied_order(fleet: Fleet) -> None:
    answer = fleet.buy(quantity="5000000")
    assert answer.status_code == 201
    order = answer.json()
    assert order["status"] == "DENIED"
    assert order["denial"]["code"]
    assert order["denial"]["limits"]


def test_a_resting_limit_order_can_be_canceled(fleet: Fleet) -> None:
    price = fleet.client.get("/v1/market-data/quotes/AAPL").raise_for_status().json()["bid"]
    resting = fleet.buy(order_type="LIMIT", price=f"{price * 0.98:.2f}", time_in_force="GTC")
    assert resting.json()["status"] == "ACCEPTED", resting.text
    order_id = resting.json()["order_id"]
    fleet.client.delete(f"/v1/orders/{order_id}").raise_for_status()
    wait_until(lambda: fleet.client.get(f"/v1/orders/{order_id}").json()["status"] == "CANCELED", "the cancel")
    kinds = [event["kind"] for event in fleet.client.get(f"/v1/orders/{order_id}/events").json()["events"]]
    assert kinds[0] == "INITIALIZED"
    assert kinds[-1] == "CANCELED"


async def test_an_order_by_grpc_on_the_stream_and_unary(fleet: Fleet) -> None:
    request = execution_service_pb2.SubmitOrderRequest(
        symbol="MSFT",
        side=execution_pb2.SIDE_BUY,
        order_type=execution_pb2.ORDER_TYPE_MARKET,
        quantity_nanos=3 * ONE,
        client_order_id="grpc-1",
    )
    metadata = call_metadata(fleet.description["api_key"])
    async with grpc.aio.insecure_channel(fleet.description["grpc"]["execution"]) as channel:
        stub = ExecutionServiceStub(channel)
        stream = stub.StreamOrders(metadata=metadata)
        await stream.write(execution_service_pb2.StreamOrdersRequest(request_id=7, submit=request))
        answer = await stream.read()
        assert isinstance(answer, execution_service_pb2.StreamOrdersResponse)
        assert answer.request_id == 7
        assert answer.submitted.order.status == execution_pb2.ORDER_STATUS_FILLED
        again = await stub.SubmitOrder(request, metadata=metadata)
        assert again.duplicate
        assert again.order.order_id == answer.submitted.order.order_id
        stream.cancel()


async def test_a_refusal_is_the_same_on_the_stream_and_unary(fleet: Fleet) -> None:
    closed = fleet.buy(client_order_id="both-ways-1").json()["order_id"]
    one_apple = execution_service_pb2.SubmitOrderRequest(
        symbol="AAPL",
        side=execution_pb2.SIDE_BUY,
        order_type=execution_pb2.ORDER_TYPE_MARKET,
        quantity_nanos=ONE,
        client_order_id="both-ways-1",
    )
    unknown = execution_service_pb2.SubmitOrderRequest(symbol="NOSUCH", side=1, order_type=1, quantity_nanos=ONE)
    commands: dict[str, Callable[[OrderStream], Awaitable[Any]]] = {
        "IDEMPOTENCY_CONFLICT": lambda orders: orders.submit(one_apple),
        "UNKNOWN_SYMBOL": lambda orders: orders.submit(unknown),
        "UNKNOWN_ORDER": lambda orders: orders.cancel("none"),
        "ORDER_CLOSED": lambda orders: orders.cancel(closed),
        "INVALID_ARGUMENT": lambda orders: orders.modify(execution_service_pb2.ModifyOrderRequest(price_nanos=1)),
    }
    key = fleet.description["api_key"]
    async with connect(
        fleet.description["grpc"]["execution"], token=key, client="test", default_timeout_s=60
    ) as channel:
        orders = OrderStream(
            ExecutionServiceStub(channel), lambda: call_metadata(key), pending_max=8, log=structlog.get_logger()
        )
        unary = {reason: await refusal(command(orders)) for reason, command in commands.items()}
        stream = asyncio.create_task(orders.run())
        await until(lambda: orders.is_up, 0.01)
        assert {reason: await refusal(command(orders)) for reason, command in commands.items()} == unary
        stream.cancel()
    assert {reason: found[2] for reason, found in unary.items()} == {reason: reason for reason in commands}


async def refusal(command: Awaitable[Any]) -> tuple[Any, ...]:
    """Everything about the error of a command."""
    with pytest.raises(TradingError) as refused:
        await command
    error = refused.value
    return type(error), error.kind, error.reason, error.message, dict(error.metadata)


async def test_grpc_without_a_key_is_refused(fleet: Fleet) -> None:
    async with grpc.aio.insecure_channel(fleet.description["grpc"]["execution"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ExecutionServiceStub(channel).GetStats(execution_service_pb2.GetStatsRequest())
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_websocket_sees_quotes_signals_orders_and_positions(fleet: Fleet) -> None:
    url = fleet.description["gateway"].replace("http", "ws") + "/v1/stream"
    async with websockets.connect(url, proxy=None) as socket:
        await socket.send(json.dumps({"op": "auth", "key": fleet.description["api_key"]}))
        channels = [{"channel": "quotes", "symbols": ["AAPL"]}, {"channel": "orders"}, {"channel": "positions"}]
        await socket.send(json.dumps({"op": "subscribe", "channels": channels}))
        order = await asyncio.to_thread(fleet.buy)
        seen: dict[str, list[int]] = {}
        wanted = {"quotes", "orders", "positions"}
        async with asyncio.timeout(60):
            while not (wanted <= set(seen) and _mentions(seen, order)):
                frame = json.loads(await socket.recv())
                if "channel" in frame and "seq" in frame:
                    seen.setdefault(frame["channel"], []).append(frame["seq"])
    for channel in wanted:
        assert seen[channel] == list(range(seen[channel][0], seen[channel][0] + len(seen[channel])))


def _mentions(seen: dict[str, list[int]], order: httpx.Response) -> bool:
    return order.status_code == 201 and len(seen.get("orders", [])) >= 1


def test_every_service_was_ready_in_under_three_seconds_of_its_own(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = fleet.status()["services"]
    with capsys.disabled():
        print(
            "\nready after, memory: "
            + " · ".join(f"{row['name']} {row['ready_s']} s, {row['rss_mb']} MB" for row in rows)
        )
    assert {row["name"] for row in rows} >= {"market_data", "inference", "execution", "portfolio", "gateway"}
    assert all(row["state"] == "running" for row in rows)


def test_readyz_names_every_dependency(fleet: Fleet) -> None:
    answer = fleet.client.get("/readyz", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert {"market_data", "inference", "execution", "portfolio"} <= set(
        json.dumps(answer.json()).replace('"', " ").split()
    )
