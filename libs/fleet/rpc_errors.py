"""The wire form of the named errors: `google.rpc.Status` with one ErrorInfo, BadRequest or RetryInfo beside it."""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from trading.errors import Kind, TradingError, named

DOMAIN = "neural-trader"
_CODES: dict[Kind, grpc.StatusCode] = {
    kind: grpc.StatusCode["CANCELLED" if kind is Kind.CANCELED else kind.value] for kind in Kind
}
_KINDS = {code.name: kind for kind, code in _CODES.items()} | {kind.value: kind for kind in Kind}
_FIELD = "field"
_RETRY_AFTER_S = "retry_after_s"
_MESSAGE_BYTES = 640  # a peer turns away more than 8 KiB of trailing metadata, and the message travels three times
_METADATA_BYTES = 2_400
_FIELD_BYTES = 200


def to_status(error: TradingError) -> Status:
    """Everything a foreign caller needs to act on an error."""
    message = _shortened(error.message, _MESSAGE_BYTES)
    facts = _facts(error)
    status = Status(code=_CODES[error.kind].value[0], message=message)
    status.details.append(_pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)))
    if _FIELD in facts:
        violation = BadRequest.FieldViolation(field=_shortened(facts[_FIELD], _FIELD_BYTES), description=message)
        status.details.append(_pack(BadRequest(field_violations=[violation])))
    delay = _delay(facts.get(_RETRY_AFTER_S))
    if delay is not None:
        status.details.append(_pack(RetryInfo(retry_delay=delay)))
    return status


def _facts(error: TradingError) -> dict[str, str]:
    """The metadata as text, as much of it as a trailer can carry."""
    facts: dict[str, str] = {}
    room = _METADATA_BYTES
    for key, value in error.metadata.items():
        facts[key] = _shortened(str(value), max(room - len(key), 0))
        room -= len(key) + len(facts[key].encode())
    return facts


def _shortened(text: str, limit_bytes: int) -> str:
    encoded = text.encode(errors="replace")
    return encoded[:limit_bytes].decode(errors="ignore")


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: TradingError) -> None:
    """End a call with the wire form of `error`."""
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


def from_rpc_error(error: grpc.aio.AioRpcError) -> TradingError:
    """The named error behind a failed call; a transport failure becomes Unavailable's kind with reason TRANSPORT."""
    code, message = error.code().name, error.details() or ""
    info, retry = ErrorInfo(), RetryInfo()
    found = [type(into) for detail in _details(error) for into in (info, retry) if detail.Unpack(into)]
    retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9 if RetryInfo in found else None
    if ErrorInfo not in found:
        nobody = code == grpc.StatusCode.UNAVAILABLE.name
        return from_code(code, "TRANSPORT" if nobody else "", message, {}, retry_after_s)
    return from_code(code, info.reason, message, info.metadata, retry_after_s)


def from_code(
    code: str, reason: str, message: str, metadata: Mapping[str, str], retry_after_s: float | None = None
) -> TradingError:
    """The named error behind the name of a gRPC code, wherever it was written; what is empty says the code."""
    kind = _KINDS.get(code, Kind.INTERNAL)
    facts: dict[str, object] = dict(metadata)
    if retry_after_s is not None:
        facts[_RETRY_AFTER_S] = f"{retry_after_s:g}"
    return named(kind, reason or kind.value, message or kind.value, facts)


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    trailing = dict(error.trailing_metadata() or ())
    value = trailing.get("grpc-status-details-bin", b"")
    try:
        return list(Status.FromString(value if isinstance(value, bytes) else value.encode()).details)
    except DecodeError:  # a foreign server's details; the code and the message still count
        return []


def _pack(message: ErrorInfo | BadRequest | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _delay(seconds: str | None) -> Duration | None:
    duration = Duration()
    try:
        duration.FromNanoseconds(round(float(seconds or "nan") * 1e9))
    except (ValueError, OverflowError):  # no time that a client could wait
        return None
    return duration
