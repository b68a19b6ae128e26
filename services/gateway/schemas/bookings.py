"""Shapes of performance, and of what is booked without a trade."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.common.v1 import common_pb2
from neuraltrader.portfolio.v1 import book_service_pb2 as pb
from services.gateway.schemas.book import Position, money_text, position_view
from services.gateway.schemas.scalars import (
    Amount,
    DecimalText,
    Nanoseconds,
    NanosecondsIn,
    Request,
    SymbolText,
)
from trading.money import Money

MOST_POSITIONS = 10_000
BookingId = Annotated[str, Field(pattern="^[A-Za-z0-9._:-]{1,64}$")]
CurrencyText = Annotated[str, Field(pattern="^[A-Z0-9]{2,10}$")]


class EquityPoint(TypedDict):
    """What an account was worth at a moment."""

    timestamp_ns: Nanoseconds
    equity: DecimalText
    paid_in: DecimalText


class DayResult(TypedDict):
    """How a UTC day went."""

    timestamp_ns: Nanoseconds
    pnl: DecimalText
    daily_return: float


class Performance(TypedDict):
    """An equity curve and its statistics; returns are without what was paid in or out."""

    account: str
    currency: str
    curve: list[EquityPoint]
    total_return: float
    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float
    turnover: float
    volatility: float | None
    observations: int
    realized_pnl: DecimalText
    fees: DecimalText
    days: list[DayResult]


class TransferRequest(Request):
    """Cash that was paid in, or out when negative."""

    transfer_id: BookingId
    amount: Amount
    currency: CurrencyText = "USD"
    note: Annotated[str, Field(max_length=500)] = ""
    timestamp_ns: NanosecondsIn | None = None

    def message(self, account: str) -> pb.RecordTransferRequest:
        """The transfer as the fleet's message."""
        units, nanos = Money(self.currency, self.amount).split()
        return pb.RecordTransferRequest(
            account=account,
            transfer_id=self.transfer_id,
            amount=common_pb2.Money(currency=self.currency, units=units, nanos=nanos),
            note=self.note,
            time_ns=self.timestamp_ns or 0,
        )


class Transfer(TypedDict):
    """How a transfer stands, and the account's cash in its currency after it."""

    account: str
    transfer_id: str
    repeated: bool
    currency: str
    cash: DecimalText


class ImportedPosition(Request):
    """A position that was acquired elsewhere."""

    symbol: SymbolText
    quantity: Amount
    avg_price: Amount
    currency: CurrencyText | None = None


class ImportRequest(Request):
    """Positions to book together."""

    import_id: BookingId
    positions: Annotated[list[ImportedPosition], Field(min_length=1, max_length=MOST_POSITIONS)]
    charge_cash: bool = False

    def message(self, account: str) -> pb.ImportPositionsRequest:
        """The import as the fleet's message."""
        positions = [
            pb.ImportedPosition(
                symbol=line.symbol,
                quantity_nanos=line.quantity,
                avg_price_nanos=line.avg_price,
                currency=line.currency or "",
            )
            for line in self.positions
        ]
        return pb.ImportPositionsRequest(
            account=account, import_id=self.import_id, positions=positions, charge_cash=self.charge_cash
        )


class ImportResult(TypedDict):
    """How an import stands, and the account's positions after it."""

    account: str
    import_id: str
    repeated: bool
    positions: list[Position]


def performance_view(answer: pb.GetPerformanceResponse) -> Performance:
    """Performance as JSON; what is not defined is null."""
    present = {field.name: value for field, value in answer.ListFields() if field.has_presence}
    return {
        "account": answer.account,
        "currency": answer.currency,
        "curve": [
            {
                "timestamp_ns": str(point.time_ns),
                "equity": money_text(point.equity),
                "paid_in": money_text(point.paid_in),
            }
            for point in answer.curve
        ],
        "total_return": answer.total_return,
        "sharpe_ratio": present.get("sharpe_ratio"),
        "sortino_ratio": present.get("sortino_ratio"),
        "max_drawdown": answer.max_drawdown,
        "turnover": answer.turnover,
        "volatility": present.get("volatility"),
        "observations": answer.observations,
        "realized_pnl": money_text(answer.realized_pnl),
        "fees": money_text(answer.fees),
        "days": [
            {"timestamp_ns": str(day.start_time_ns), "pnl": money_text(day.pnl), "daily_return": day.daily_return}
            for day in answer.days
        ],
    }


def transfer_view(account: str, transfer_id: str, answer: pb.RecordTransferResponse) -> Transfer:
    """A transfer as JSON."""
    return {
        "account": account,
        "transfer_id": transfer_id,
        "repeated": answer.repeated_transfer,
        "currency": answer.cash.currency,
        "cash": money_text(answer.cash),
    }


def import_view(account: str, import_id: str, answer: pb.ImportPositionsResponse) -> ImportResult:
    """An import as JSON."""
    return {
        "account": account,
        "import_id": import_id,
        "repeated": answer.repeated_import,
        "positions": [position_view(position) for position in answer.positions],
    }
