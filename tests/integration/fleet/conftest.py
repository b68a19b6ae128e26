"""Real gRPC servers behind the fleet's boundary."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Protocol

import grpc
import pytest
from servers import free_port
from waiting import until

from fleet import channels
from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc


class Served(NamedTuple):
    """A server that runs, and what it counts."""

    address: str
    metrics: Metrics
    server: GrpcServer

    async def counted(self, method: str, *codes: str) -> None:
        """Wait until one call of a method was counted, by one of the codes; an answer may leave before the count."""
        await until(lambda: bool(self._counts(method)), f"the count of {method}")
        counts = self._counts(method)
        assert list(counts.values()) == [1.0]
        assert set(counts) <= set(codes)

    def _counts(self, method: str) -> dict[str, float]:
        return {
            sample.labels["code"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "nt_rpc_seconds_count" and sample.labels["method"] == method
        }


class Serve(Protocol):
    """Starts a server with the given servicers, which ends with the test."""

    async def __call__(
        self, *register: Callable[[grpc.aio.Server], None], names: Sequence[str] = (), tokens: Sequence[str] = ()
    ) -> Served: ...


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(*register: Any, names: Sequence[str] = (), tokens: Sequence[str] = ()) -> Served:
            metrics = Metrics()
            address = f"127.0.0.1:{free_port()}"
            server = GrpcServer(address, register, names, Boundary(tokens, metrics))
            await server.start()
            stack.push_async_callback(server.stop, 0)
            return Served(address, metrics, server)

        yield start


@pytest.fixture
async def plain() -> AsyncIterator[Callable[[str], grpc.aio.Channel]]:
    """Opens channels as a foreign client would: without our interceptors."""
    async with AsyncExitStack() as stack:

        def connect(address: str) -> grpc.aio.Channel:
            channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
            stack.push_async_callback(channel.close)
            return channel

        yield connect


class Call(Protocol):
    """Calls ListAccounts through a channel of the fleet."""

    async def __call__(self, address: str, token: str | None = None, timeout_s: float | None = None) -> Any: ...


@pytest.fixture
def list_accounts() -> Call:
    async def call(address: str, token: str | None = None, timeout_s: float | None = None) -> Any:
        async with channels.connect(address, token=token, client="test") as channel:
            stub = portfolio_grpc.PortfolioServiceStub(channel)
            return await stub.ListAccounts(portfolio.ListAccountsRequest(), timeout=timeout_s)

    return call
