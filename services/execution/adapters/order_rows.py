"""Orders and events as rows, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.execution.domain.chain import facts_from, facts_of
from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import INITIALIZED, EventKind, Execution, Order, OrderEvent
from services.execution.domain.submission import NO_TIMINGS, Timings
from services.execution.ports.log import Entry, LoggedEvent, OutboxRow, StoredOrder
from trading.ids import AccountId, EventId, OrderId
from trading.order import Liquidity, OrderEventKind, Side

Row = Mapping[str, Any]
Values = tuple[Any, ...]
"""A row to be written: values in the order of its table's columns."""
_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(Order).decode


def order_rows(entries: Sequence[Entry], timings: Mapping[OrderId, Timings]) -> list[Values]:
    """One row for each order that moved, as it stands after the last of its events."""
    newest = {entry.order.terms.order_id: entry.order for entry in entries}
    return [_order_row(order, timings.get(order_id, NO_TIMINGS)) for order_id, order in newest.items()]


def _order_row(order: Order, timings: Timings) -> Values:
    terms = order.terms
    return (
        terms.order_id,
        terms.account,
        terms.client_order_id,
        terms.symbol,
        order.status,
        order.version,
        _encode(order).decode(),
        *timing_values(timings),
    )


def timing_values(timings: Timings) -> tuple[int, int, int]:
    """An order's timings in the order of their columns."""
    return timings.total_ns, timings.validation_ns, timings.execution_ns


def event_row(entry: Entry) -> Values:
    """The row of one event."""
    event = entry.event
    return (
        entry.log_sequence,
        event.event_id,
        event.order_id,
        event.version,
        event.kind,
        event.event_time_ns,
        event.receive_time_ns,
        event.correlation_id,
        event.causation_id,
        event.reason,
        event.reconciliation,
        facts_of(event).decode(),
        event.previous_hash,
        event.hash,
    )


def fill_rows(entries: Sequence[Entry]) -> list[Values]:
    """The rows of the trades among the events."""
    return [_fill_row(entry, entry.event.execution) for entry in entries if entry.event.execution is not None]


def _fill_row(entry: Entry, execution: Execution) -> Values:
    terms = entry.order.terms
    return (
        entry.log_sequence,
        entry.event.event_id,
        terms.order_id,
        execution.execution_id,
        terms.account,
        terms.symbol,
        terms.side,
        terms.currency,
        execution.price_nanos,
        execution.quantity_nanos,
        execution.fee_nanos,
        execution.cumulative_nanos,
        entry.event.event_time_ns,
        execution.mid_nanos,
        execution.liquidity,
    )


def outbox_rows(entries: Sequence[Entry]) -> list[Values]:
    """The rows of the events that are to be told."""
    return [_outbox_row(entry.outbox) for entry in entries if entry.outbox is not None]


def _outbox_row(row: OutboxRow) -> Values:
    return (row.log_sequence, row.event_id, row.kind, row.account, row.payload, row.time_ns, row.traceparent)


def stored_order(row: Row) -> StoredOrder:
    """The order behind its row."""
    timings = Timings(row["total_latency_ns"], row["validation_time_ns"], row["execution_time_ns"])
    return StoredOrder(_decode_order(row["state"]), timings)


def logged_event(row: Row) -> LoggedEvent:
    """The event behind its row."""
    event = OrderEvent(
        event_id=EventId(row["event_id"]),
        order_id=OrderId(row["order_id"]),
        kind=_kind(row["kind"]),
        version=row["version"],
        event_time_ns=row["event_time_ns"],
        receive_time_ns=row["receive_time_ns"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        reason=row["reason"],
        reconciliation=bool(row["reconciliation"]),
        previous_hash=row["previous_hash"],
        hash=row["hash"],
        **facts_from(row["facts"]),
    )
    return LoggedEvent(row["log_sequence"], event)


def logged_fill(row: Row) -> LoggedFill:
    """The trade behind its row."""
    return LoggedFill(
        row["log_sequence"],
        EventId(row["event_id"]),
        OrderId(row["order_id"]),
        AccountId(row["account"]),
        row["symbol"],
        Side(row["side"]),
        row["currency"],
        row["event_time_ns"],
        Execution(
            row["execution_id"],
            row["price_nanos"],
            row["quantity_nanos"],
            row["fee_nanos"],
            row["cumulative_nanos"],
            row["mid_nanos"],
            Liquidity(row["liquidity"]) if row["liquidity"] else None,
        ),
    )


def outbox_row(row: Row) -> OutboxRow:
    """The waiting event behind its row."""
    return OutboxRow(
        row["log_sequence"],
        EventId(row["event_id"]),
        _kind(row["kind"]),
        AccountId(row["account"]),
        row["payload"],
        row["time_ns"],
        row["traceparent"],
    )


def _kind(text: str) -> EventKind:
    return INITIALIZED if text == INITIALIZED else OrderEventKind(text)
