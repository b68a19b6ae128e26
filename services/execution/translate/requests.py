"""What callers ask for: orders, changes, waits, queries."""

from typing import Any

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc_pb
from services.execution.domain.change import Change
from services.execution.domain.request import OrderRequest
from services.execution.domain.submission import Patience, Wait
from services.execution.ports.controls import AuditQuery
from services.execution.translate.words import STATUS_VALUES, optional, word
from trading.errors import InvalidArgument
from trading.ids import AccountId
from trading.order import OrderStatus, OrderType, Side, TimeInForce

DEFAULT_WAIT_MS = 2_000
LONGEST_WAIT_MS = 10_000
USUAL_AUDIT_ENTRIES, MOST_AUDIT_ENTRIES = 100, 1_000
_SIDES = {pb.SIDE_BUY: Side.BUY, pb.SIDE_SELL: Side.SELL}
_TYPES = {
    pb.ORDER_TYPE_MARKET: OrderType.MARKET,
    pb.ORDER_TYPE_LIMIT: OrderType.LIMIT,
    pb.ORDER_TYPE_STOP: OrderType.STOP,
    pb.ORDER_TYPE_STOP_LIMIT: OrderType.STOP_LIMIT,
    pb.ORDER_TYPE_TRAILING_STOP: OrderType.TRAILING_STOP,
}
_TIMES_IN_FORCE = {
    pb.TIME_IN_FORCE_UNSPECIFIED: TimeInForce.DAY,
    pb.TIME_IN_FORCE_DAY: TimeInForce.DAY,
    pb.TIME_IN_FORCE_GTC: TimeInForce.GTC,
    pb.TIME_IN_FORCE_IOC: TimeInForce.IOC,
    pb.TIME_IN_FORCE_FOK: TimeInForce.FOK,
    pb.TIME_IN_FORCE_GTD: TimeInForce.GTD,
}
_WAITS = {
    pb.WAIT_UNSPECIFIED: None,
    pb.WAIT_NONE: Wait.NONE,
    pb.WAIT_ACCEPTED: Wait.ACCEPTED,
    pb.WAIT_TERMINAL: Wait.TERMINAL,
}
_STATUS_NAMES = {value: status for status, value in STATUS_VALUES.items()}


def order_request(message: rpc_pb.SubmitOrderRequest) -> OrderRequest:
    """A submit in words of the trade; raises InvalidArgument for an enum value that means nothing."""
    return OrderRequest(
        symbol=message.symbol,
        side=word(_SIDES, message.side, "side"),
        order_type=word(_TYPES, message.order_type, "order_type"),
        quantity_nanos=message.quantity_nanos,
        price_nanos=optional(message, "price_nanos"),
        stop_price_nanos=optional(message, "stop_price_nanos"),
        time_in_force=word(_TIMES_IN_FORCE, message.time_in_force, "time_in_force"),
        account=AccountId(message.account),
        client_order_id=message.client_order_id,
        client_timestamp_ns=optional(message, "client_timestamp_ns"),
        expire_time_ns=optional(message, "expire_time_ns"),
        trail_nanos=optional(message, "trail_nanos"),
        trail_bps=optional(message, "trail_bps"),
        reduce_only=message.reduce_only,
        post_only=message.post_only,
        take_profit_nanos=optional(message, "take_profit_nanos"),
        stop_loss_nanos=optional(message, "stop_loss_nanos"),
    )


def patience(message: rpc_pb.SubmitOrderRequest) -> Patience:
    """What the caller waits for; raises InvalidArgument for a wait out of range."""
    if not 0 <= message.wait_ms <= LONGEST_WAIT_MS:
        raise InvalidArgument(f"Expected a wait of 0..{LONGEST_WAIT_MS} ms.", field="wait_ms", value=message.wait_ms)
    if message.wait not in _WAITS:
        raise InvalidArgument("Expected NONE, ACCEPTED or TERMINAL.", field="wait", value=message.wait)
    return Patience(_WAITS[message.wait], (message.wait_ms or DEFAULT_WAIT_MS) / 1e3)


def change(message: rpc_pb.ModifyOrderRequest) -> Change:
    """What a modify shall change."""
    return Change(
        optional(message, "quantity_nanos"), optional(message, "price_nanos"), optional(message, "stop_price_nanos")
    )


def audit_query(message: rpc_pb.ListAuditRequest) -> AuditQuery:
    """Which changes to list, one more than a page holds; raises InvalidArgument."""
    if not 0 <= message.page_size <= MOST_AUDIT_ENTRIES:
        raise InvalidArgument(
            f"Expected a page size of 0..{MOST_AUDIT_ENTRIES}.", field="page_size", value=message.page_size
        )
    if message.before_id < 0:
        raise InvalidArgument("Expected an id of the trail.", field="before_id", value=message.before_id)
    limit = (message.page_size or USUAL_AUDIT_ENTRIES) + 1
    return AuditQuery(limit, message.account or None, message.subject or None, message.before_id or None)


def statuses(values: Any) -> frozenset[OrderStatus]:
    """The states that a query asks for; raises InvalidArgument."""
    return frozenset(word(_STATUS_NAMES, value, "statuses") for value in values)
