"""The wire form of the named errors: `google.rpc.Status` with one ErrorInfo, BadRequest or RetryInfo beside it."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from trading.errors import Kind, TradingError

DOMAIN = "neural-trader"
_CODES: dict[Kind, grpc.StatusCode] = {
    kind: grpc.StatusCode["CANCELLED" if kind is Kind.CANCELED else kind.value] for kind in Kind
}
_KINDS = {code: kind for kind, code in _CODES.items()}
_FIELD = "field"
_RETRY_AFTER_S = "retry_after_s"


def to_status(error: TradingError) -> Status:
    """Everything a foreign caller needs to act on an error."""
    facts = {key: str(value) for key, value in error.metadata.items()}
    status = Status(code=_CODES[error.kind].value[0], message=error.message)
    status.details.append(_pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)))
    if _FIELD in facts:
        violation = BadRequest.FieldViolation(field=facts[_FIELD], description=error.message)
        status.details.append(_pack(BadRequest(field_violations=[violation])))
    if _RETRY_AFTER_S in facts:
        status.details.append(_pack(RetryInfo(retry_delay=_duration(float(facts[_RETRY_AFTER_S])))))
    return status


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: TradingError) -> None:
    """End a call with the wire form of `error`."""
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


def from_rpc_error(error: grpc.aio.AioRpcError) -> TradingError:
    """The named error behind a failed call; a transport failure becomes Unavailable's kind with reason TRANSPORT."""
    kind = _KINDS.get(error.code(), Kind.INTERNAL)
    info = _error_info(error)
    if info is None:
        reason = "TRANSPORT" if kind is Kind.UNAVAILABLE else kind.value
        return TradingError(kind, reason, error.details() or kind.value)
    return TradingError(kind, info.reason, error.details() or "", **info.metadata)


def _error_info(error: grpc.aio.AioRpcError) -> ErrorInfo | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return _first_info(Status.FromString(value if isinstance(value, bytes) else value.encode()))
    return None


def _first_info(status: Status) -> ErrorInfo | None:
    info = ErrorInfo()
    return next((info for detail in status.details if detail.Unpack(info)), None)


def _pack(message: ErrorInfo | BadRequest | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
