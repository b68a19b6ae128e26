"""The book's service of the real contract, whose answers a test sets."""

from builders.gateway import a_position, money
from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import book_service_pb2 as pb
from neuraltrader.portfolio.v1 import book_service_pb2_grpc as pb_grpc
from trading.errors import IdempotencyConflict, UnknownSymbol

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeBook(pb_grpc.BookServiceServicer):
    """A curve of two points, and a memory of the ids that were booked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.booked: dict[str, bytes] = {}
        self.performance = pb.GetPerformanceResponse(
            account="main",
            currency="USD",
            curve=[
                pb.EquityPoint(time_ns=5, equity=money(1000), paid_in=money(1000)),
                pb.EquityPoint(time_ns=1_760_000_000_000_000_000, equity=money(1100), paid_in=money(900)),
            ],
            total_return=0.2,
            sharpe_ratio=1.5,
            max_drawdown=0.01,
            turnover=3.0,
            observations=1,
            realized_pnl=money(150),
            fees=money(2, 500_000_000),
            days=[pb.DayResult(start_time_ns=86_400_000_000_000, pnl=money(200), daily_return=0.2)],
        )

    async def GetPerformance(self, request: pb.GetPerformanceRequest, context: Context) -> pb.GetPerformanceResponse:
        self.script.hear(request)
        return self.performance

    async def RecordTransfer(self, request: pb.RecordTransferRequest, context: Context) -> pb.RecordTransferResponse:
        self.script.hear(request)
        return pb.RecordTransferResponse(
            repeated_transfer=self._repeats(request.transfer_id, request.SerializeToString()), cash=request.amount
        )

    async def ImportPositions(self, request: pb.ImportPositionsRequest, context: Context) -> pb.ImportPositionsResponse:
        self.script.hear(request)
        for line in request.positions:
            if line.symbol == "NOPE":
                raise UnknownSymbol("No instrument is called 'NOPE'.", symbol="NOPE")
        repeated = self._repeats(request.import_id, request.SerializeToString())
        return pb.ImportPositionsResponse(repeated_import=repeated, positions=[a_position()])

    def _repeats(self, name: str, body: bytes) -> bool:
        known = self.booked.setdefault(name, body)
        if known != body:
            raise IdempotencyConflict("This id was booked before with another content.")
        return name in self.booked and len(self.script.calls) > 1
