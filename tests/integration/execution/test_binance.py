"""The execution service on Binance's protocol: orders traded, changed and canceled, and found again after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.broker_desks import binance_desk
from builders.execution_process import ExecutionProcess, execution_process
from builders.live_venue import LiveVenue, MarketData, live_venue

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.execution.adapters.binance_answers import outcome
from trading.money import ONE

SYMBOLS = "AAPL,TSLA,BTC-USDT"
LOW = 1_000 * ONE
SETTINGS = {
    "secret": {"NT_EXECUTION_VENUE": "paper", "NT_PAPER_PROTOCOL": "binance"},
    "ed25519_key": {"NT_EXECUTION_VENUE": "binance"},
}
"""The local exchange as the venue that it is, and as the one that it imitates, with either kind of key."""


@pytest.fixture(scope="module", params=["secret", pytest.param("ed25519_key", marks=pytest.mark.slow)])
def secret(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def venue(secret: str) -> Iterator[LiveVenue]:
    """An exchange where nobody has traded yet, for each kind of key."""
    with live_venue("--symbols", SYMBOLS, "--port", "0") as running:
        yield running


@pytest.fixture
def trader(
    venue: LiveVenue, market: MarketData, nats_url: str, tmp_path: Path, secret: str
) -> Iterator[ExecutionProcess]:
    """An execution service that trades in Binance's protocol, not started yet."""
    with execution_process(tmp_path, venue, nats_url, market.grpc) as process:
        own = {"NT_SYMBOLS": "BTC-USDT", "BINANCE_API_SECRET": venue.line["binance"][secret]}
        process.env = {**process.env, **own, **SETTINGS[secret]}
        yield process


def a_submit(**changes: object) -> rpc.SubmitOrderRequest:
    """To buy a tenth of a bitcoin at the market."""
    given = {"symbol": "BTC-USDT", "side": pb.SIDE_BUY, "order_type": pb.ORDER_TYPE_MARKET, "quantity_nanos": ONE // 10}
    return rpc.SubmitOrderRequest(**{**given, **changes})  # type: ignore[arg-type]


def resting(**changes: object) -> rpc.SubmitOrderRequest:
    """At a price that no market reaches."""
    return a_submit(order_type=pb.ORDER_TYPE_LIMIT, price_nanos=LOW, time_in_force=pb.TIME_IN_FORCE_DAY, **changes)


async def kinds_of(stub: ExecutionServiceStub, order_id: str) -> list[str]:
    """What happened to an order, in turn."""
    events = (await stub.ListOrderEvents(rpc.ListOrderEventsRequest(order_id=order_id))).events
    return [pb.OrderEventKind.Name(event.kind).removeprefix("ORDER_EVENT_KIND_") for event in events]


async def test_orders_live_on_binance_as_anywhere(trader: ExecutionProcess, venue: LiveVenue, secret: str) -> None:
    """Filled, changed in both ways, canceled; what happened while nobody listened is found by the next run."""
    trader.start()
    async with trader.stub() as stub:
        bought = (await stub.SubmitOrder(a_submit())).order
        assert (bought.status, bought.filled_quantity_nanos) == (pb.ORDER_STATUS_FILLED, ONE // 10)
        assert bought.venue_order_id.startswith("BTCUSDT:")

        order = (await stub.SubmitOrder(resting())).order
        assert order.status == pb.ORDER_STATUS_ACCEPTED
        change = rpc.ModifyOrderRequest(order_id=order.order_id, price_nanos=LOW + ONE, quantity_nanos=ONE // 5)
        moved = (await stub.ModifyOrder(change)).order
        assert (moved.status, moved.price_nanos) == (pb.ORDER_STATUS_ACCEPTED, LOW + ONE)
        assert moved.venue_order_id != order.venue_order_id
        change = rpc.ModifyOrderRequest(order_id=order.order_id, quantity_nanos=ONE // 10)
        smaller = (await stub.ModifyOrder(change)).order
        assert (smaller.status, smaller.quantity_nanos) == (pb.ORDER_STATUS_ACCEPTED, ONE // 10)
        assert smaller.venue_order_id == moved.venue_order_id  # it kept its place in the queue
        gone = (await stub.CancelOrder(rpc.CancelOrderRequest(order_id=order.order_id))).order
        assert gone.status == pb.ORDER_STATUS_CANCELED
        told = ["PENDING_UPDATE", "UPDATED", "PENDING_UPDATE", "UPDATED", "PENDING_CANCEL", "CANCELED"]
        assert (await kinds_of(stub, order.order_id))[-6:] == told

        left = (await stub.SubmitOrder(resting())).order
        kept = (await stub.SubmitOrder(resting())).order
    trader.kill()
    async with binance_desk(venue, secret) as desk:
        number = left.venue_order_id.partition(":")[2]
        outcome(await desk.rest.command("DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": number}))
        await desk.place_strange()
    trader.start()
    async with trader.stub() as stub:
        found = (await stub.GetOrder(rpc.GetOrderRequest(order_id=left.order_id))).order
        assert found.status == pb.ORDER_STATUS_CANCELED
        working = (await stub.ListOrders(rpc.ListOrdersRequest(statuses=[pb.ORDER_STATUS_ACCEPTED]))).orders
        assert kept.order_id in {each.order_id for each in working}
        assert any(each.external for each in working)
        for each in working:  # a stranger's order can be canceled like one of ours
            await stub.CancelOrder(rpc.CancelOrderRequest(order_id=each.order_id))

        compared = (await stub.CompareWithVenue(rpc.CompareWithVenueRequest())).differences
        assert {each.subject for each in compared} >= {"position", "cash"}
        assert all(each.agrees for each in compared), compared
