"""Tables of the past from market_data: the slices of a stream, handed on as they come."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from fleet import deadline, rpc_errors
from fleet.slices import Slice, slices_of
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from trading.errors import Unavailable

ARROW = "application/vnd.apache.arrow.stream"
_SERVICE = rpc.DESCRIPTOR.services_by_name["MarketDataService"]
Metadata = Callable[[], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a table before it has come, and its bytes; whoever does not read them all closes `slices`."""

    rows: int
    truncated: bool
    slices: AsyncIterator[memoryview]


class Tables:
    """Asks market_data for tables; a wrong question raises before the first byte."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, timeout_s: float) -> None:
        self._get_historical, self._query_history = (
            slices_of(channel, _SERVICE, method) for method in ("GetHistorical", "QueryHistory")
        )
        self._metadata, self._timeout_s = metadata, timeout_s

    async def historical(self, request: rpc.GetHistoricalRequest) -> Table:
        """Bars, quotes or trades as an Arrow stream."""
        return await _opened(self._get_historical(request, metadata=self._metadata(), timeout=self._time()))

    async def query(self, request: rpc.QueryHistoryRequest) -> tuple[Table, bytes]:
        """The whole answer of an SQL question."""
        found = await _opened(self._query_history(request, metadata=self._metadata(), timeout=self._time()))
        return found, b"".join([part async for part in found.slices])

    def _time(self) -> float:
        return deadline.remaining(self._timeout_s)


async def _opened(call: Any) -> Table:
    """Wait for the first slice, which says what the rest amounts to."""
    first = await _next(call)
    if first is None:
        raise Unavailable("market_data sent no table.")
    return Table(first.rows, first.truncated, _slices(first.data, call))


async def _slices(data: memoryview, call: Any) -> AsyncIterator[memoryview]:
    try:
        yield data
        while (part := await _next(call)) is not None:
            yield part.data
    finally:
        call.cancel()


async def _next(call: Any) -> Slice | None:
    """The next message, None at the end; raises the error that ends the stream by its name."""
    try:
        message: Any = await call.read()
    except grpc.aio.AioRpcError as error:
        raise rpc_errors.from_rpc_error(error) from error
    return None if message is grpc.aio.EOF else message
