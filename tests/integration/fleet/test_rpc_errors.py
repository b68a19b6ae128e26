"""An error raised in one service is the same error in the next, and a standard one for a foreign client."""

import grpc
import pytest
from fakes.servicers import LIST_ACCOUNTS, ScriptedPortfolio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from serving import ListAccounts, Plain, Serve

from fleet import rpc_errors
from trading.errors import InvalidArgument, Kind, ResourceExhausted, TradingError, Unavailable, UnknownSymbol


async def foreign_failure(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
    """How a call without our stubs and interceptors fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await channel.unary_unary(LIST_ACCOUNTS)(b"")
    return failure.value


def details_of(failure: grpc.aio.AioRpcError) -> Status:
    status = rpc_status.from_call(failure)
    assert status is not None
    return status


@pytest.mark.parametrize("kind", Kind)
async def test_every_kind_of_error_arrives_as_it_was_raised(
    serve: Serve, list_accounts: ListAccounts, kind: Kind
) -> None:
    raised = TradingError(kind, "WHY_NOT", "It went wrong: naïve ✓", limit=5, was="6")
    served = await serve(ScriptedPortfolio.raising(raised).register)
    with pytest.raises(TradingError) as failure:
        await list_accounts(served.address)
    error = failure.value
    assert (error.kind, error.reason, error.message) == (kind, "WHY_NOT", "It went wrong: naïve ✓")
    assert error.metadata == {"limit": "5", "was": "6"}
    await served.counted(LIST_ACCOUNTS, kind.value)


async def test_a_named_error_is_caught_by_its_class_on_the_other_side(
    serve: Serve, list_accounts: ListAccounts
) -> None:
    served = await serve(ScriptedPortfolio.raising(UnknownSymbol("None is called X.", symbol="X")).register)
    with pytest.raises(UnknownSymbol, match=r"None is called X\."):
        await list_accounts(served.address)


@pytest.mark.parametrize("kind", Kind)
async def test_a_foreign_client_reads_the_standard_details(serve: Serve, plain: Plain, kind: Kind) -> None:
    raised = TradingError(kind, "WHY_NOT", "No.", field="quantity", retry_after_s=1.5)
    served = await serve(ScriptedPortfolio.raising(raised).register)
    failure = await foreign_failure(plain(served.address))
    status = details_of(failure)
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    found = zip(status.details, (info, bad_request, retry), strict=True)
    assert all(detail.Unpack(into) for detail, into in found)
    assert failure.code().name.replace("CANCELLED", "CANCELED") == kind.value
    assert (status.code, status.message) == (failure.code().value[0], failure.details()) == (status.code, "No.")
    assert (info.reason, info.domain) == ("WHY_NOT", "neural-trader")
    assert [violation.field for violation in bad_request.field_violations] == ["quantity"]
    assert retry.retry_delay.ToMilliseconds() == 1_500


@pytest.mark.parametrize("message", ["x" * 100_000, "✓" * 100_000, "🙂" * 100_000])
async def test_a_very_long_error_still_arrives_with_its_code_and_reason(
    serve: Serve, list_accounts: ListAccounts, message: str
) -> None:
    metadata = {"field": message, **{f"fact_{number}": message for number in range(50)}}
    served = await serve(ScriptedPortfolio.raising(InvalidArgument(message, reason="TOO_LONG", **metadata)).register)
    with pytest.raises(InvalidArgument) as failure:
        await list_accounts(served.address)
    assert failure.value.reason == "TOO_LONG"
    assert message.startswith(failure.value.message[:100])
    assert set(failure.value.metadata) <= set(metadata)


async def test_the_time_to_wait_survives_a_second_service(
    serve: Serve, list_accounts: ListAccounts, plain: Plain
) -> None:
    first = await serve(ScriptedPortfolio.raising(ResourceExhausted("Busy.", retry_after_s=2)).register)
    second = await serve(ScriptedPortfolio(lambda _context: list_accounts(first.address)).register)
    status = details_of(await foreign_failure(plain(second.address)))
    retry = RetryInfo()
    assert [detail.Unpack(retry) for detail in status.details] == [False, True]
    assert retry.retry_delay.seconds == 2


@pytest.mark.parametrize("nonsense", ["soon", None, float("inf"), float("nan"), 1e300])
async def test_a_time_to_wait_that_is_none_is_left_out(serve: Serve, plain: Plain, nonsense: object) -> None:
    served = await serve(ScriptedPortfolio.raising(ResourceExhausted("Busy.", retry_after_s=nonsense)).register)
    status = details_of(await foreign_failure(plain(served.address)))
    assert len(status.details) == 1


def a_foreign_refusal(*details: Message) -> grpc.aio.AioRpcError:
    """RESOURCE_EXHAUSTED as a server of another house says it."""
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="Busy.")
    for detail in details:
        status.details.add().Pack(detail)
    trailer = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), trailer, "Busy.")


def test_the_time_to_wait_is_read_from_the_standard_detail() -> None:
    retry = RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
    alone = rpc_errors.from_rpc_error(a_foreign_refusal(retry))
    assert (type(alone), alone.reason, alone.metadata) == (
        ResourceExhausted,
        "RESOURCE_EXHAUSTED",
        {"retry_after_s": "2.5"},
    )
    info = ErrorInfo(reason="QUOTA", domain="other.example", metadata={"limit": "5"})
    explained = rpc_errors.from_rpc_error(a_foreign_refusal(info, retry))
    assert (explained.reason, explained.metadata) == ("QUOTA", {"limit": "5", "retry_after_s": "2.5"})


def test_an_error_of_a_stream_is_the_error_of_a_call() -> None:
    error = rpc_errors.from_code("RESOURCE_EXHAUSTED", "SUBMIT_RATE", "Busy.", {"limit": "5"}, 0.25)
    assert type(error) is ResourceExhausted
    assert (error.reason, error.message, error.metadata) == (
        "SUBMIT_RATE",
        "Busy.",
        {"limit": "5", "retry_after_s": "0.25"},
    )
    assert rpc_errors.from_code("CANCELLED", "", "", {}).kind is Kind.CANCELED
    assert rpc_errors.from_code("WHO_KNOWS", "", "", {}).kind is Kind.INTERNAL


async def test_nobody_at_the_address_is_unavailable(list_accounts: ListAccounts, unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable) as failure:
        await list_accounts(f"127.0.0.1:{unused_tcp_port}")
    assert failure.value.reason == "TRANSPORT"


async def test_a_proxy_of_the_environment_is_not_asked(
    serve: Serve, list_accounts: ListAccounts, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = await serve(ScriptedPortfolio.naming("main").register)
    assert [account.id for account in (await list_accounts(served.address)).accounts] == ["main"]


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x0a\x00"])
def test_a_foreign_server_s_broken_details_leave_its_code_and_message(details: bytes) -> None:
    failure = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(("grpc-status-details-bin", details)),
        "No such thing.",
    )
    error = rpc_errors.from_rpc_error(failure)
    assert (error.kind, error.reason, error.message) == (Kind.NOT_FOUND, "NOT_FOUND", "No such thing.")


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_of_a_foreign_server_has_a_kind(code: grpc.StatusCode) -> None:
    failure = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), None)
    error = rpc_errors.from_rpc_error(failure)
    unknown = {"UNKNOWN", "DATA_LOSS", "OUT_OF_RANGE"}
    assert error.kind.value == ("INTERNAL" if code.name in unknown else code.name.replace("LL", "L"))
