"""Real gRPC servers behind the fleet's boundary."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from buses import Connected, Consumer, Fails, StartConsumer
from servers import free_port
from serving import ListAccounts, Plain, Serve, Served

from fleet import channels
from fleet.bus import Bus, connect
from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from trading.ids import new_id


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
async def plain() -> AsyncIterator[Plain]:
    """Opens channels as a foreign client would: without our interceptors."""
    async with AsyncExitStack() as stack:

        def connect(address: str) -> grpc.aio.Channel:
            channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
            stack.push_async_callback(channel.close)
            return channel

        yield connect


@pytest.fixture
def list_accounts() -> ListAccounts:
    async def call(address: str, token: str | None = None, timeout_s: float | None = None) -> Any:
        async with channels.connect(address, token=token, client="test") as channel:
            stub = portfolio_grpc.PortfolioServiceStub(channel)
            return await stub.ListAccounts(portfolio.ListAccountsRequest(), timeout=timeout_s)

    return call


@pytest.fixture
async def consumer(bus: Bus) -> AsyncIterator[StartConsumer]:
    """Starts consumers of the shared server, on a stream of their own."""
    started: list[Consumer] = []

    async def start(fails: Fails = lambda _payload: None) -> tuple[Consumer, str]:
        name = f"S{new_id().replace('-', '')}"
        await bus.ensure_stream(name, [f"{name}.>"])
        started.append(Consumer(bus, name, f"{name}.>", fails))
        return started[-1], f"{name}.a"

    yield start
    for each in started:
        await each.stop()


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    """Opens connections that outlive their server."""
    async with AsyncExitStack() as stack:

        async def start(url: str, metrics: Metrics | None = None) -> Bus:
            return await stack.enter_async_context(connect(url, "test", metrics or Metrics()))

        yield start
