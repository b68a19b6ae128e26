"""Portfolio's RebalanceService as the gateway meets it: one rebalance and one schedule."""

from collections.abc import AsyncIterator

from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as pb
from neuraltrader.portfolio.v1 import rebalance_service_pb2_grpc as pb_grpc
from trading.errors import Kind, NotFound, TradingError

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"
ONE = 1_000_000_000
REBALANCE_ID = "01990000-0000-7000-8000-000000000009"


def a_rebalance(state: "pb.RebalanceState.ValueType" = pb.REBALANCE_STATE_PROPOSED) -> pb.Rebalance:
    """A proposal that sells ten AAPL."""
    order = pb.RebalanceOrder(
        symbol="AAPL",
        quantity_nanos=-10 * ONE,
        client_order_id="key.AAPL",
        price_nanos=190 * ONE,
        weight_before=0.5,
        weight_target=0.4,
    )
    return pb.Rebalance(
        id=REBALANCE_ID,
        account="main",
        state=state,
        orders=[order],
        left_alone={"SPY": "drift_band"},
        rules=pb.RebalanceRules(account="main", targets={"AAPL": 0.4}, turnover_limit=0.0),
        equity_nanos=100_000 * ONE,
        turnover=0.1,
        created_time_ns=5,
        updated_time_ns=6,
    )


class FakeRebalances(pb_grpc.RebalanceServiceServicer):
    """Answers for one id."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.schedule = pb.Schedule(
            rules=pb.RebalanceRules(account="main"),
            optimize=portfolio.OptimizeRequest(
                symbols=["AAPL"], objective=portfolio.OBJECTIVE_MIN_VARIANCE, window=portfolio.ReturnsWindow(days=60)
            ),
            every_ns=300 * ONE,
            enabled=True,
            last_run_ns=7,
            last_error="NO_EQUITY: none",
        )

    async def ProposeRebalance(
        self, request: pb.ProposeRebalanceRequest, context: Context
    ) -> pb.ProposeRebalanceResponse:
        self.script.hear(request)
        return pb.ProposeRebalanceResponse(rebalance=a_rebalance())

    async def GetRebalance(self, request: pb.GetRebalanceRequest, context: Context) -> pb.GetRebalanceResponse:
        self.script.hear(request)
        self._require(request.id)
        done = a_rebalance(pb.REBALANCE_STATE_DONE)
        done.orders[0].MergeFrom(pb.RebalanceOrder(order_id="order-1", status="FILLED", filled_nanos=10 * ONE))
        return pb.GetRebalanceResponse(rebalance=done)

    async def ListRebalances(self, request: pb.ListRebalancesRequest, context: Context) -> pb.ListRebalancesResponse:
        self.script.hear(request)
        return pb.ListRebalancesResponse(rebalances=[a_rebalance()], next_cursor=REBALANCE_ID)

    async def ExecuteRebalance(
        self, request: pb.ExecuteRebalanceRequest, context: Context
    ) -> pb.ExecuteRebalanceResponse:
        self.script.hear(request)
        self._require(request.id)
        return pb.ExecuteRebalanceResponse(rebalance=a_rebalance(pb.REBALANCE_STATE_EXECUTING))

    async def CancelRebalance(self, request: pb.CancelRebalanceRequest, context: Context) -> pb.CancelRebalanceResponse:
        self.script.hear(request)
        return pb.CancelRebalanceResponse(rebalance=a_rebalance(pb.REBALANCE_STATE_CANCELED))

    async def WatchRebalance(
        self, request: pb.WatchRebalanceRequest, context: Context
    ) -> AsyncIterator[pb.WatchRebalanceResponse]:
        self.script.hear(request)
        yield pb.WatchRebalanceResponse(rebalance=a_rebalance(pb.REBALANCE_STATE_DONE))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        self.script.hear(request)
        return pb.ListSchedulesResponse(schedules=[self.schedule])

    async def PutSchedule(self, request: pb.PutScheduleRequest, context: Context) -> pb.PutScheduleResponse:
        self.script.hear(request)
        return pb.PutScheduleResponse(schedule=request.schedule)

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> pb.DeleteScheduleResponse:
        self.script.hear(request)
        return pb.DeleteScheduleResponse()

    def _require(self, rebalance_id: str) -> None:
        if rebalance_id == "moved":
            raise TradingError(Kind.ABORTED, "BOOK_MOVED", "The book has moved.", moved=0.3, most=0.1)
        if rebalance_id != REBALANCE_ID:
            raise NotFound("There is none.", reason="UNKNOWN_REBALANCE", id=rebalance_id)
