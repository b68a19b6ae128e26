"""Streams pass the same boundary as single calls."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator

import grpc
import pytest
from fakes.servicers import STREAM_ORDERS, STREAM_QUOTES, Context, ScriptedExecution, ScriptedMarketData
from serving import Plain, Serve
from structlog.testing import capture_logs
from waiting import until

from fleet import channels, rpc_errors
from fleet.telemetry import current_traceparent
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2_grpc as execution_grpc
from neuraltrader.market_data.v1 import market_data_pb2
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as market_data_grpc
from trading.errors import FailedPrecondition, Kind, TradingError, UnknownSymbol

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Quotes = AsyncIterator[market_data.StreamQuotesResponse]


async def some_quotes(_context: Context) -> Quotes:
    for _ in range(3):
        yield market_data.StreamQuotesResponse()


async def echo(
    requests: AsyncIterator[execution.StreamOrdersRequest],
) -> AsyncIterator[execution.StreamOrdersResponse]:
    async for request in requests:
        yield execution.StreamOrdersResponse(request_id=request.request_id)


async def test_a_stream_of_responses_arrives_and_is_counted_once(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedMarketData(some_quotes).register)
    stub = market_data_grpc.MarketDataServiceStub(plain(served.address))
    got = [quote async for quote in stub.StreamQuotes(market_data.StreamQuotesRequest())]
    assert len(got) == 3
    await served.counted(STREAM_QUOTES, "OK")


@pytest.mark.parametrize("sent_before", [0, 2])
async def test_an_error_in_a_stream_arrives_as_it_was_raised(serve: Serve, plain: Plain, sent_before: int) -> None:
    async def fail(_context: Context) -> Quotes:
        for _ in range(sent_before):
            yield market_data.StreamQuotesResponse()
        raise UnknownSymbol("None is called X.", symbol="X")

    served = await serve(ScriptedMarketData(fail).register)
    stub = market_data_grpc.MarketDataServiceStub(plain(served.address))
    call = stub.StreamQuotes(market_data.StreamQuotesRequest())
    for _ in range(sent_before):
        assert await call.read() is not grpc.aio.EOF
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call.read()
    error = rpc_errors.from_rpc_error(failure.value)
    assert isinstance(error, UnknownSymbol)
    assert error.metadata == {"symbol": "X"}
    await served.counted(STREAM_QUOTES, "NOT_FOUND")


async def test_a_surprise_in_a_stream_is_hidden_from_the_caller(serve: Serve, plain: Plain) -> None:
    async def fail(_context: Context) -> Quotes:
        yield market_data.StreamQuotesResponse()
        raise RuntimeError("hunter2")

    served = await serve(ScriptedMarketData(fail).register)
    stub = market_data_grpc.MarketDataServiceStub(plain(served.address))
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as failure:
        _ = [quote async for quote in stub.StreamQuotes(market_data.StreamQuotesRequest())]
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(failure.value)
    assert [line["event"] for line in logs] == ["rpc.surprise"]


async def test_without_a_token_no_stream_begins(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedMarketData(some_quotes).register, tokens=("secret",))
    stub = market_data_grpc.MarketDataServiceStub(plain(served.address))
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        _ = [quote async for quote in stub.StreamQuotes(market_data.StreamQuotesRequest())]
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_shows_its_token_and_trace_by_the_call_s_metadata(serve: Serve) -> None:
    seen = []

    async def remember(_context: Context) -> Quotes:
        seen.append(current_traceparent())
        yield market_data.StreamQuotesResponse()

    served = await serve(ScriptedMarketData(remember).register, tokens=("secret",))
    async with channels.connect(served.address, token="secret", client="test") as channel:
        stub = market_data_grpc.MarketDataServiceStub(channel)
        metadata = (*channels.call_metadata("secret"), ("traceparent", TRACEPARENT))
        got = [quote async for quote in stub.StreamQuotes(market_data.StreamQuotesRequest(), metadata=metadata)]
    assert (len(got), seen) == (1, [TRACEPARENT])


async def test_both_directions_of_a_stream_stay_open(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedExecution(echo).register)
    call = execution_grpc.ExecutionServiceStub(plain(served.address)).StreamOrders()
    for number in range(5):
        await call.write(execution.StreamOrdersRequest(request_id=number))
        assert (await call.read()).request_id == number
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    await served.counted(STREAM_ORDERS, "OK")


async def test_an_error_ends_both_directions_of_a_stream(serve: Serve, plain: Plain) -> None:
    async def refuse(
        requests: AsyncIterator[execution.StreamOrdersRequest],
    ) -> AsyncIterator[execution.StreamOrdersResponse]:
        async for request in requests:
            yield execution.StreamOrdersResponse(request_id=request.request_id)
            raise FailedPrecondition("Halted.", reason="TRADING_HALTED")

    served = await serve(ScriptedExecution(refuse).register)
    call = execution_grpc.ExecutionServiceStub(plain(served.address)).StreamOrders()
    await call.write(execution.StreamOrdersRequest(request_id=1))
    assert (await call.read()).request_id == 1
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call.read()
    assert rpc_errors.from_rpc_error(failure.value).reason == "TRADING_HALTED"


async def test_a_malformed_request_in_a_stream_is_an_invalid_argument(
    serve: Serve, plain: Plain, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve(ScriptedExecution(echo).register)
    call = plain(served.address).stream_stream(STREAM_ORDERS)()
    await call.write(execution.StreamOrdersRequest(request_id=1).SerializeToString())
    await call.read()
    await call.write(b"\xff\xff\xff\xff")
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as failure:
        await call.read()
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.value.details() == "The request is not a message of this method."
    assert logs == []
    assert caplog.records == []
    await served.counted(STREAM_ORDERS, "INVALID_ARGUMENT")


async def test_a_malformed_first_request_of_a_stream_of_responses_is_an_invalid_argument(
    serve: Serve, plain: Plain
) -> None:
    served = await serve(ScriptedMarketData(some_quotes).register)
    call = plain(served.address).unary_stream(STREAM_QUOTES)(b"\xff\xff\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call.read()
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("read_first", [1, 5])
async def test_a_reader_who_leaves_ends_the_generator_quietly(
    serve: Serve, plain: Plain, caplog: pytest.LogCaptureFixture, read_first: int
) -> None:
    ended = asyncio.Event()

    async def for_ever(_context: Context) -> Quotes:
        try:
            while True:
                yield market_data.StreamQuotesResponse()
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    served = await serve(ScriptedMarketData(for_ever).register)
    with capture_logs() as logs, caplog.at_level(logging.WARNING):
        call = market_data_grpc.MarketDataServiceStub(plain(served.address)).StreamQuotes(
            market_data.StreamQuotesRequest()
        )
        for _ in range(read_first):
            await call.read()
        call.cancel()
        async with asyncio.timeout(60):
            await ended.wait()
        await served.counted(STREAM_QUOTES, Kind.CANCELED.value)
    assert (logs, caplog.records) == ([], [])


async def test_a_reader_who_leaves_while_nothing_more_fits_ends_the_generator_in_its_own_task(
    serve: Serve, plain: Plain, caplog: pytest.LogCaptureFixture
) -> None:
    ended_in: list[bool] = []
    task: list[object] = []
    block = market_data_pb2.QuoteBlock(bid_nanos=bytes(1024 * 1024))

    async def flood(_context: Context) -> Quotes:
        task.append(asyncio.current_task())
        try:
            while True:
                yield market_data.StreamQuotesResponse(block=block)
        finally:
            ended_in.append(asyncio.current_task() is task[0])

    served = await serve(ScriptedMarketData(flood).register)
    with capture_logs() as logs, caplog.at_level(logging.WARNING):
        call = market_data_grpc.MarketDataServiceStub(plain(served.address)).StreamQuotes(
            market_data.StreamQuotesRequest()
        )
        await call.read()
        call.cancel()
        await until(lambda: bool(ended_in), "the generator to end")
        gc.collect()
    assert ended_in == [True]
    assert (logs, caplog.records) == ([], [])


async def test_a_stream_of_orders_is_left_quietly(serve: Serve, plain: Plain, caplog: pytest.LogCaptureFixture) -> None:
    served = await serve(ScriptedExecution(echo).register)
    with capture_logs() as logs, caplog.at_level(logging.WARNING):
        call = execution_grpc.ExecutionServiceStub(plain(served.address)).StreamOrders()
        await call.write(execution.StreamOrdersRequest(request_id=1))
        await call.read()
        call.cancel()
        await served.counted(STREAM_ORDERS, "OK", Kind.CANCELED.value)  # its requests may merely end
    assert (logs, caplog.records) == ([], [])


async def test_a_stopping_server_lets_a_stream_finish_within_its_grace(serve: Serve, plain: Plain) -> None:
    release = asyncio.Event()

    async def two(_context: Context) -> Quotes:
        yield market_data.StreamQuotesResponse()
        await release.wait()
        yield market_data.StreamQuotesResponse()

    served = await serve(ScriptedMarketData(two).register)
    call = market_data_grpc.MarketDataServiceStub(plain(served.address)).StreamQuotes(market_data.StreamQuotesRequest())
    await call.read()
    stopping = asyncio.create_task(served.server.stop(5))
    await asyncio.sleep(0)
    release.set()
    assert await call.read() != grpc.aio.EOF
    assert await call.read() is grpc.aio.EOF
    await stopping


async def test_errors_of_streams_are_named_by_the_caller(serve: Serve) -> None:
    async def fail(_context: Context) -> Quotes:
        raise TradingError(Kind.ABORTED, "LEASE_LOST", "Fenced.")
        yield market_data.StreamQuotesResponse()

    served = await serve(ScriptedMarketData(fail).register)
    async with channels.connect(served.address, token=None, client="test") as channel:
        call = market_data_grpc.MarketDataServiceStub(channel).StreamQuotes(market_data.StreamQuotesRequest())
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
    assert rpc_errors.from_rpc_error(failure.value).reason == "LEASE_LOST"
