"""Performance, transfers and imports on the wire."""

from collections.abc import Iterable

from neuraltrader.common.v1 import common_pb2 as common
from neuraltrader.portfolio.v1 import book_service_pb2 as pb
from services.portfolio.domain.account import PositionValue
from services.portfolio.domain.bookings import Answer, Bought, ImportRequest, Question, Recorded, TransferRequest
from services.portfolio.translate.book import money_message, position_message
from trading.errors import InvalidArgument
from trading.money import ONE, Money


def question_of(request: pb.GetPerformanceRequest) -> Question:
    """Which stretch of which curve."""
    return Question(request.account, request.start_time_ns, request.end_time_ns, request.points)


def performance_response(answer: Answer) -> pb.GetPerformanceResponse:
    """The curve and its statistics on the wire; what is not defined is absent."""
    currency, found = answer.currency, answer.performance
    return pb.GetPerformanceResponse(
        account=answer.account,
        currency=currency,
        curve=[
            pb.EquityPoint(
                time_ns=point.time_ns,
                equity=money_message(currency, point.equity_nanos),
                paid_in=money_message(currency, point.paid_in_nanos),
            )
            for point in answer.curve
        ],
        total_return=found.total_return,
        sharpe_ratio=found.sharpe_ratio,
        sortino_ratio=found.sortino_ratio,
        max_drawdown=found.max_drawdown,
        turnover=found.turnover,
        volatility=found.volatility,
        observations=len(found.days),
        realized_pnl=money_message(currency, found.realized_nanos),
        fees=money_message(currency, found.fees_nanos),
        days=[
            pb.DayResult(
                start_time_ns=day.start_time_ns,
                pnl=money_message(currency, day.pnl_nanos),
                daily_return=day.return_,
            )
            for day in found.days
        ],
    )


def transfer_request(request: pb.RecordTransferRequest) -> TransferRequest:
    """What is to be booked; raises InvalidArgument for a sum of two signs."""
    amount = _money(request.amount, "amount")
    return TransferRequest(request.account, request.transfer_id, amount, request.note, request.time_ns)


def transfer_response(recorded: Recorded) -> pb.RecordTransferResponse:
    """How it stands."""
    cash = money_message(recorded.cash.currency, recorded.cash.nanos)
    return pb.RecordTransferResponse(repeated_transfer=recorded.repeated, cash=cash)


def import_request(request: pb.ImportPositionsRequest) -> ImportRequest:
    """What is to be booked."""
    positions = [
        Bought(line.symbol, line.quantity_nanos, line.avg_price_nanos, line.currency) for line in request.positions
    ]
    return ImportRequest(request.account, request.import_id, positions, request.charge_cash)


def import_response(repeated: bool, positions: Iterable[PositionValue]) -> pb.ImportPositionsResponse:
    """How it stands."""
    return pb.ImportPositionsResponse(repeated_import=repeated, positions=map(position_message, positions))


def _money(message: common.Money, field: str) -> Money:
    """An exact sum; units and nanos are of one sign, and less than a unit is in the nanos."""
    units, nanos = message.units, message.nanos
    if abs(nanos) >= ONE or units * nanos < 0:
        raise InvalidArgument("Expected units and nanos of one sign, and nanos below 10⁹.", field=field)
    return Money(message.currency, units * ONE + nanos)
