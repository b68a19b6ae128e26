"""Shapes of orders, their events and fills, as they are shown."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.execution.v1 import execution_pb2 as pb
from services.gateway.schemas.scalars import (
    DecimalText,
    Nanoseconds,
    percent_or_none,
    price_or_none,
    text_or_none,
)
from trading.money import format_nanos

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


_ROLES: dict[int, Literal["TAKE_PROFIT", "STOP_LOSS"]] = {
    pb.ORDER_ROLE_TAKE_PROFIT: "TAKE_PROFIT",
    pb.ORDER_ROLE_STOP_LOSS: "STOP_LOSS",
}
_LIQUIDITIES: dict[int, Literal["MAKER", "TAKER"]] = {pb.LIQUIDITY_MAKER: "MAKER", pb.LIQUIDITY_TAKER: "TAKER"}


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
    reduce_only: bool
    post_only: bool
    expire_time_ns: Nanoseconds | None
    trail_price: str | None
    trail_percent: str | None
    parent_order_id: Annotated[str | None, Field(description="Order whose position it closes.")]
    role: Annotated[Literal["TAKE_PROFIT", "STOP_LOSS"] | None, Field(description="What it does for its parent.")]
    external: Annotated[bool, Field(description="Another program sent it to the venue; it was adopted.")]
    arrival_price: Annotated[str | None, Field(description="Middle of the market when it arrived.")]
    slippage: Annotated[str | None, Field(description="How much worse than that it traded, per unit.")]
    fee: Annotated[DecimalText, Field(description="Fees of its trades; positive is a cost.")]
    replacements: Annotated[int, Field(description="How often the venue has replaced it.")]
    take_profit: Annotated[
        str | None, Field(description="Of a bracket: the price at which a held order takes its profit.")
    ]
    stop_loss: Annotated[str | None, Field(description="Of a bracket: the price at which a held order stops its loss.")]


class OrderPage(TypedDict):
    """Orders, newest first."""

    orders: list[Order]
    next_cursor: str | None


class CancelsRequested(TypedDict):
    """How many cancels are under way."""

    cancels_requested: Annotated[int, Field(description="Orders whose cancel was asked for.")]


class Fill(TypedDict):
    """One trade of an order."""

    execution_id: str
    price: DecimalText
    quantity: DecimalText
    fee: DecimalText
    currency: str
    event_time_ns: Nanoseconds
    mid: Annotated[str | None, Field(description="Middle of the market when we learnt of the trade.")]
    liquidity: Annotated[Literal["MAKER", "TAKER"] | None, Field(description="Null when the venue does not say.")]


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
        "price": text_or_none(_present(order, "price_nanos")),
        "stop_price": text_or_none(_present(order, "stop_price_nanos")),
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
        "reduce_only": order.reduce_only,
        "post_only": order.post_only,
        "expire_time_ns": str(order.expire_time_ns) if order.HasField("expire_time_ns") else None,
        "trail_price": text_or_none(_present(order, "trail_nanos")),
        "trail_percent": percent_or_none(_present(order, "trail_bps")),
        "parent_order_id": order.parent_order_id or None,
        "role": _ROLES.get(order.role),
        "external": order.external,
        "arrival_price": text_or_none(_present(order, "arrival_price_nanos")),
        "slippage": text_or_none(_present(order, "slippage_nanos")),
        "fee": format_nanos(order.fee_nanos),
        "replacements": order.replacements,
        "take_profit": text_or_none(_present(order, "take_profit_nanos")),
        "stop_loss": text_or_none(_present(order, "stop_loss_nanos")),
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
        "fill": fill_view(event.fill) if event.HasField("fill") else None,
        "reason": event.reason or None,
        "reconciliation": event.reconciliation,
        "hash": event.hash,
        "previous_hash": event.previous_hash or None,
    }


def fill_view(fill: pb.Fill) -> Fill:
    """A trade of an order as JSON."""
    return {
        "execution_id": fill.execution_id,
        "price": format_nanos(fill.price_nanos),
        "quantity": format_nanos(fill.quantity_nanos),
        "fee": format_nanos(fill.fee_nanos),
        "currency": fill.currency,
        "event_time_ns": str(fill.event_time_ns),
        "mid": text_or_none(_present(fill, "mid_nanos")),
        "liquidity": _LIQUIDITIES.get(fill.liquidity),
    }


def _denial_view(order: pb.Order) -> Denial | None:
    if not order.HasField("denial"):
        return None
    return {"code": order.denial.code, "message": order.denial.message, "limits": dict(order.denial.limits)}


def _present(message: pb.Order | pb.Fill, field: str) -> int | None:
    return getattr(message, field) if message.HasField(field) else None  # type: ignore[arg-type]  # a field's name
