"""Servicers of the real contracts whose answers a test writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2_grpc as execution_grpc
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as market_data_grpc
from neuraltrader.portfolio.v1 import portfolio_pb2 as positions
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc

Context = grpc.aio.ServicerContext[Any, Any]


LIST_ACCOUNTS = "/neuraltrader.portfolio.v1.PortfolioService/ListAccounts"
STREAM_ORDERS = "/neuraltrader.execution.v1.ExecutionService/StreamOrders"
STREAM_QUOTES = "/neuraltrader.market_data.v1.MarketDataService/StreamQuotes"


class ScriptedPortfolio(portfolio_grpc.PortfolioServiceServicer):
    """Answers ListAccounts as it is told."""

    def __init__(self, answer: Callable[[Context], Awaitable[portfolio.ListAccountsResponse]]) -> None:
        self._answer = answer

    async def ListAccounts(  # type: ignore[override]  # the stubs allow more kinds of context
        self, request: portfolio.ListAccountsRequest, context: Context
    ) -> portfolio.ListAccountsResponse:
        return await self._answer(context)

    @classmethod
    def raising(cls, error: Exception) -> "ScriptedPortfolio":
        """Fails every call."""

        async def fail(_context: Context) -> portfolio.ListAccountsResponse:
            raise error

        return cls(fail)

    @classmethod
    def naming(cls, *accounts: str) -> "ScriptedPortfolio":
        """Always names the same accounts."""

        async def name(_context: Context) -> portfolio.ListAccountsResponse:
            return portfolio.ListAccountsResponse(accounts=[positions.Account(id=account) for account in accounts])

        return cls(name)

    def register(self, server: grpc.aio.Server) -> None:
        portfolio_grpc.add_PortfolioServiceServicer_to_server(self, server)


class ScriptedMarketData(market_data_grpc.MarketDataServiceServicer):
    """Streams quotes as it is told."""

    def __init__(self, stream: Callable[[Context], AsyncIterator[market_data.StreamQuotesResponse]]) -> None:
        self._stream = stream

    def StreamQuotes(  # type: ignore[override]
        self, request: market_data.StreamQuotesRequest, context: Context
    ) -> AsyncIterator[market_data.StreamQuotesResponse]:
        return self._stream(context)

    def register(self, server: grpc.aio.Server) -> None:
        market_data_grpc.add_MarketDataServiceServicer_to_server(self, server)


class ScriptedExecution(execution_grpc.ExecutionServiceServicer):
    """Streams answers to orders as it is told."""

    def __init__(
        self,
        stream: Callable[[AsyncIterator[execution.StreamOrdersRequest]], AsyncIterator[execution.StreamOrdersResponse]],
    ) -> None:
        self._stream = stream

    def StreamOrders(  # type: ignore[override]
        self, request_iterator: AsyncIterator[execution.StreamOrdersRequest], context: Context
    ) -> AsyncIterator[execution.StreamOrdersResponse]:
        return self._stream(request_iterator)

    def register(self, server: grpc.aio.Server) -> None:
        execution_grpc.add_ExecutionServiceServicer_to_server(self, server)
