"""The calls that look ahead: translate, call, translate."""

import grpc

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import risk_service_pb2 as pb
from neuraltrader.portfolio.v1 import risk_service_pb2_grpc as pb_grpc
from services.portfolio.translate import risk
from services.portfolio.usecases.simulate_losses import SimulateLosses
from services.portfolio.usecases.stress_test import StressTest

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["RiskService"].full_name


class RiskRpc(pb_grpc.RiskServiceServicer):
    """RiskService over the use cases."""

    def __init__(self, simulate: SimulateLosses, stress: StressTest) -> None:
        self._simulate = simulate
        self._stress = stress

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        pb_grpc.add_RiskServiceServicer_to_server(self, server)

    async def SimulateLosses(self, request: pb.SimulateLossesRequest, context: Context) -> pb.SimulateLossesResponse:
        subject, plan, returns = risk.subject_of(request), risk.plan_of(request), risk.simulated_returns_of(request)
        return risk.losses_response(await self._simulate(subject, plan, request.window_days, returns))

    async def StressTest(self, request: pb.StressTestRequest, context: Context) -> pb.StressTestResponse:
        scenarios = [risk.scenario_of(message) for message in request.scenarios]
        report = await self._stress(risk.subject_of(request), scenarios, request.window_days, request.benchmark)
        return risk.stress_response(*report)
