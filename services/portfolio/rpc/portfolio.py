"""The calls that portfolio answers: translate, call, translate."""

import grpc

from fleet import deadline
from fleet.rpc import Context
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as pb_grpc
from services.portfolio.ports import Offload
from services.portfolio.translate import book, optimisation, risk
from services.portfolio.usecases.calculate_risk import CalculateRisk
from services.portfolio.usecases.optimize import Optimize
from services.portfolio.usecases.read_book import ReadBook
from services.portfolio.usecases.read_returns import ReadReturns

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["PortfolioService"].full_name
_NO_DEADLINE_S = 3600.0


class PortfolioRpc(pb_grpc.PortfolioServiceServicer):
    """PortfolioService over the use cases."""

    def __init__(
        self, read: ReadBook, optimize: Optimize, read_returns: ReadReturns, risk: CalculateRisk, offload: Offload
    ) -> None:
        self._read = read
        self._read_returns = read_returns
        self._optimize = optimize
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
        window = await self._read_returns(request.symbols, request.window.days) if request.HasField("window") else None
        problem = await self._offload(optimisation.problem_of, request, window)
        return optimisation.optimize_response(await self._optimize(problem, deadline.remaining(_NO_DEADLINE_S)))

    async def CalculateRisk(
        self,
        request: pb.CalculateRiskRequest,
        context: Context,
    ) -> pb.CalculateRiskResponse:
        return risk.risk_response(await self._risk(risk.risk_request_of(request)))
