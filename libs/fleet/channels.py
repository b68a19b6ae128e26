"""Calls to the other services: a token, a deadline and a trace on each, and named errors back."""

from collections.abc import Callable
from typing import Any

import grpc

from fleet import deadline, rpc_errors
from fleet.rpc import LARGE_MESSAGE_BYTES, MAX_MESSAGE_BYTES
from fleet.telemetry import current_traceparent

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGE_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment is for the world, not for the fleet
)


def connect(address: str, *, token: str | None, client: str, default_timeout_s: float = 5.0) -> grpc.aio.Channel:
    """A channel to `address`, to be closed by `async with`; create it on the running loop, never fork.

    Unary calls wait at most `default_timeout_s` or what the current request has left, and raise TradingError.
    Streams stay plain: give them `metadata=call_metadata(token)` and translate their AioRpcError.
    """
    options = (*_OPTIONS, ("grpc.primary_user_agent", f"neural-trader-{client}"))
    return grpc.aio.insecure_channel(address, options=options, interceptors=[_Caller(token, default_timeout_s)])


def call_metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata of a call made now: who calls, and in which trace."""
    traceparent = current_traceparent()
    who = (("authorization", f"Bearer {token}"),) if token else ()
    return (*who, ("traceparent", traceparent)) if traceparent else who


class _Caller(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str | None, default_timeout_s: float) -> None:
        self._token = token
        self._default_timeout_s = default_timeout_s

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        details = grpc.aio.ClientCallDetails(
            client_call_details.method,
            deadline.remaining(client_call_details.timeout or self._default_timeout_s),
            grpc.aio.Metadata(*(client_call_details.metadata or ()), *call_metadata(self._token)),
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        call = await continuation(details, request)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise rpc_errors.from_rpc_error(error) from error
