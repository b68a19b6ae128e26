"""The fast path of orders: one long-lived stream to execution, made again when it breaks; unary meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

import grpc

from fleet import deadline
from fleet.rpc_errors import from_code
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from trading.errors import DeadlineExceeded, Kind, ResourceExhausted, TradingError, Unavailable

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 1.0
GRACE_S = 2.0
"""How much longer than the order's own wait an answer may take."""
DEFAULT_WAIT_MS = 2000

Call = grpc.aio.StreamStreamCall[pb.StreamOrdersRequest, pb.StreamOrdersResponse]
AnswerT = TypeVar("AnswerT")


class OrderStream:
    """Submits, changes and cancels, matched to their answers by request id; the same by unary calls meanwhile."""

    def __init__(
        self,
        stub: ExecutionServiceStub,
        metadata: Callable[[], tuple[tuple[str, str], ...]],
        *,
        pending_max: int,
        log: Any,
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._pending_max = pending_max
        self._log = log
        self._ids = count(1)
        self._pending: dict[int, asyncio.Future[pb.StreamOrdersResponse]] = {}
        self._writing = asyncio.Lock()
        self._call: Call | None = None

    @property
    def is_up(self) -> bool:
        """The stream stands; commands go over it."""
        return self._call is not None

    async def submit(self, order: pb.SubmitOrderRequest) -> pb.SubmitOrderResponse:
        """Submit an order. Raises the named error; Unavailable and DeadlineExceeded may hide an accepted order."""
        return await _doubtful(self._submit(order), order.client_order_id)

    async def _submit(self, order: pb.SubmitOrderRequest) -> pb.SubmitOrderResponse:
        patience_s = _patience_s(order.wait_ms)
        if not self.is_up:
            return await _in_time(self._stub.SubmitOrder(order, timeout=patience_s))
        return (await self._exchange(pb.StreamOrdersRequest(submit=order), patience_s)).submitted

    async def modify(self, change: pb.ModifyOrderRequest) -> pb.ModifyOrderResponse:
        """Change a working order; raises the named error."""
        patience_s = _patience_s()
        if not self.is_up:
            return await _in_time(self._stub.ModifyOrder(change, timeout=patience_s))
        return (await self._exchange(pb.StreamOrdersRequest(modify=change), patience_s)).modified

    async def cancel(self, order_id: str) -> pb.CancelOrderResponse:
        """Ask for a cancel; raises the named error."""
        wish, patience_s = pb.CancelOrderRequest(order_id=order_id), _patience_s()
        if not self.is_up:
            return await _in_time(self._stub.CancelOrder(wish, timeout=patience_s))
        return (await self._exchange(pb.StreamOrdersRequest(cancel=wish), patience_s)).canceled

    async def run(self) -> None:
        """Keep the stream up, for ever."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                call = self._stub.StreamOrders(metadata=self._metadata())
                await call.wait_for_connection()
                self._call, retry_s = call, FIRST_RETRY_S
                self._log.info("orders.stream.up")
                await self._read(call)
            except grpc.aio.AioRpcError as error:
                self._log.warning("orders.stream.down", code=error.code().name, pending=len(self._pending))
            finally:
                self._break()
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def _read(self, call: Call) -> None:
        async for response in call:
            future = self._pending.get(response.request_id)
            if future is not None and not future.done():
                future.set_result(response)

    def _break(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Unavailable("The connection to execution broke before it answered."))
        self._pending.clear()

    async def _exchange(self, request: pb.StreamOrdersRequest, patience_s: float) -> pb.StreamOrdersResponse:
        if len(self._pending) >= self._pending_max:
            raise ResourceExhausted("Too many orders wait for an answer.", retry_after_s=1, limit=self._pending_max)
        request.request_id = next(self._ids)
        future = self._pending[request.request_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience_s):
                await self._write(request)
                return _answered(await future)
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            self._pending.pop(request.request_id, None)

    async def _write(self, request: pb.StreamOrdersRequest) -> None:
        async with self._writing:
            if self._call is None:
                raise Unavailable("The connection to execution broke before the command was sent.")
            try:
                await self._call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
                raise Unavailable("The connection to execution broke while the command was sent.") from error


def _patience_s(wait_ms: int = 0) -> float:
    """How long an answer may take: the wait and a grace, within what the request has left."""
    return deadline.remaining((wait_ms or DEFAULT_WAIT_MS) / 1000 + GRACE_S)


async def _in_time(call: Awaitable[AnswerT]) -> AnswerT:
    try:
        return await call
    except DeadlineExceeded as error:
        raise _too_late() from error


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("Execution did not answer in time.")


async def _doubtful(work: Awaitable[AnswerT], client_order_id: str) -> AnswerT:
    """Say which order to ask for when nobody knows whether it was taken."""
    try:
        return await work
    except TradingError as error:
        if error.kind not in {Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED}:
            raise
        raise TradingError(
            error.kind,
            "ORDER_OUTCOME_UNKNOWN",
            "Execution gave no answer: the order may exist. Send it again under the same client_order_id.",
            **error.metadata,
            client_order_id=client_order_id or None,
        ) from error


def _answered(response: pb.StreamOrdersResponse) -> pb.StreamOrdersResponse:
    if response.HasField("error"):
        error = response.error
        retry_after_s = error.retry_after_ms / 1000 if error.HasField("retry_after_ms") else None
        raise from_code(error.code, error.reason, error.message, error.metadata, retry_after_s)
    return response
