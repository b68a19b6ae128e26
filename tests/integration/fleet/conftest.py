"""Real gRPC servers behind the fleet's boundary."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from servers import free_port
from serving import ListAccounts, Plain, Serve, Served

from fleet import channels
from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc


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
