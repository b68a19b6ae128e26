"""Commands mean the same over the stream and by unary calls: same answers, same errors, same waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from builders.gateway import an_order, until
from fakes.backends import FakeFleet
from google.protobuf.message import Message
from integration.gateway.conftest import KEY, ORDER_ID

from fleet import channels
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.gateway.order_stream import OrderStream
from trading.errors import (
    FailedPrecondition,
    IdempotencyConflict,
    InvalidArgument,
    InvalidStateTransition,
    Kind,
    ResourceExhausted,
    TradingError,
    Unavailable,
    UnknownOrder,
    UnknownSymbol,
)

SUBMIT = pb.SubmitOrderRequest(symbol="AAPL", side=execution_pb2.SIDE_BUY, quantity_nanos=5, client_order_id="mine-1")
MODIFY = pb.ModifyOrderRequest(order_id=ORDER_ID, price_nanos=7)
COMMANDS: dict[type[Message], Callable[[OrderStream], Awaitable[Message]]] = {
    pb.SubmitOrderRequest: lambda orders: orders.submit(SUBMIT),
    pb.ModifyOrderRequest: lambda orders: orders.modify(MODIFY),
    pb.CancelOrderRequest: lambda orders: orders.cancel(ORDER_ID),
}
ERRORS = [
    InvalidArgument("Expected a price above 0.", field="price", value=-1),
    UnknownSymbol("No instrument is called 'X'.", symbol="X"),
    UnknownOrder("No order is called 'X'.", order="X"),
    IdempotencyConflict("It came before with another body."),
    InvalidStateTransition("The order is FILLED.", status="FILLED"),
    FailedPrecondition("The venue refused the change.", reason="MODIFY_REJECTED"),
    ResourceExhausted("Busy.", retry_after_s=2.5, limit=100),
    ResourceExhausted("Busy.", reason="MODIFY_RATE", retry_after_s=1),
    Unavailable("Execution is not ready.", retry_after_s=0.25),
    TradingError(Kind.INTERNAL, "INTERNAL", "An internal error was logged."),
    TradingError(Kind.CANCELED, "CANCELED", "The caller left."),
]


@asynccontextmanager
async def open_orders(fleet: FakeFleet, *, by_stream: bool) -> AsyncIterator[OrderStream]:
    """Orders to the fake of execution, one way or the other."""
    async with channels.connect(
        fleet.addresses["execution"], token=KEY, client="test", default_timeout_s=60
    ) as channel:
        orders = OrderStream(
            ExecutionServiceStub(channel),
            lambda: channels.call_metadata(KEY),
            pending_max=8,
            log=structlog.get_logger(),
        )
        loop = asyncio.create_task(orders.run()) if by_stream else None
        if loop:
            await until(lambda: orders.is_up, 0.01)
        yield orders
        if loop:
            loop.cancel()


async def outcome(fleet: FakeFleet, command: Callable[[OrderStream], Awaitable[Any]], *, by_stream: bool) -> Any:
    """What a command gives: its answer, or everything about its error."""
    async with open_orders(fleet, by_stream=by_stream) as orders:
        try:
            return await command(orders)
        except TradingError as error:
            return type(error), error.kind, error.reason, error.message, dict(error.metadata)


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
async def test_both_ways_ask_and_answer_the_same(fleet: FakeFleet, kind: type[Message]) -> None:
    fleet.execution.answer = pb.SubmitOrderResponse(order=an_order(venue_order_id="v-9"), duplicate=True)
    by_call = await outcome(fleet, COMMANDS[kind], by_stream=False)
    assert fleet.execution.commands == []
    by_stream = await outcome(fleet, COMMANDS[kind], by_stream=True)
    assert len(fleet.execution.commands) == 1
    assert by_stream == by_call
    first, second = fleet.script.heard(kind)
    assert first == second


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
async def test_both_ways_refuse_the_same(fleet: FakeFleet, kind: type[Message], error: TradingError) -> None:
    fleet.script.refusals[kind] = error
    by_call = await outcome(fleet, COMMANDS[kind], by_stream=False)
    by_stream = await outcome(fleet, COMMANDS[kind], by_stream=True)
    assert by_stream == by_call
    assert by_call[1] is error.kind
    if "retry_after_s" in error.metadata:
        assert float(by_call[4]["retry_after_s"]) == error.metadata["retry_after_s"]


@pytest.mark.parametrize("by_stream", [False, True], ids=["by calls", "by stream"])
async def test_a_submit_without_an_answer_names_the_order_to_ask_for(fleet: FakeFleet, by_stream: bool) -> None:
    fleet.script.refusals[pb.SubmitOrderRequest] = Unavailable("The database is away.")
    _, kind, reason, _, metadata = await outcome(fleet, COMMANDS[pb.SubmitOrderRequest], by_stream=by_stream)
    assert (kind, reason) == (Kind.UNAVAILABLE, "ORDER_OUTCOME_UNKNOWN")
    assert metadata["client_order_id"] == "mine-1"
