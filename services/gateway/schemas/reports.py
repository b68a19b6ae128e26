"""Shapes of what execution can prove: its audit trail, a day's statement, a comparison with the venue."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.schemas.orders import Fill, fill_view
from services.gateway.schemas.scalars import DecimalText, Nanoseconds
from trading.money import format_nanos

Row = tuple[str, ...]
STATEMENT_COLUMNS = (
    "record",
    "account",
    "day",
    "symbol",
    "side",
    "quantity",
    "price",
    "fee",
    "currency",
    "liquidity",
    "mid",
    "order_id",
    "execution_id",
    "event_time_ns",
    "kind",
)
_CHARGE_KINDS: dict[int, Any] = {
    value: name.removeprefix("CHARGE_KIND_") for name, value in pb.ChargeKind.items() if value
}
COMPARISON_COLUMNS = ("account", "subject", "name", "ours", "venue", "agrees", "timestamp_ns")


class AuditEntry(TypedDict):
    """One change that somebody made to what an account may do."""

    id: str
    subject: str
    account: str
    value: Annotated[dict[str, Any], Field(description="The new value: amounts and times as decimal strings.")]
    actor: Annotated[str, Field(description="Id of the key that changed it.")]
    reason: str | None
    timestamp_ns: Nanoseconds


class AuditPage(TypedDict):
    """Changes, newest first."""

    entries: list[AuditEntry]
    next_cursor: str | None


class Trade(Fill):
    """One trade of an account."""

    event_id: Annotated[str, Field(description="The event that carries it.")]
    order_id: str
    symbol: str
    side: Literal["BUY", "SELL"]
    log_sequence: str


class StatementPosition(TypedDict):
    """What was held of one symbol."""

    symbol: str
    quantity: Annotated[DecimalText, Field(description="Negative is short.")]
    avg_price: DecimalText


class Charge(TypedDict):
    """What the venue took from the account, or gave to it, beside its trades."""

    charge_id: str
    venue_id: Annotated[str, Field(description="The venue's id of it.")]
    kind: Literal["FEE", "BORROW", "INTEREST", "FUNDING", "DIVIDEND", "TRANSFER"]
    symbol: Annotated[str | None, Field(description="Null when it concerns the account.")]
    quantity: Annotated[DecimalText, Field(description="Units of the symbol that were taken.")]
    amount: Annotated[DecimalText, Field(description="Cash that was taken; negative was paid to the account.")]
    currency: str
    order_id: str | None
    event_time_ns: Nanoseconds


class Statement(TypedDict):
    """What an account traded on one UTC day, and what it held and owned at its end."""

    account: str
    venue: str
    currency: str
    day: str
    opening_cash: DecimalText
    closing_cash: DecimalText
    realized_pnl: Annotated[
        DecimalText, Field(description="Profit realised on the day, fees and charges included, transfers not.")
    ]
    fees: DecimalText
    trades: list[Trade]
    charges: list[Charge]
    positions: list[StatementPosition]


class Comparison(TypedDict):
    """One thing that we and the venue were compared in."""

    subject: str
    name: str
    ours: str
    venue: Annotated[str | None, Field(description="Null when the venue knows nothing of it.")]
    agrees: bool


class VenueComparison(TypedDict):
    """Everything that was compared with the venue."""

    account: str
    timestamp_ns: Nanoseconds
    agrees: Annotated[bool, Field(description="All of it.")]
    comparisons: list[Comparison]


def audit_view(entry: pb.AuditEntry) -> AuditEntry:
    """A change as JSON."""
    return {
        "id": str(entry.id),
        "subject": entry.subject,
        "account": entry.account,
        "value": dict(_readable(name, value) for name, value in msgspec.json.decode(entry.value).items()),
        "actor": entry.actor,
        "reason": entry.reason or None,
        "timestamp_ns": str(entry.time_ns),
    }


def _readable(name: str, value: Any) -> tuple[str, Any]:
    """A stored value by the name and in the form that the routes which set it use."""
    bare = name.removesuffix("_nanos")
    if isinstance(value, int) and not isinstance(value, bool):
        if bare != name:
            return bare, format_nanos(value)
        return name, str(value) if name.endswith("_ns") else value
    if name == "models" and isinstance(value, str):  # a list that is stored as text
        return name, msgspec.json.decode(value)
    return bare, value


def statement_view(statement: pb.Statement) -> Statement:
    """A statement as JSON."""
    return {
        "account": statement.account,
        "venue": statement.venue,
        "currency": statement.currency,
        "day": statement.day,
        "opening_cash": format_nanos(statement.opening_cash_nanos),
        "closing_cash": format_nanos(statement.closing_cash_nanos),
        "realized_pnl": format_nanos(statement.realized_nanos),
        "fees": format_nanos(statement.fees_nanos),
        "trades": [_trade_view(fill) for fill in statement.fills],
        "charges": [_charge_view(charge) for charge in statement.charges],
        "positions": [_position_view(position) for position in statement.positions],
    }


def _trade_view(fill: pb.Fill) -> Trade:
    return {
        **fill_view(fill),
        "event_id": fill.event_id,
        "order_id": fill.order_id,
        "symbol": fill.symbol,
        "side": "BUY" if fill.side == pb.Side.SIDE_BUY else "SELL",
        "log_sequence": str(fill.log_sequence),
    }


def _charge_view(charge: pb.Charge) -> Charge:
    return {
        "charge_id": charge.charge_id,
        "venue_id": charge.venue_id,
        "kind": _CHARGE_KINDS[charge.kind],
        "symbol": charge.symbol or None,
        "quantity": format_nanos(charge.quantity_nanos),
        "amount": format_nanos(charge.amount_nanos),
        "currency": charge.currency,
        "order_id": charge.order_id or None,
        "event_time_ns": str(charge.event_time_ns),
    }


def _position_view(position: pb.StatementPosition) -> StatementPosition:
    return {
        "symbol": position.symbol,
        "quantity": format_nanos(position.quantity_nanos),
        "avg_price": format_nanos(position.avg_price_nanos),
    }


def comparison_view(account: str, answer: rpc.CompareWithVenueResponse) -> VenueComparison:
    """A comparison as JSON."""
    return {
        "account": account,
        "timestamp_ns": str(answer.time_ns),
        "agrees": all(each.agrees for each in answer.differences),
        "comparisons": [
            {
                "subject": each.subject,
                "name": each.name,
                "ours": each.ours,
                "venue": each.venue or None,
                "agrees": each.agrees,
            }
            for each in answer.differences
        ],
    }


def statement_rows(statement: Statement) -> list[Row]:
    """A statement as rows of STATEMENT_COLUMNS: its trades and charges, then its positions, then its cash."""
    about = {"account": statement["account"], "day": statement["day"], "currency": statement["currency"]}
    records: list[dict[str, Any]] = [{"record": "trade", **about, **trade} for trade in statement["trades"]]
    records += [
        {"record": "charge", **about, **charge, "fee": charge["amount"], "execution_id": charge["venue_id"]}
        for charge in statement["charges"]
    ]
    records += [{"record": "position", **about, **held, "price": held["avg_price"]} for held in statement["positions"]]
    records.append({"record": "cash", **about, "symbol": statement["currency"], "quantity": statement["closing_cash"]})
    return [tuple(str(record.get(name) or "") for name in STATEMENT_COLUMNS) for record in records]


def comparison_rows(comparison: VenueComparison) -> list[Row]:
    """A comparison as rows of COMPARISON_COLUMNS."""
    return [
        (
            comparison["account"],
            each["subject"],
            each["name"],
            each["ours"],
            each["venue"] or "",
            str(each["agrees"]).lower(),
            comparison["timestamp_ns"],
        )
        for each in comparison["comparisons"]
    ]
