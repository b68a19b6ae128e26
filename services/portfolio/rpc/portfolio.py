"""The calls that portfolio answers: translate, call, translate."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from fleet import deadline
from fleet.rpc import Context
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as pb_grpc
from services.portfolio.domain.optimiser.problem import Problem, Recall
from services.portfolio.ports import Offload
from services.portfolio.translate import book, optimisation, risk
from services.portfolio.usecases.calculate_risk import CalculateRisk
from services.portfolio.usecases.frontier import ComputeFrontier
from services.portfolio.usecases.optimize import Optimize
from services.portfolio.usecases.read_book import ReadBook
from services.portfolio.usecases.read_returns import ReadReturns

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["PortfolioService"].full_name
LARGE_CALLS = (f"/{SERVICE_NAME}/Optimize", f"/{SERVICE_NAME}/ComputeFrontier")
_NO_DEADLINE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Choosing:
    """The use cases that choose weights."""

    optimize: Optimize
    frontier: ComputeFrontier
    read_returns: ReadReturns
    recall: Recall
    """The judged covariance of the same numbers, if there was one."""


class PortfolioRpc(pb_grpc.PortfolioServiceServicer):
    """PortfolioService over the use cases."""

    def __init__(self, read: ReadBook, choose: Choosing, risk: CalculateRisk, offload: Offload) -> None:
        self._read = read
        self._read_returns = choose.read_returns
        self._optimize = choose.optimize
        self._frontier = choose.frontier
        self._recall = choose.recall
        self._risk = risk
        self._offload = offload

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        pb_grpc.add_PortfolioServiceServicer_to_server(self, server)

    async def ListPositions(
        self,
        request: pb.ListPositionsRequest,
        context: Context,
    ) -> pb.ListPositionsResponse:
        holdings = await self._read.positions(request.account, include_flat=request.include_flat)
        positions = [book.position_message(value) for value in holdings.positions]
        return pb.ListPositionsResponse(positions=positions, as_of_ns=holdings.as_of_ns)

    async def GetAccount(
        self,
        request: pb.GetAccountRequest,
        context: Context,
    ) -> pb.GetAccountResponse:
        return pb.GetAccountResponse(account=book.account_message(await self._read.account(request.account)))

    async def ListAccounts(
        self,
        request: pb.ListAccountsRequest,
        context: Context,
    ) -> pb.ListAccountsResponse:
        values = await self._read.accounts()
        return pb.ListAccountsResponse(accounts=[book.account_message(value) for value in values])

    async def Optimize(self, request: pb.OptimizeRequest, context: Context) -> pb.OptimizeResponse:
        problem = await self._problem(request)
        return optimisation.optimize_response(await self._optimize(problem, deadline.remaining(_NO_DEADLINE_S)))

    async def ComputeFrontier(
        self, request: pb.ComputeFrontierRequest, context: Context
    ) -> AsyncIterator[pb.ComputeFrontierResponse]:
        problem = await self._problem(request.problem)
        index = 0
        async with aclosing(self._frontier(problem, request.points, deadline.remaining(_NO_DEADLINE_S))) as points:
            async for proven in points:
                yield pb.ComputeFrontierResponse(point=optimisation.optimize_response(proven), index=index)
                index += 1

    async def _problem(self, request: pb.OptimizeRequest) -> Problem:
        """The problem of a request, with the returns that it asks to be read."""
        window = await self._read_returns(request.symbols, request.window.days) if request.HasField("window") else None
        return await self._offload(optimisation.problem_of, request, window, self._recall)

    async def CalculateRisk(
        self,
        request: pb.CalculateRiskRequest,
        context: Context,
    ) -> pb.CalculateRiskResponse:
        return risk.risk_response(await self._risk(risk.risk_request_of(request)))
