"""Tables of the past from market_data: the slices of a stream, handed on as they come."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from fleet import deadline, rpc_errors
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from trading.errors import Unavailable

ARROW = "application/vnd.apache.arrow.stream"
Metadata = Callable[[], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a table before it has come, and its bytes; whoever does not read them all closes `slices`."""

    rows: int
    truncated: bool
    slices: AsyncIterator[bytes]


class Tables:
    """Asks market_data for tables; a wrong question raises before the first byte."""

    def __init__(self, stub: MarketDataServiceStub, metadata: Metadata, timeout_s: float) -> None:
        self._stub, self._metadata, self._timeout_s = stub, metadata, timeout_s

    async def historical(self, request: rpc.GetHistoricalRequest) -> Table:
        """Bars, quotes or trades as an Arrow stream."""
        return await _opened(self._stub.GetHistorical(request, metadata=self._metadata(), timeout=self._time()))

    async def query(self, request: rpc.QueryHistoryRequest) -> tuple[Table, bytes]:
        """The whole answer of an SQL question."""
        found = await _opened(self._stub.QueryHistory(request, metadata=self._metadata(), timeout=self._time()))
        return found, b"".join([part async for part in found.slices])

    def _time(self) -> float:
        return deadline.remaining(self._timeout_s)


async def _opened(call: Any) -> Table:
    """Wait for the first slice, which says what the rest amounts to."""
    first = await _next(call)
    if first is None:
        raise Unavailable("market_data sent no table.")
    return Table(first.rows, first.truncated, _slices(first.data, call))


async def _slices(data: bytes, call: Any) -> AsyncIterator[bytes]:
    try:
        yield data
        while (part := await _next(call)) is not None:
            yield part.data
    finally:
        call.cancel()


async def _next(call: Any) -> Any:
    """The next message, None at the end; raises the error that ends the stream by its name."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        raise rpc_errors.from_rpc_error(error) from error
    return None if message is grpc.aio.EOF else message
