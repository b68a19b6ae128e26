"""Orders, fills and answers to commands on the wire."""

from typing import Any

from neuraltrader.common.v1 import common_pb2
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc_pb
from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import Order
from services.execution.domain.submission import Submitted, Timings
from services.execution.ports.log import StoredOrder
from services.execution.translate.words import STATUS_VALUES, value
from trading.errors import TradingError
from trading.order import Liquidity, OrderRole

_ROLE_VALUES = {
    None: pb.ORDER_ROLE_UNSPECIFIED,
    OrderRole.TAKE_PROFIT: pb.ORDER_ROLE_TAKE_PROFIT,
    OrderRole.STOP_LOSS: pb.ORDER_ROLE_STOP_LOSS,
}
_LIQUIDITY_VALUES = {
    None: pb.LIQUIDITY_UNSPECIFIED,
    Liquidity.MAKER: pb.LIQUIDITY_MAKER,
    Liquidity.TAKER: pb.LIQUIDITY_TAKER,
}


def submitted(outcome: Submitted) -> rpc_pb.SubmitOrderResponse:
    """The answer to a submit."""
    return rpc_pb.SubmitOrderResponse(order=order(outcome.order, outcome.timings), duplicate=outcome.duplicate)


def stored_order(stored: StoredOrder) -> pb.Order:
    """An order with its timings."""
    return order(stored.order, stored.timings)


def order(found: Order, timings: Timings | None = None) -> pb.Order:
    """An order as it is now."""
    terms = found.terms
    timings = timings or Timings()
    return pb.Order(
        order_id=terms.order_id,
        client_order_id=terms.client_order_id,
        venue_order_id=found.venue_order_id or "",
        account=terms.account,
        venue=terms.venue,
        symbol=terms.symbol,
        side=value(pb.Side, "SIDE", terms.side),
        order_type=value(pb.OrderType, "ORDER_TYPE", terms.order_type),
        time_in_force=value(pb.TimeInForce, "TIME_IN_FORCE", terms.time_in_force),
        quantity_nanos=terms.quantity_nanos,
        price_nanos=terms.price_nanos,
        stop_price_nanos=terms.stop_price_nanos,
        status=STATUS_VALUES[found.status],
        filled_quantity_nanos=found.filled_nanos,
        avg_price_nanos=found.avg_price_nanos,
        denial=_denial(found),
        reason=found.reason,
        version=found.version,
        created_time_ns=found.created_time_ns,
        updated_time_ns=found.updated_time_ns,
        client_timestamp_ns=terms.client_timestamp_ns,
        total_latency_ns=timings.total_ns,
        validation_time_ns=timings.validation_ns,
        execution_time_ns=timings.execution_ns,
        reduce_only=terms.reduce_only,
        post_only=terms.post_only,
        expire_time_ns=terms.expire_time_ns,
        trail_nanos=terms.trail_nanos,
        trail_bps=terms.trail_bps,
        parent_order_id=terms.parent_order_id or "",
        role=_ROLE_VALUES[terms.role],
        external=terms.external,
        arrival_price_nanos=terms.arrival_price_nanos or None,
        slippage_nanos=found.slippage_nanos,
        fee_nanos=found.fee_nanos,
        replacements=found.replacements,
        take_profit_nanos=terms.take_profit_nanos,
        stop_loss_nanos=terms.stop_loss_nanos,
    )


def fill(found: LoggedFill) -> pb.Fill:
    """A trade out of the log."""
    return pb.Fill(
        event_id=found.event_id,
        order_id=found.order_id,
        execution_id=found.execution.execution_id,
        account=found.account,
        symbol=found.symbol,
        side=value(pb.Side, "SIDE", found.side),
        price_nanos=found.execution.price_nanos,
        quantity_nanos=found.execution.quantity_nanos,
        fee_nanos=found.execution.fee_nanos,
        currency=found.currency,
        event_time_ns=found.event_time_ns,
        log_sequence=found.log_sequence,
        mid_nanos=found.execution.mid_nanos or None,
        liquidity=_LIQUIDITY_VALUES[found.execution.liquidity],
    )


def latency(summary: Any) -> common_pb2.Latency:
    """Percentiles on the wire."""
    return common_pb2.Latency(
        p50_ns=summary.p50_ns, p99_ns=summary.p99_ns, mean_ns=summary.mean_ns, count=summary.count
    )


def stream_error(error: TradingError) -> rpc_pb.StreamError:
    """What went wrong with one command of the stream."""
    facts = {key: str(value) for key, value in error.metadata.items()}
    retry_after_s = error.metadata.get("retry_after_s")
    return rpc_pb.StreamError(
        code=error.kind.value,
        reason=error.reason,
        message=error.message,
        metadata=facts,
        retry_after_ms=None if retry_after_s is None else round(float(str(retry_after_s)) * 1e3),
    )


def _denial(found: Order) -> pb.Denial | None:
    denial = found.denial
    if denial is None:
        return None
    return pb.Denial(code=denial.code, message=denial.message, limits=denial.limits)
