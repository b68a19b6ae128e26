"""What every call passes: the token, the decoding, the deadline, the trace, the count, and silence about surprises."""

import asyncio
import logging
import time

import grpc
import pytest
from fakes.servicers import LIST_ACCOUNTS, Context, ScriptedPortfolio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from servers import free_port
from serving import ListAccounts, Plain, Serve
from structlog.testing import capture_logs
from waiting import TIMEOUT_S, until, within

from fleet import channels, deadline
from fleet.metrics import Metrics
from fleet.rpc import READY, Boundary, GrpcServer
from fleet.telemetry import current_traceparent, span
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from trading.errors import DeadlineExceeded, Kind, ResourceExhausted, Unauthenticated, Unavailable

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVICE = "neuraltrader.portfolio.v1.PortfolioService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def foreign_failure(channel: grpc.aio.Channel, method: str, payload: bytes = b"") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await channel.unary_unary(method)(payload)
    return failure.value


@pytest.mark.parametrize("shown", [None, "wrong", "secre", "secrets", ""])
async def test_without_the_right_token_a_call_is_turned_away(
    serve: Serve, list_accounts: ListAccounts, shown: str | None
) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register, tokens=("secret",))
    with pytest.raises(Unauthenticated):
        await list_accounts(served.address, shown)
    await served.counted(LIST_ACCOUNTS, "UNAUTHENTICATED")


@pytest.mark.parametrize("shown", ["internal", "admin"])
async def test_each_of_the_tokens_opens_the_server(serve: Serve, list_accounts: ListAccounts, shown: str) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register, tokens=("internal", "admin"))
    assert len((await list_accounts(served.address, shown)).accounts) == 1
    await served.counted(LIST_ACCOUNTS, "OK")


async def test_the_token_is_asked_before_the_request_is_read(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register, tokens=("secret",))
    failure = await foreign_failure(plain(served.address), LIST_ACCOUNTS, b"\xff\xff")
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_and_reflection_are_open(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register, names=(SERVICE,), tokens=("secret",))
    await served.server.say_ready(True)
    channel = plain(served.address)
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", READY, SERVICE):
        assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
    listing = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    names = {service.name async for reply in listing for service in reply.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= names


async def test_health_tells_liveness_and_readiness_apart(serve: Serve, plain: Plain) -> None:
    served = await serve(names=(SERVICE,))
    health = health_pb2_grpc.HealthStub(plain(served.address))
    await served.server.say_ready(False)
    answers = [
        (await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in ("", READY, SERVICE)
    ]
    assert answers == [SERVING, NOT_SERVING, NOT_SERVING]


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", b"\x0a\xff", b"\x08"])
async def test_a_malformed_request_is_an_invalid_argument(
    serve: Serve, plain: Plain, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register)
    failure = await foreign_failure(plain(served.address), LIST_ACCOUNTS, payload)
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.details() == "The request is not a message of this method."
    assert "class" not in failure.debug_error_string()
    await served.counted(LIST_ACCOUNTS, "INVALID_ARGUMENT")
    assert caplog.records == []


async def test_a_surprise_is_logged_and_hidden_from_the_caller(serve: Serve, plain: Plain) -> None:
    error = KeyError("/etc/secret password=hunter2")
    served = await serve(ScriptedPortfolio.raising(error).register)
    with capture_logs() as logs:
        failure = await foreign_failure(plain(served.address), LIST_ACCOUNTS)
    assert failure.code() is grpc.StatusCode.INTERNAL
    assert failure.details() == "An internal error was logged."
    assert "hunter2" not in str(failure.trailing_metadata()) + failure.debug_error_string()
    assert [(line["event"], line["method"]) for line in logs] == [("rpc.surprise", LIST_ACCOUNTS)]
    await served.counted(LIST_ACCOUNTS, "INTERNAL")


async def test_a_method_that_is_not_there_is_unimplemented(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register)
    channel = plain(served.address)
    absent = await foreign_failure(channel, f"/{SERVICE}/Nothing")
    unwritten = await foreign_failure(channel, f"/{SERVICE}/GetAccount")
    assert absent.code() is unwritten.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_servicer_may_abort_in_grpc_s_own_words(serve: Serve, plain: Plain) -> None:
    async def abort(context: Context) -> portfolio.ListAccountsResponse:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "Beyond the end.")

    served = await serve(ScriptedPortfolio(abort).register)
    failure = await foreign_failure(plain(served.address), LIST_ACCOUNTS)
    assert (failure.code(), failure.details()) == (grpc.StatusCode.OUT_OF_RANGE, "Beyond the end.")
    await served.counted(LIST_ACCOUNTS, "OUT_OF_RANGE")


async def test_a_message_above_the_bound_is_refused(serve: Serve, plain: Plain) -> None:
    served = await serve(ScriptedPortfolio.naming("main").register)
    failure = await foreign_failure(plain(served.address), LIST_ACCOUNTS, bytes(17 * 1024 * 1024))
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_more_calls_at_once_than_the_bound_are_turned_away(
    serve: Serve, list_accounts: ListAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.rpc.MAX_CONCURRENT_CALLS", 2)
    entered, released = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_context: Context) -> portfolio.ListAccountsResponse:
        entered.release()
        await released.wait()
        return portfolio.ListAccountsResponse()

    served = await serve(ScriptedPortfolio(wait).register)
    running = [asyncio.create_task(list_accounts(served.address)) for _ in range(2)]
    for _ in running:
        await entered.acquire()
    with pytest.raises(ResourceExhausted):
        await list_accounts(served.address)
    released.set()
    await asyncio.gather(*running)


async def test_a_taken_port_is_one_clear_refusal(serve: Serve) -> None:
    served = await serve()
    second = GrpcServer(served.address, (), (), Boundary((), Metrics()))
    with pytest.raises(Unavailable, match=f"Cannot listen on {served.address}: the port is taken"):
        await second.start()
    await second.stop(0)


async def test_a_call_made_on_behalf_of_another_has_only_the_time_that_is_left(
    serve: Serve, list_accounts: ListAccounts
) -> None:
    left: list[float] = []

    async def remember(context: Context) -> portfolio.ListAccountsResponse:
        left.append(context.time_remaining() or -1.0)
        return portfolio.ListAccountsResponse()

    last = await serve(ScriptedPortfolio(remember).register)

    async def pass_on(context: Context) -> portfolio.ListAccountsResponse:
        left.append(context.time_remaining() or -1.0)
        await asyncio.sleep(0.2)  # the work that takes time off the deadline
        response: portfolio.ListAccountsResponse = await list_accounts(last.address)
        return response

    first = await serve(ScriptedPortfolio(pass_on).register)
    await list_accounts(first.address, None, 60.0)
    assert 0 < left[1] < left[0] - 0.19 < 60.0


async def test_without_a_deadline_of_the_caller_a_call_keeps_the_default(
    serve: Serve, plain: Plain, list_accounts: ListAccounts
) -> None:
    left: list[float] = []

    async def remember(context: Context) -> portfolio.ListAccountsResponse:
        left.append(context.time_remaining() or -1.0)
        return portfolio.ListAccountsResponse()

    last = await serve(ScriptedPortfolio(remember).register)
    first = await serve(ScriptedPortfolio(lambda _context: list_accounts(last.address)).register)
    await plain(first.address).unary_unary(LIST_ACCOUNTS)(b"")
    assert 0 < left[0] < 5.1  # gRPC rounds a deadline up


async def test_one_request_s_deadline_does_not_stay_for_the_next(serve: Serve, plain: Plain) -> None:
    seen: list[float] = []

    async def remember(_context: Context) -> portfolio.ListAccountsResponse:
        seen.append(deadline.remaining(60.0))
        return portfolio.ListAccountsResponse()

    served = await serve(ScriptedPortfolio(remember).register)
    method = plain(served.address).unary_unary(LIST_ACCOUNTS)
    await method(b"", timeout=30)
    await method(b"")
    assert seen[0] <= 30
    assert seen[1] == 60


@pytest.mark.timed
async def test_a_slow_server_is_left_at_the_deadline(serve: Serve, list_accounts: ListAccounts) -> None:
    released = asyncio.Event()

    async def wait(_context: Context) -> portfolio.ListAccountsResponse:
        await released.wait()
        return portfolio.ListAccountsResponse()

    served = await serve(ScriptedPortfolio(wait).register)
    started = time.perf_counter()
    with pytest.raises(DeadlineExceeded):
        await list_accounts(served.address, None, 0.2)
    assert 0.2 <= time.perf_counter() - started < within(0.5)
    released.set()


async def test_a_trace_goes_on_through_two_services(serve: Serve, list_accounts: ListAccounts) -> None:
    seen: list[str | None] = []

    async def remember(_context: Context) -> portfolio.ListAccountsResponse:
        seen.append(current_traceparent())
        return portfolio.ListAccountsResponse()

    last = await serve(ScriptedPortfolio(remember).register)
    first = await serve(ScriptedPortfolio(lambda _context: list_accounts(last.address)).register)
    with span("order", TRACEPARENT):
        await list_accounts(first.address)
    await list_accounts(first.address)
    assert seen == [TRACEPARENT, None]


async def test_a_foreign_client_s_broken_trace_is_ignored(serve: Serve, plain: Plain) -> None:
    seen: list[str | None] = []

    async def remember(_context: Context) -> portfolio.ListAccountsResponse:
        seen.append(current_traceparent())
        return portfolio.ListAccountsResponse()

    served = await serve(ScriptedPortfolio(remember).register)
    await plain(served.address).unary_unary(LIST_ACCOUNTS)(b"", metadata=(("traceparent", "x" * 1_000),))
    assert seen == [None]


async def test_a_caller_who_leaves_is_no_surprise(serve: Serve, plain: Plain, caplog: pytest.LogCaptureFixture) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def wait(_context: Context) -> portfolio.ListAccountsResponse:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    served = await serve(ScriptedPortfolio(wait).register)
    with capture_logs() as logs, caplog.at_level(logging.WARNING):
        call = plain(served.address).unary_unary(LIST_ACCOUNTS)(b"")
        await entered.wait()
        call.cancel()
        async with asyncio.timeout(TIMEOUT_S):
            await left.wait()
        await served.counted(LIST_ACCOUNTS, Kind.CANCELED.value)
    assert logs == []
    assert caplog.records == []


async def test_a_failed_call_leaves_no_unheard_exception_behind(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = await serve(ScriptedPortfolio.raising(Unavailable("Gone.")).register)
    async with channels.connect(served.address, token=None, client="test") as channel:
        stub = portfolio_grpc.PortfolioServiceStub(channel)
        results = await asyncio.gather(
            *(stub.ListAccounts(portfolio.ListAccountsRequest()) for _ in range(20)), return_exceptions=True
        )
    assert {type(result) for result in results} == {Unavailable}
    assert caplog.records == []


async def test_a_channel_survives_the_restart_of_its_server(serve: Serve) -> None:
    address = f"127.0.0.1:{free_port()}"
    boundary = Boundary((), Metrics())
    register = [ScriptedPortfolio.naming("main").register]
    async with channels.connect(address, token=None, client="test") as channel:
        stub = portfolio_grpc.PortfolioServiceStub(channel)
        for _ in range(2):
            server = GrpcServer(address, register, (), boundary)
            await server.start()
            await until(lambda: _answers(stub), "the server to answer")
            await server.stop(0)
            assert not await _answers(stub)


async def _answers(stub: portfolio_grpc.PortfolioServiceStub) -> bool:
    try:
        await stub.ListAccounts(portfolio.ListAccountsRequest())
    except Unavailable:
        return False
    return True
