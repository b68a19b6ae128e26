"""The gRPC server of a service, and the one boundary that every call passes."""

import asyncio
import hmac
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from prometheus_client import Histogram

from fleet import deadline, rpc_errors
from fleet.listening import must_be_free
from fleet.metrics import Metrics
from fleet.telemetry import span
from trading.errors import InvalidArgument, Kind, ResourceExhausted, TradingError, Unauthenticated, Unavailable

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
LARGE_MESSAGE_BYTES = 96 * 1024 * 1024
"""Most bytes of the calls that a service declares large: a covariance of 3,000 assets is 72 MB."""
MAX_CONCURRENT_CALLS = 4_096
READY = "ready"
_OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port must be an error, not two servers that share it
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in the stubs only
Context = grpc.aio.ServicerContext[Any, Any]
ResponseT = TypeVar("ResponseT")


class _Malformed:
    """Stands for a request that could not be decoded."""


class _TooLarge:
    """Stands for a request above the limit of its call."""


_MALFORMED = _Malformed()
_TOO_LARGE = _TooLarge()


class GrpcServer:
    """Listens, answers health and reflection, and stops gracefully."""

    def __init__(
        self,
        address: str,
        register: Sequence[Callable[[grpc.aio.Server], None]],
        service_names: Sequence[str],
        boundary: "Boundary",
    ) -> None:
        self._address = address
        options = (*_OPTIONS, ("grpc.max_receive_message_length", boundary.message_bytes_most))
        self._server = grpc.aio.server(
            interceptors=(boundary,), options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS
        )
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for add in register:
            add(self._server)
        self._names = (*service_names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*self._names, reflection.SERVICE_NAME), self._server)

    async def start(self) -> None:
        """Listen; raises Unavailable when the port is taken."""
        must_be_free(self._address)
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise Unavailable(f"Cannot listen on {self._address}.", address=self._address) from error
        await self._server.start()
        await self._say("", True)

    async def say_ready(self, ready: bool) -> None:
        """Tell health watchers whether every readiness check passes."""
        for name in (READY, *self._names):
            await self._say(name, ready)

    async def stop(self, grace_s: float) -> None:
        """Turn new calls away, give running ones `grace_s` seconds, end the rest."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    async def _say(self, name: str, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)


class Boundary(grpc.aio.ServerInterceptor):
    """Wraps every handler once: token, deadline, trace, metrics and the wire form of errors."""

    def __init__(self, tokens: Sequence[str], metrics: Metrics, large_calls: Collection[str] = ()) -> None:
        self._large_calls = frozenset(large_calls)
        self._tokens = tuple(f"Bearer {token}".encode() for token in tokens)
        self._metrics = metrics
        self._log = structlog.get_logger()
        self._wrapped: dict[str, Handler] = {}
        self._seconds: dict[tuple[str, str], Histogram] = {}  # finding a child by its labels costs microseconds

    @property
    def message_bytes_most(self) -> int:
        """What the server must let in; the calls that are not large refuse the rest."""
        return LARGE_MESSAGE_BYTES if self._large_calls else MAX_MESSAGE_BYTES

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        method = handler_call_details.method
        handler = self._wrapped.get(method)
        if handler is None:
            found = await continuation(handler_call_details)
            if found is None or method.startswith(_OPEN_PREFIXES):
                return found
            handler = self._wrapped[method] = self._wrap(method, found)
        return handler

    def _wrap(self, method: str, handler: Any) -> "Handler":
        make, behaviour = _KIND_OF_HANDLER[bool(handler.request_streaming), bool(handler.response_streaming)]
        inner = getattr(handler, behaviour)
        yields = handler.response_streaming and not inspect.iscoroutinefunction(inner)
        return cast(
            "Handler",
            make(
                self._guarded(method, _written_out(inner) if yields else inner),
                request_deserializer=_refusing(
                    handler.request_deserializer,
                    by_raising=handler.request_streaming,
                    most=LARGE_MESSAGE_BYTES if method in self._large_calls else MAX_MESSAGE_BYTES,
                ),
                response_serializer=_unless_written(handler.response_serializer),
            ),
        )

    def _guarded(self, method: str, inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Any]:
        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            code = "OK"
            try:
                with self._entered(method, request, context):
                    return await inner(request, context)
            except asyncio.CancelledError:
                code = Kind.CANCELED.value
                raise
            except TradingError as error:
                code = error.kind.value
                await rpc_errors.abort(context, error)
            except grpc.aio.AbortError:
                code = _name_of(context.code())
                raise
            except NotImplementedError:
                code = Kind.UNIMPLEMENTED.value
                await rpc_errors.abort(context, TradingError(Kind.UNIMPLEMENTED, code, "Not offered here."))
            except Exception:  # the boundary of a call: what nobody expected is logged, and hidden from the caller
                code = Kind.INTERNAL.value
                self._log.exception("rpc.surprise", method=method)
                await rpc_errors.abort(context, TradingError(Kind.INTERNAL, code, "An internal error was logged."))
            finally:
                self._count(method, code, time.perf_counter() - started)

        return call

    def _count(self, method: str, code: str, seconds: float) -> None:
        histogram = self._seconds.get((method, code))
        if histogram is None:
            histogram = self._seconds[method, code] = self._metrics.rpc_seconds.labels(method, code)
        histogram.observe(seconds)

    def _entered(self, method: str, request: Any, context: Context) -> AbstractContextManager[None]:
        metadata = dict(context.invocation_metadata() or ())
        self._authenticate(metadata.get("authorization", ""))
        if request is _MALFORMED:
            raise _not_a_message()
        if request is _TOO_LARGE:
            raise _too_large()
        deadline.begin(context.time_remaining())
        return span(method, str(metadata.get("traceparent") or "") or None)

    def _authenticate(self, authorization: str | bytes) -> None:
        shown = authorization.encode() if isinstance(authorization, str) else authorization
        if self._tokens and not any(hmac.compare_digest(shown, token) for token in self._tokens):
            raise Unauthenticated("Expected metadata `authorization: Bearer <key>`.")


def _name_of(code: object) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else str(code)


def _written_out(inner: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], Awaitable[None]]:
    """Drive a generator of responses in the call's own task, so that it is closed there when the caller leaves."""

    async def write_all(request: Any, context: Context) -> None:
        async with aclosing(cast("AsyncGenerator[Any, None]", inner(request, context))) as responses:
            async for response in responses:
                await write(context, response)

    return write_all


async def write(context: Context, response: Any) -> None:
    """Write one response of a stream; a caller that has left meanwhile ends the task."""
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:  # the caller left while this was on its way
        raise asyncio.CancelledError from error


def written(response: type[ResponseT], wire: bytes) -> ResponseT:
    """A response in its wire form already, which the boundary sends as it is: megabytes are not copied thrice."""
    return cast("ResponseT", wire)


def _unless_written(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode_unless_written(response: Any) -> bytes:
        return response if isinstance(response, bytes) else encode(response)

    return encode_unless_written


def _refusing(decode: Callable[[bytes], Any], *, by_raising: bool, most: int) -> Callable[[bytes], Any]:
    """Decode, or refuse: a stream raises to its reader, a single request is decoded too early for that."""

    def decode_or_refuse(payload: bytes) -> Any:
        if len(payload) > most:
            if by_raising:
                raise _too_large()
            return _TOO_LARGE
        try:
            return decode(payload)
        except DecodeError as error:
            if by_raising:
                raise _not_a_message() from error
            return _MALFORMED

    return decode_or_refuse


def _not_a_message() -> InvalidArgument:
    return InvalidArgument("The request is not a message of this method.")


def _too_large() -> ResourceExhausted:
    return ResourceExhausted(f"The message is larger than {MAX_MESSAGE_BYTES} bytes.", limit_bytes=MAX_MESSAGE_BYTES)


_KIND_OF_HANDLER: dict[tuple[bool, bool], tuple[Callable[..., Any], str]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}
