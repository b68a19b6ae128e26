"""The fleet behind the gateway: one gRPC channel to each service, and whether it answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fleet import channels
from fleet.rpc import READY
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.inference.v1.registry_service_pb2_grpc import RegistryServiceStub
from neuraltrader.inference.v1.training_service_pb2_grpc import TrainingServiceStub
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from neuraltrader.portfolio.v1.book_service_pb2_grpc import BookServiceStub
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from neuraltrader.portfolio.v1.rebalance_service_pb2_grpc import RebalanceServiceStub
from neuraltrader.portfolio.v1.risk_service_pb2_grpc import RiskServiceStub
from services.gateway.frontiers import Frontiers
from services.gateway.model_transfers import ModelTransfers
from services.gateway.order_stream import OrderStream
from services.gateway.tables import Tables
from services.gateway.training_sets import TrainingSets
from trading.clock import Clock
from trading.errors import Unavailable

PROBE_TIMEOUT_S = 0.9
CLIENT = "gateway"


FILE_TIMEOUT_S = 600.0
"""Longer than any request with a file may take; the request's own end comes first."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services listen."""

    market_data: str
    inference: str
    execution: str
    portfolio: str


@dataclass(frozen=True, slots=True)
class Backends:
    """What the routes call."""

    market_data: MarketDataServiceStub
    inference: InferenceServiceStub
    registry: RegistryServiceStub
    training: TrainingServiceStub
    training_sets: TrainingSets
    open_inference: GRPCInferenceServiceStub
    execution: ExecutionServiceStub
    portfolio: PortfolioServiceStub
    book: BookServiceStub
    risk: RiskServiceStub
    rebalances: RebalanceServiceStub
    orders: OrderStream
    tables: Tables
    frontiers: Frontiers
    transfers: ModelTransfers
    clock: Clock
    health: Mapping[str, health_pb2_grpc.HealthStub]

    async def check(self, name: str) -> None:
        """Raise Unavailable unless the named service says that it is ready."""
        request = health_pb2.HealthCheckRequest(service=READY)
        probe: Any = self.health[name]  # its package has no types
        answer = await probe.Check(request, timeout=PROBE_TIMEOUT_S)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("not ready")


@asynccontextmanager
async def open_backends(
    addresses: Addresses,
    *,
    token: str | None,
    timeout_s: float,
    orders_pending_max: int,
    clock: Clock,
    log: Any,
) -> AsyncIterator[Backends]:
    """Channels to all services, closed at the end; services may come and go meanwhile."""
    async with AsyncExitStack() as stack:

        async def channel(address: str) -> grpc.aio.Channel:
            opened = channels.connect(address, token=token, client=CLIENT, default_timeout_s=timeout_s)
            return await stack.enter_async_context(opened)

        market_data = await channel(addresses.market_data)
        inference = await channel(addresses.inference)
        execution = await channel(addresses.execution)
        portfolio = await channel(addresses.portfolio)
        named = {"market_data": market_data, "inference": inference, "execution": execution, "portfolio": portfolio}
        stub = ExecutionServiceStub(execution)
        metadata = partial(channels.call_metadata, token)
        market, registry = MarketDataServiceStub(market_data), RegistryServiceStub(inference)
        portfolio_stub, training = PortfolioServiceStub(portfolio), TrainingServiceStub(inference)
        yield Backends(
            market,
            InferenceServiceStub(inference),
            registry,
            training,
            TrainingSets(training, metadata, FILE_TIMEOUT_S),
            GRPCInferenceServiceStub(inference),
            stub,
            portfolio_stub,
            BookServiceStub(portfolio),
            RiskServiceStub(portfolio),
            RebalanceServiceStub(portfolio),
            OrderStream(stub, metadata, pending_max=orders_pending_max, log=log),
            Tables(market_data, metadata, timeout_s),
            Frontiers(portfolio_stub, metadata),
            ModelTransfers(registry, metadata, FILE_TIMEOUT_S),
            clock,
            {name: health_pb2_grpc.HealthStub(opened) for name, opened in named.items()},
        )
