"""The execution service as it is run: a real venue, a real nats-server, SQLite and Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from builders.execution_process import ExecutionProcess
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fleet import subjects
from fleet.bus import Bus, Message
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.inference.v1 import inference_pb2
from trading.clock import SECOND_NS, SystemClock
from trading.errors import Kind, TradingError
from trading.ids import new_id
from trading.money import ONE

CLOCK = SystemClock()


def a_submit(**changes: object) -> rpc.SubmitOrderRequest:
    """A market order to buy one AAPL."""
    given = {"symbol": "AAPL", "side": pb.SIDE_BUY, "order_type": pb.ORDER_TYPE_MARKET, "quantity_nanos": ONE}
    return rpc.SubmitOrderRequest(**{**given, **changes})  # type: ignore[arg-type]


def resting(**changes: object) -> rpc.SubmitOrderRequest:
    """A limit order that no market reaches."""
    return a_submit(order_type=pb.ORDER_TYPE_LIMIT, price_nanos=ONE, time_in_force=pb.TIME_IN_FORCE_GTC, **changes)


async def fills_of(stub: ExecutionServiceStub) -> Sequence[pb.Fill]:
    """Every fill of the log, page by page."""
    fills: list[pb.Fill] = []
    while True:
        after = fills[-1].log_sequence if fills else 0
        page = await stub.ListFills(rpc.ListFillsRequest(after_log_sequence=after, page_size=7))
        fills += page.fills
        if not page.has_more:
            return fills


async def test_an_orders_journey(service: ExecutionProcess) -> None:
    """Filled, explained event by event, counted, and idempotent."""
    async with service.stub() as stub:
        first = await stub.SubmitOrder(a_submit(client_order_id="journey"))
        order = first.order
        assert order.status == pb.ORDER_STATUS_FILLED
        assert order.filled_quantity_nanos == ONE
        assert order.avg_price_nanos > 0
        assert min(order.validation_time_ns, order.execution_time_ns) > 0
        assert order.total_latency_ns >= order.validation_time_ns + order.execution_time_ns
        again = await stub.SubmitOrder(a_submit(client_order_id="journey"))
        assert (again.duplicate, again.order.order_id) == (True, order.order_id)
        with pytest.raises(TradingError) as conflict:
            await stub.SubmitOrder(a_submit(client_order_id="journey", quantity_nanos=2 * ONE))
        assert conflict.value.reason == "IDEMPOTENCY_CONFLICT"
        events = (await stub.ListOrderEvents(rpc.ListOrderEventsRequest(order_id=order.order_id))).events
        assert [event.version for event in events] == list(range(1, len(events) + 1))
        assert events[0].kind == pb.ORDER_EVENT_KIND_INITIALIZED
        assert [event.previous_hash for event in events[1:]] == [event.hash for event in events[:-1]]
        fills = [fill for fill in await fills_of(stub) if fill.order_id == order.order_id]
        assert sum(fill.quantity_nanos for fill in fills) == ONE
        stats = await stub.GetStats(rpc.GetStatsRequest())
        assert min(stats.orders_processed, stats.orders_by_status["FILLED"], stats.fills) >= 1
        assert stats.submit_latency.p50_ns > 0


async def test_the_account_is_the_venues(service: ExecutionProcess) -> None:
    """Opening cash as it was first seen, buying power as it is."""
    async with service.stub() as stub:
        account = (await stub.ListAccounts(rpc.ListAccountsRequest())).accounts[0]
        assert (account.id, account.venue, account.currency) == ("main", "paper", "USD")
        assert min(account.opening_cash_nanos, account.buying_power_nanos) > 0


async def test_resting_orders_are_listed_and_canceled(service: ExecutionProcess) -> None:
    """Newest first, page by page; a closed one cannot be canceled again."""
    async with service.stub() as stub:
        placed = [(await stub.SubmitOrder(resting())).order for _ in range(3)]
        assert {order.status for order in placed} == {pb.ORDER_STATUS_ACCEPTED}
        working = rpc.ListOrdersRequest(statuses=[pb.ORDER_STATUS_ACCEPTED], page_size=2, symbol="aapl")
        page = await stub.ListOrders(working)
        assert [order.order_id for order in page.orders] == [placed[2].order_id, placed[1].order_id]
        working.cursor = page.next_cursor
        page = await stub.ListOrders(working)
        assert ([order.order_id for order in page.orders], page.next_cursor) == ([placed[0].order_id], "")
        for order in placed:
            canceled = await stub.CancelOrder(rpc.CancelOrderRequest(order_id=order.order_id))
            assert canceled.order.status == pb.ORDER_STATUS_CANCELED
        with pytest.raises(TradingError) as refusal:
            await stub.CancelOrder(rpc.CancelOrderRequest(order_id=placed[0].order_id))
        assert refusal.value.kind is Kind.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("side", {"side": pb.SIDE_UNSPECIFIED}),
        ("order_type", {"order_type": pb.ORDER_TYPE_UNSPECIFIED}),
        ("quantity", {"quantity_nanos": 0}),
        ("price", {"price_nanos": ONE}),
        ("wait_ms", {"wait_ms": 10_001}),
        ("client_order_id", {"client_order_id": "a b"}),
        ("symbol", {"symbol": ""}),
    ],
)
async def test_a_wrong_value_is_named(service: ExecutionProcess, field: str, change: dict[str, object]) -> None:
    """INVALID_ARGUMENT with the field."""
    async with service.stub() as stub:
        with pytest.raises(TradingError) as refusal:
            await stub.SubmitOrder(a_submit(**change))
        assert (refusal.value.kind, refusal.value.metadata["field"]) == (Kind.INVALID_ARGUMENT, field)


async def test_what_does_not_exist_is_not_found(service: ExecutionProcess) -> None:
    """A symbol, an account, an order."""
    async with service.stub() as stub:
        for request in (a_submit(symbol="NOPE"), a_submit(account="nobody")):
            with pytest.raises(TradingError) as refusal:
                await stub.SubmitOrder(request)
            assert refusal.value.kind is Kind.NOT_FOUND
        with pytest.raises(TradingError) as refusal:
            await stub.GetOrder(rpc.GetOrderRequest(order_id="none"))
        assert refusal.value.reason == "UNKNOWN_ORDER"
        with pytest.raises(TradingError) as refusal:
            await stub.GetOrder(rpc.GetOrderRequest())
        assert refusal.value.metadata["field"] == "order_id"


async def test_the_stream_answers_each_command_by_itself(service: ExecutionProcess) -> None:
    """Many at once, matched by request id; an error ends its command, not the stream."""

    async def commands() -> AsyncIterator[rpc.StreamOrdersRequest]:
        for number in range(1, 41):
            yield rpc.StreamOrdersRequest(request_id=number, submit=resting(wait=pb.WAIT_ACCEPTED))
        yield rpc.StreamOrdersRequest(request_id=41, submit=a_submit(symbol="NOPE"))
        yield rpc.StreamOrdersRequest(request_id=42)
        yield rpc.StreamOrdersRequest(request_id=43, cancel=rpc.CancelOrderRequest(order_id="none"))
        yield rpc.StreamOrdersRequest(request_id=44, submit=a_submit(side=pb.SIDE_UNSPECIFIED))

    async with service.plain_channel() as channel:
        stub = ExecutionServiceStub(channel)
        answers = {answer.request_id: answer async for answer in stub.StreamOrders(commands())}
        assert sorted(answers) == list(range(1, 45))
        accepted = {answers[number].submitted.order.status for number in range(1, 41)}
        assert accepted == {pb.ORDER_STATUS_ACCEPTED}
        assert answers[41].error.reason == "UNKNOWN_SYMBOL"
        assert answers[42].error.metadata["field"] == "command"
        assert answers[43].error.code == "NOT_FOUND"
        assert answers[44].error.metadata["field"] == "side"
        orders = [answers[number].submitted.order.order_id for number in range(1, 41)]
        cancels = [rpc.StreamOrdersRequest(cancel=rpc.CancelOrderRequest(order_id=name)) for name in orders]
        canceled = [answer.canceled.order.status async for answer in stub.StreamOrders(iter(cancels))]
        assert canceled == [pb.ORDER_STATUS_CANCELED] * 40


async def test_commands_in_one_frame_are_answered_each_and_in_frames(service: ExecutionProcess) -> None:
    """Matched by request id; a frame that holds commands is none itself."""
    submits = [rpc.StreamOrdersRequest(request_id=at, submit=resting(wait=pb.WAIT_ACCEPTED)) for at in range(1, 21)]
    nothing = rpc.StreamOrdersRequest(request_id=21)
    async with service.plain_channel() as channel:
        stub = ExecutionServiceStub(channel)
        frames = [rpc.StreamOrdersRequest(commands=[*submits, nothing]), rpc.StreamOrdersRequest(request_id=22)]
        heard = [frame async for frame in stub.StreamOrders(iter(frames))]
        answers = {answer.request_id: answer for frame in heard for answer in frame.answers or (frame,)}
        assert sorted(answers) == list(range(1, 23))
        orders = [answers[number].submitted.order for number in range(1, 21)]
        assert {order.status for order in orders} == {pb.ORDER_STATUS_ACCEPTED}
        assert [answers[number].error.metadata["field"] for number in (21, 22)] == ["command", "command"]
        cancels = [rpc.StreamOrdersRequest(cancel=rpc.CancelOrderRequest(order_id=each.order_id)) for each in orders]
        whole = [rpc.StreamOrdersRequest(commands=cancels)]
        heard = [frame async for frame in stub.StreamOrders(iter(whole))]
        canceled = [answer.canceled.order.status for frame in heard for answer in frame.answers or (frame,)]
        assert canceled == [pb.ORDER_STATUS_CANCELED] * 20


async def test_a_client_that_leaves_its_stream_leaves_its_orders(service: ExecutionProcess) -> None:
    """What was accepted goes on, and the service with it."""
    async with service.plain_channel() as channel:
        call = ExecutionServiceStub(channel).StreamOrders()
        await call.write(rpc.StreamOrdersRequest(request_id=1, submit=resting(client_order_id="left")))
        await call.read()
        call.cancel()
    async with service.stub() as stub:
        found = (await stub.GetOrder(rpc.GetOrderRequest(client_order_id="left"))).order
        assert found.status == pb.ORDER_STATUS_ACCEPTED
        await stub.CancelOrder(rpc.CancelOrderRequest(order_id=found.order_id))


async def test_every_event_is_told_once_on_jetstream(service: ExecutionProcess, bus: Bus) -> None:
    """With its envelope; the fill on the fills' subject."""
    heard: list[Message] = []
    complete = asyncio.Event()
    async with service.stub() as stub:
        order_id = (await stub.SubmitOrder(a_submit())).order.order_id

        async def handle(messages: list[Message]) -> None:
            for message in messages:
                event = pb.OrderEvent.FromString(message.payload)
                if event.order.order_id == order_id:
                    heard.append(message)
                    if event.order.status == pb.ORDER_STATUS_FILLED:
                        complete.set()

        durable = f"test-{new_id()}"
        consumer = asyncio.create_task(bus.consume(subjects.ORDER_STREAM, durable, subjects.ORDERS_ALL, handle))
        async with asyncio.timeout(60):
            await complete.wait()
        consumer.cancel()
        await asyncio.wait([consumer])
        events = [pb.OrderEvent.FromString(message.payload) for message in heard]
        assert [event.version for event in events] == list(range(2, len(events) + 2))
        assert heard[-1].subject == "execution.v1.order.fill.main"
        assert [message.headers["Nats-Msg-Id"] for message in heard] == [event.event_id for event in events]
        assert heard[-1].headers["ce-type"] == "execution.v1.order.fill"
        assert events[-1].fill.log_sequence == events[-1].log_sequence


async def _held_nanos(stub: Any, symbol: str) -> int:
    """The position by the fills of the log, of whoever's orders; the log is written up when orders are listed."""
    await stub.ListOrders(rpc.ListOrdersRequest(page_size=1))
    fills = (await stub.ListFills(rpc.ListFillsRequest(page_size=10_000))).fills
    return sum(
        each.quantity_nanos if each.side == pb.SIDE_BUY else -each.quantity_nanos
        for each in fills
        if each.symbol == symbol
    )


async def test_a_signal_becomes_an_order(service: ExecutionProcess, bus: Bus) -> None:
    """Ten thousand dollars' worth, under the signal's id; the tick-to-order time is measured."""
    async with service.stub() as stub:
        buy = _signal(inference_pb2.SIGNAL_SIDE_BUY)
        order = await _traded(stub, bus, buy)
        assert (order.side, order.time_in_force) == (pb.SIDE_BUY, pb.TIME_IN_FORCE_IOC)
        assert 900 < await _held_nanos(stub, order.symbol) * order.avg_price_nanos / ONE / ONE < 1_100
        flat = _signal(inference_pb2.SIGNAL_SIDE_FLAT)
        order = await _traded(stub, bus, flat)
        assert order.side == pb.SIDE_SELL
        assert await _held_nanos(stub, order.symbol) == 0
        unsure = _signal(inference_pb2.SIGNAL_SIDE_BUY, confidence=0.1)
        await bus.publish(subjects.signal("m", "TSLA"), unsure.SerializeToString())
        await bus.publish(subjects.signal("m", "TSLA"), b"\xff no signal")
        sure = await _traded(stub, bus, _signal(inference_pb2.SIGNAL_SIDE_SELL))
        assert sure.side == pb.SIDE_SELL
        with pytest.raises(TradingError):
            await stub.GetOrder(rpc.GetOrderRequest(client_order_id=unsure.id))
        stats = await stub.GetStats(rpc.GetStatsRequest())
        assert stats.signals == 4
        assert stats.tick_to_order_reply.count == 3
        assert stats.tick_to_order_reply.p50_ns > 0


def _signal(side: "inference_pb2.SignalSide.ValueType", confidence: float = 0.9) -> inference_pb2.Signal:
    now_ns = CLOCK.now_ns()
    return inference_pb2.Signal(
        id=new_id(),
        symbol="TSLA",
        side=side,
        strength=1.0,
        confidence=confidence,
        model="m",
        tick_receive_time_ns=now_ns,
        created_time_ns=now_ns,
        expires_ns=now_ns + 60 * SECOND_NS,
    )


async def _traded(stub: ExecutionServiceStub, bus: Bus, signal: inference_pb2.Signal) -> pb.Order:
    """The filled order that a signal led to."""
    await bus.publish(subjects.signal(signal.model, signal.symbol), signal.SerializeToString())
    async with asyncio.timeout(60):
        while True:
            try:
                order = (await stub.GetOrder(rpc.GetOrderRequest(client_order_id=signal.id))).order
            except TradingError:
                order = pb.Order()
            if order.status == pb.ORDER_STATUS_FILLED:
                return order
            await asyncio.sleep(0.02)


async def test_reflection_and_health_answer(service: ExecutionProcess) -> None:
    """Any language's tools can look at it."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        name = "neuraltrader.execution.v1.ExecutionService"
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
