"""Portfolio's RiskService as the gateway meets it: answers that a test can tell apart."""

from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import risk_service_pb2 as pb
from neuraltrader.portfolio.v1 import risk_service_pb2_grpc as pb_grpc

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeRisk(pb_grpc.RiskServiceServicer):
    """A distribution of losses, and one outcome for each scenario."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def SimulateLosses(self, request: pb.SimulateLossesRequest, context: Context) -> pb.SimulateLossesResponse:
        self.script.hear(request)
        return pb.SimulateLossesResponse(
            value=100.0,
            var_95=2.0,
            cvar_95=3.0,
            percentiles=[-4, -2, -1, 0, 1, 2, 4],
            symbols=["AAPL"],
            observations=252,
        )

    async def StressTest(self, request: pb.StressTestRequest, context: Context) -> pb.StressTestResponse:
        self.script.hear(request)
        outcomes = [
            pb.StressOutcome(name=scenario.name, profit=-10.0, fraction=-0.1, by_symbol={"AAPL": -10.0})
            for scenario in request.scenarios
        ]
        outcomes.append(pb.StressOutcome(name="pandemic_2020", error="There is no history of AAPL."))
        return pb.StressTestResponse(outcomes=outcomes, gross_value=100.0, net_value=100.0)
