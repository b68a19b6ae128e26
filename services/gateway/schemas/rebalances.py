"""Shapes of rebalances and their schedules."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio_rpc
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as rpc
from services.gateway.schemas.portfolio import NotNegative, OptimizeRequest
from services.gateway.schemas.scalars import Amount, DecimalText, Finite, NameText, Nanoseconds, Request
from trading.money import format_nanos

MOST_TARGETS = 5000
EVERY_LEAST_S, EVERY_MOST_S = 10, 366 * 86_400
_NS_PER_S = 1_000_000_000
Targets = Annotated[
    dict[str, Finite],
    Field(max_length=MOST_TARGETS, description="Weight of equity by symbol; what is held and missing here is sold."),
]
DriftBand = Annotated[
    Finite, Field(ge=0, le=1, description="Drift |weight − target| up to which a position is left alone.")
]
StateName = Literal["proposed", "executing", "done", "failed", "canceled"]


class Wish(Request):
    """What weights become orders by."""

    targets: Targets | None = None
    optimize: OptimizeRequest | None = Field(None, description="Finds the targets, when none are given.")
    drift_band: DriftBand = 0
    min_trade_value: Amount | None = Field(None, description="Value below which no order is made.")
    turnover_limit: NotNegative | None = Field(None, description="Largest Σ|w − w₀|; trades are scaled down to it.")
    keep_others: bool = Field(False, description="Leave what is held and has no target alone.")

    def rules(self, account: str) -> rpc.RebalanceRules:
        """The rules as the fleet's message."""
        return rpc.RebalanceRules(
            account=account,
            targets=self.targets or {},
            drift_band=self.drift_band,
            min_trade_value_nanos=self.min_trade_value or 0,
            turnover_limit=self.turnover_limit,
            keep_others=self.keep_others,
        )

    def optimization(self) -> portfolio_rpc.OptimizeRequest | None:
        """The optimisation as the fleet's message, its window to be read by the fleet; raises InvalidArgument."""
        return None if self.optimize is None else self.optimize.message()


class RebalanceRequest(Wish):
    """Asks for a proposal of orders."""

    account: NameText = "main"

    def message(self) -> rpc.ProposeRebalanceRequest:
        """The wish as the fleet's message; raises InvalidArgument for an optimisation of wrong shape."""
        return rpc.ProposeRebalanceRequest(rules=self.rules(self.account), optimize=self.optimization())


class ScheduleRequest(Wish):
    """When and by what an account is rebalanced by itself."""

    every_seconds: Annotated[int, Field(ge=EVERY_LEAST_S, le=EVERY_MOST_S)]
    execute: bool = Field(False, description="Execute the proposals; otherwise they wait for somebody.")
    enabled: bool = False

    def message(self, account: str) -> rpc.PutScheduleRequest:
        """The schedule as the fleet's message; raises InvalidArgument for an optimisation of wrong shape."""
        schedule = rpc.Schedule(
            rules=self.rules(account),
            optimize=self.optimization(),
            every_ns=self.every_seconds * _NS_PER_S,
            execute=self.execute,
            enabled=self.enabled,
        )
        return rpc.PutScheduleRequest(schedule=schedule)


class RebalanceOrder(TypedDict):
    """One order of a rebalance and what became of it."""

    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: DecimalText
    client_order_id: str
    order_id: str | None
    status: Annotated[str | None, Field(description="In the words of orders; null before it was sent.")]
    filled_quantity: DecimalText
    price: DecimalText
    weight_before: float
    weight_target: float
    problem: Annotated[str | None, Field(description="Why it was denied or rejected.")]


class RebalanceRules(TypedDict):
    """What the orders were made by."""

    targets: dict[str, float]
    drift_band: float
    min_trade_value: DecimalText
    turnover_limit: float | None
    keep_others: bool


class Rebalance(TypedDict):
    """A proposal and how far its execution is."""

    id: str
    account: str
    state: StateName
    orders: Annotated[list[RebalanceOrder], Field(description="Sells first, then buys; by symbol.")]
    left_alone: Annotated[dict[str, str], Field(description="Symbols that are not traded, with the reason.")]
    rules: RebalanceRules
    equity: DecimalText
    turnover: float
    error: str | None
    scheduled: bool
    created_time_ns: Nanoseconds
    updated_time_ns: Nanoseconds


class RebalancePage(TypedDict):
    """Rebalances, newest first."""

    rebalances: list[Rebalance]
    next_cursor: str | None


class ScheduledProblem(TypedDict):
    """The optimisation of a schedule, in short."""

    symbols: list[str]
    objective: str
    window_days: int | None


class Schedule(TypedDict):
    """The schedule of an account."""

    account: str
    rules: RebalanceRules
    optimize: ScheduledProblem | None
    every_seconds: int
    execute: bool
    enabled: bool
    last_run_ns: str | None
    last_rebalance_id: Annotated[str | None, Field(description="Null when nothing was to be done.")]
    last_error: str | None


class ScheduleList(TypedDict):
    """Schedules, by account."""

    schedules: list[Schedule]


_STATES: dict[int, StateName] = {
    rpc.REBALANCE_STATE_PROPOSED: "proposed",
    rpc.REBALANCE_STATE_EXECUTING: "executing",
    rpc.REBALANCE_STATE_DONE: "done",
    rpc.REBALANCE_STATE_FAILED: "failed",
    rpc.REBALANCE_STATE_CANCELED: "canceled",
}


def rebalance_view(rebalance: rpc.Rebalance) -> Rebalance:
    """A rebalance as JSON."""
    return {
        "id": rebalance.id,
        "account": rebalance.account,
        "state": _STATES[rebalance.state],
        "orders": [_order_view(order) for order in rebalance.orders],
        "left_alone": dict(rebalance.left_alone),
        "rules": _rules_view(rebalance.rules),
        "equity": format_nanos(rebalance.equity_nanos),
        "turnover": rebalance.turnover,
        "error": rebalance.error or None,
        "scheduled": rebalance.scheduled,
        "created_time_ns": str(rebalance.created_time_ns),
        "updated_time_ns": str(rebalance.updated_time_ns),
    }


def _order_view(order: rpc.RebalanceOrder) -> RebalanceOrder:
    return {
        "symbol": order.symbol,
        "side": "SELL" if order.quantity_nanos < 0 else "BUY",
        "quantity": format_nanos(abs(order.quantity_nanos)),
        "client_order_id": order.client_order_id,
        "order_id": order.order_id or None,
        "status": order.status or None,
        "filled_quantity": format_nanos(order.filled_nanos),
        "price": format_nanos(order.price_nanos),
        "weight_before": order.weight_before,
        "weight_target": order.weight_target,
        "problem": order.problem or None,
    }


def _rules_view(rules: rpc.RebalanceRules) -> RebalanceRules:
    return {
        "targets": dict(rules.targets),
        "drift_band": rules.drift_band,
        "min_trade_value": format_nanos(rules.min_trade_value_nanos),
        "turnover_limit": rules.turnover_limit if rules.HasField("turnover_limit") else None,
        "keep_others": rules.keep_others,
    }


def schedule_view(schedule: rpc.Schedule) -> Schedule:
    """A schedule as JSON."""
    return {
        "account": schedule.rules.account,
        "rules": _rules_view(schedule.rules),
        "optimize": _problem_view(schedule.optimize) if schedule.HasField("optimize") else None,
        "every_seconds": schedule.every_ns // _NS_PER_S,
        "execute": schedule.execute,
        "enabled": schedule.enabled,
        "last_run_ns": str(schedule.last_run_ns) if schedule.last_run_ns else None,
        "last_rebalance_id": schedule.last_rebalance_id or None,
        "last_error": schedule.last_error or None,
    }


def _problem_view(problem: portfolio_rpc.OptimizeRequest) -> ScheduledProblem:
    return {
        "symbols": list(problem.symbols),
        "objective": portfolio_rpc.Objective.Name(problem.objective).removeprefix("OBJECTIVE_").lower(),
        "window_days": problem.window.days if problem.HasField("window") else None,
    }
