"""Charges, audit trail, statements and comparisons on the wire."""

from neuraltrader.execution.v1 import execution_pb2 as pb
from services.execution.domain.charge import LoggedCharge
from services.execution.domain.comparison import Comparison
from services.execution.domain.statement import Statement, day_text
from services.execution.ports.controls import AuditEntry
from services.execution.translate.orders import fill
from services.execution.translate.words import value


def charge(found: LoggedCharge) -> pb.Charge:
    """A charge out of the record."""
    charge = found.charge
    return pb.Charge(
        charge_id=charge.charge_id,
        venue_id=charge.venue_id,
        account=charge.account,
        kind=value(pb.ChargeKind, "CHARGE_KIND", charge.kind),
        symbol=charge.symbol,
        currency=charge.currency,
        amount_nanos=charge.amount_nanos,
        quantity_nanos=charge.quantity_nanos,
        order_id=charge.order_id or "",
        event_time_ns=charge.event_time_ns,
        receive_time_ns=charge.receive_time_ns,
        sequence=found.sequence,
        log_sequence=found.log_sequence,
    )


def audit_entry(found: AuditEntry) -> pb.AuditEntry:
    """One change on the wire."""
    return pb.AuditEntry(**found._asdict())


def statement(found: Statement) -> pb.Statement:
    """An account's day on the wire."""
    positions = [
        pb.StatementPosition(symbol=name, quantity_nanos=held.quantity_nanos, avg_price_nanos=held.entry_price_nanos)
        for name, held in found.positions.items()
    ]
    return pb.Statement(
        account=found.account,
        venue=found.venue,
        currency=found.currency,
        day=day_text(found.day),
        opening_cash_nanos=found.opening_cash_nanos,
        closing_cash_nanos=found.closing_cash_nanos,
        realized_nanos=found.realized_nanos,
        fees_nanos=found.fees_nanos,
        fills=map(fill, found.fills),
        positions=positions,
        charges=map(charge, found.charges),
    )


def comparison(found: Comparison) -> pb.VenueDifference:
    """One comparison on the wire."""
    return pb.VenueDifference(
        subject=found.subject, name=found.name, ours=found.ours, venue=found.venue, agrees=found.agrees
    )
