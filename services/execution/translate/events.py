"""Order events on the wire."""

from neuraltrader.execution.v1 import execution_pb2 as pb
from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import Order, OrderEvent
from services.execution.ports.log import LoggedEvent
from services.execution.translate.orders import fill, order
from services.execution.translate.words import value


def order_event(log_sequence: int, event: OrderEvent, after: Order) -> pb.OrderEvent:
    """An event with the order after it, as it is published."""
    return pb.OrderEvent(
        event_id=event.event_id,
        kind=value(pb.OrderEventKind, "ORDER_EVENT_KIND", event.kind),
        version=event.version,
        log_sequence=log_sequence,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        event_time_ns=event.event_time_ns,
        receive_time_ns=event.receive_time_ns,
        order=order(after),
        fill=_fill_of(log_sequence, event, after),
        reason=event.reason,
        reconciliation=event.reconciliation,
        hash=event.hash,
        previous_hash=event.previous_hash,
    )


def order_event_bytes(log_sequence: int, event: OrderEvent, after: Order) -> bytes:
    """The wire form of an event."""
    return order_event(log_sequence, event, after).SerializeToString()


def logged_event(logged: LoggedEvent, after: Order) -> pb.OrderEvent:
    """An event out of the log, with the order after it."""
    return order_event(logged.log_sequence, logged.event, after)


def _fill_of(log_sequence: int, event: OrderEvent, after: Order) -> pb.Fill | None:
    if event.execution is None:
        return None
    terms = after.terms
    return fill(
        LoggedFill(
            log_sequence,
            event.event_id,
            terms.order_id,
            terms.account,
            terms.symbol,
            terms.side,
            terms.currency,
            event.event_time_ns,
            event.execution,
        )
    )
