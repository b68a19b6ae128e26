"""Rebalances, their rules and schedules from the wire and to it."""

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as pb
from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance, Rules, State
from services.portfolio.domain.rebalance_schedule import Schedule
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

PAGE, PAGE_MOST = 50, 500
_STATES = {
    State.PROPOSED: pb.REBALANCE_STATE_PROPOSED,
    State.EXECUTING: pb.REBALANCE_STATE_EXECUTING,
    State.DONE: pb.REBALANCE_STATE_DONE,
    State.FAILED: pb.REBALANCE_STATE_FAILED,
    State.CANCELED: pb.REBALANCE_STATE_CANCELED,
}


def rules_of(message: pb.RebalanceRules) -> Rules:
    """Rules from the wire."""
    return Rules(
        account=message.account,
        targets=dict(message.targets),
        drift_band=message.drift_band,
        min_trade_value_nanos=message.min_trade_value_nanos,
        turnover_limit=message.turnover_limit if message.HasField("turnover_limit") else None,
        keep_others=message.keep_others,
    )


def rules_message(rules: Rules) -> pb.RebalanceRules:
    """Rules on the wire."""
    return pb.RebalanceRules(
        account=rules.account,
        targets=rules.targets,
        drift_band=rules.drift_band,
        min_trade_value_nanos=rules.min_trade_value_nanos,
        turnover_limit=rules.turnover_limit,
        keep_others=rules.keep_others,
    )


def optimize_of(message: pb.ProposeRebalanceRequest | pb.Schedule) -> bytes:
    """The optimisation that finds the targets, as it came; empty for none."""
    return message.optimize.SerializeToString() if message.HasField("optimize") else b""


def order_message(order: Order) -> pb.RebalanceOrder:
    """An order on the wire."""
    return pb.RebalanceOrder(
        symbol=order.symbol,
        quantity_nanos=order.quantity_nanos,
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        status=order.status,
        filled_nanos=order.filled_nanos,
        problem=order.problem,
        price_nanos=order.price_nanos,
        weight_before=order.weight_before,
        weight_target=order.weight_target,
    )


def rebalance_message(rebalance: Rebalance) -> pb.Rebalance:
    """A rebalance on the wire; an equity beyond int64 is told as the largest that fits."""
    return pb.Rebalance(
        id=rebalance.id,
        account=rebalance.account,
        state=_STATES[rebalance.state],
        orders=map(order_message, rebalance.orders),
        created_time_ns=rebalance.created_time_ns,
        rules=rules_message(rebalance.rules),
        left_alone=rebalance.left_alone,
        equity_nanos=min(rebalance.equity_nanos, MAX_NANOS),
        turnover=rebalance.turnover,
        error=rebalance.error,
        updated_time_ns=rebalance.updated_time_ns,
        scheduled=rebalance.scheduled,
    )


def page_limit_of(request: pb.ListRebalancesRequest) -> int:
    """How many are asked for; raises InvalidArgument out of bounds."""
    limit = request.limit or PAGE
    if not 1 <= limit <= PAGE_MOST:
        raise InvalidArgument(f"Expected 1-{PAGE_MOST}.", field="limit", was=limit)
    return limit


def schedule_of(message: pb.Schedule) -> Schedule:
    """A schedule from the wire; what it says of its last run is not read."""
    return Schedule(
        rules=rules_of(message.rules),
        every_ns=message.every_ns,
        optimize=optimize_of(message),
        execute=message.execute,
        enabled=message.enabled,
    )


def schedule_message(schedule: Schedule) -> pb.Schedule:
    """A schedule on the wire."""
    return pb.Schedule(
        rules=rules_message(schedule.rules),
        optimize=calls.OptimizeRequest.FromString(schedule.optimize) if schedule.optimize else None,
        every_ns=schedule.every_ns,
        execute=schedule.execute,
        enabled=schedule.enabled,
        last_run_ns=schedule.last_run_ns,
        last_rebalance_id=schedule.last_rebalance_id,
        last_error=schedule.last_error,
    )


def report_of(order: execution_pb2.Order) -> OrderReport:
    """Execution's word on an order."""
    status = execution_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_")
    denial = f"{order.denial.code}: {order.denial.message}" if order.HasField("denial") else ""
    return OrderReport(order.order_id, status, order.filled_quantity_nanos, denial or order.reason)
