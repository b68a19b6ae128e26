"""Shapes of orders, their events and fills."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.schemas.scalars import (
    Amount,
    DecimalText,
    NameText,
    Nanoseconds,
    NanosecondsIn,
    Request,
    SymbolText,
    price_or_none,
    text_or_none,
)
from trading.money import format_nanos

ClientOrderId = Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")]
Side = Literal["BUY", "SELL"]
OrderStatus = Literal[
    "INITIALIZED",
    "DENIED",
    "EMULATED",
    "RELEASED",
    "SUBMITTED",
    "ACCEPTED",
    "REJECTED",
    "CANCELED",
    "EXPIRED",
    "TRIGGERED",
    "PENDING_UPDATE",
    "PENDING_CANCEL",
    "PARTIALLY_FILLED",
    "FILLED",
    "UNRESOLVED",
]


class OrderRequest(Request):
    """An order to submit."""

    symbol: SymbolText = Field(description="Any spelling.")
    side: Side
    quantity: Amount
    order_type: Literal["MARKET", "LIMIT", "STOP"]
    price: Amount | None = Field(None, description="Limit price; a STOP may carry its trigger here.")
    stop_price: Amount | None = Field(None, description="Trigger of a STOP.")
    time_in_force: Literal["DAY", "GTC", "IOC", "FOK"] = "DAY"
    account: NameText = "main"
    client_order_id: ClientOrderId | None = Field(None, description="Idempotency key, for ever.")
    timestamp_ns: NanosecondsIn | None = Field(None, description="The caller's own time; never used for latency.")

    def message(self, idempotency_key: str | None, wait: str | None, wait_ms: int) -> rpc.SubmitOrderRequest:
        """The order as the fleet's message; the key stands in for a missing client order id."""
        return rpc.SubmitOrderRequest(
            symbol=self.symbol,
            side=pb.Side.Value(f"SIDE_{self.side}"),
            order_type=pb.OrderType.Value(f"ORDER_TYPE_{self.order_type}"),
            quantity_nanos=self.quantity,
            price_nanos=self.price,
            stop_price_nanos=self.stop_price,
            time_in_force=pb.TimeInForce.Value(f"TIME_IN_FORCE_{self.time_in_force}"),
            account=self.account,
            client_order_id=self.client_order_id or idempotency_key or "",
            client_timestamp_ns=self.timestamp_ns,
            wait=pb.Wait.Value(f"WAIT_{wait.upper()}") if wait else pb.Wait.WAIT_UNSPECIFIED,
            wait_ms=wait_ms,
        )


class Denial(TypedDict):
    """Why a risk check refused an order."""

    code: str
    message: str
    limits: dict[str, str]


class ExecutionResult(TypedDict):
    """What a submit answers."""

    order_id: str
    client_order_id: str
    account: str
    status: OrderStatus
    filled_quantity: DecimalText
    avg_price: Annotated[str | None, Field(description="Null before the first fill.")]
    total_latency_ns: Nanoseconds
    validation_time_ns: Nanoseconds
    execution_time_ns: Nanoseconds
    timestamp_ns: Annotated[Nanoseconds, Field(description="When its newest event happened.")]
    denial: Denial | None


class Order(TypedDict):
    """An order as it is now."""

    order_id: str
    client_order_id: str
    venue_order_id: str | None
    account: str
    venue: str
    symbol: str
    side: Side
    quantity: DecimalText
    order_type: str
    price: str | None
    stop_price: str | None
    time_in_force: str
    status: OrderStatus
    filled_quantity: DecimalText
    avg_price: str | None
    denial: Denial | None
    reason: str | None
    version: Annotated[int, Field(description="Number of events so far.")]
    created_time_ns: Nanoseconds
    timestamp_ns: Nanoseconds
    client_timestamp_ns: Nanoseconds | None
    total_latency_ns: Nanoseconds
    validation_time_ns: Nanoseconds
    execution_time_ns: Nanoseconds


class OrderPage(TypedDict):
    """Orders, newest first."""

    orders: list[Order]
    next_cursor: str | None


class Fill(TypedDict):
    """One trade of an order."""

    execution_id: str
    price: DecimalText
    quantity: DecimalText
    fee: DecimalText
    currency: str
    event_time_ns: Nanoseconds


class OrderEvent(TypedDict):
    """One event of an order, with the order after it."""

    event_id: str
    kind: str
    version: int
    log_sequence: Annotated[str, Field(description="The cursor of a resumed stream.")]
    correlation_id: str
    causation_id: str
    event_time_ns: Nanoseconds
    receive_time_ns: Nanoseconds
    order: Order
    fill: Fill | None
    reason: str | None
    reconciliation: bool
    hash: str
    previous_hash: str | None


class OrderEventList(TypedDict):
    """The life of an order, oldest event first."""

    events: list[OrderEvent]


def status_name(status: pb.OrderStatus.ValueType) -> OrderStatus:
    """The name of a state, as JSON has it."""
    return pb.OrderStatus.Name(status).removeprefix("ORDER_STATUS_")  # type: ignore[return-value]  # the enum's names


def execution_result(order: pb.Order) -> ExecutionResult:
    """What a submit answers, as JSON."""
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "account": order.account,
        "status": status_name(order.status),
        "filled_quantity": format_nanos(order.filled_quantity_nanos),
        "avg_price": price_or_none(order.avg_price_nanos),
        "total_latency_ns": str(order.total_latency_ns),
        "validation_time_ns": str(order.validation_time_ns),
        "execution_time_ns": str(order.execution_time_ns),
        "timestamp_ns": str(order.updated_time_ns),
        "denial": _denial_view(order),
    }


def order_view(order: pb.Order) -> Order:
    """An order as JSON."""
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id or None,
        "account": order.account,
        "venue": order.venue,
        "symbol": order.symbol,
        "side": "BUY" if order.side == pb.Side.SIDE_BUY else "SELL",
        "quantity": format_nanos(order.quantity_nanos),
        "order_type": pb.OrderType.Name(order.order_type).removeprefix("ORDER_TYPE_"),
        "price": text_or_none(order.price_nanos if order.HasField("price_nanos") else None),
        "stop_price": text_or_none(order.stop_price_nanos if order.HasField("stop_price_nanos") else None),
        "time_in_force": pb.TimeInForce.Name(order.time_in_force).removeprefix("TIME_IN_FORCE_"),
        "status": status_name(order.status),
        "filled_quantity": format_nanos(order.filled_quantity_nanos),
        "avg_price": price_or_none(order.avg_price_nanos),
        "denial": _denial_view(order),
        "reason": order.reason or None,
        "version": order.version,
        "created_time_ns": str(order.created_time_ns),
        "timestamp_ns": str(order.updated_time_ns),
        "client_timestamp_ns": str(order.client_timestamp_ns) if order.HasField("client_timestamp_ns") else None,
        "total_latency_ns": str(order.total_latency_ns),
        "validation_time_ns": str(order.validation_time_ns),
        "execution_time_ns": str(order.execution_time_ns),
    }


def event_view(event: pb.OrderEvent) -> OrderEvent:
    """An event as JSON."""
    return {
        "event_id": event.event_id,
        "kind": pb.OrderEventKind.Name(event.kind).removeprefix("ORDER_EVENT_KIND_"),
        "version": event.version,
        "log_sequence": str(event.log_sequence),
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "event_time_ns": str(event.event_time_ns),
        "receive_time_ns": str(event.receive_time_ns),
        "order": order_view(event.order),
        "fill": _fill_view(event.fill) if event.HasField("fill") else None,
        "reason": event.reason or None,
        "reconciliation": event.reconciliation,
        "hash": event.hash,
        "previous_hash": event.previous_hash or None,
    }


def _denial_view(order: pb.Order) -> Denial | None:
    if not order.HasField("denial"):
        return None
    return {"code": order.denial.code, "message": order.denial.message, "limits": dict(order.denial.limits)}


def _fill_view(fill: pb.Fill) -> Fill:
    return {
        "execution_id": fill.execution_id,
        "price": format_nanos(fill.price_nanos),
        "quantity": format_nanos(fill.quantity_nanos),
        "fee": format_nanos(fill.fee_nanos),
        "currency": fill.currency,
        "event_time_ns": str(fill.event_time_ns),
    }
