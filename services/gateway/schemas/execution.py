"""Shapes of the kill switch, the limits, signal trading and execution's statistics."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.common.v1 import common_pb2
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.schemas.scalars import (
    Amount,
    DecimalText,
    Finite,
    NameText,
    Nanoseconds,
    NanosecondsIn,
    Request,
    text_or_none,
)
from trading.money import format_nanos

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Account = Annotated[str, Field(max_length=64, description="All accounts when empty.")]
Reason = Annotated[str, Field(max_length=256)]
_AMOUNTS = (
    "max_order_notional",
    "max_position",
    "max_gross_exposure",
    "max_net_exposure",
    "max_daily_loss",
    "min_order_notional",
)


class HaltRequest(Request):
    """Turns the kill switch on."""

    mode: Literal["HALTED", "REDUCING"] = "HALTED"
    reason: Reason = ""
    cancel_open: bool = Field(default=False, description="Cancel every working order too.")
    flatten: bool = Field(default=False, description="Close every position too; working orders are canceled first.")
    account: Account = ""


class ResumeRequest(Request):
    """Turns the kill switch off."""

    mode: Literal["ACTIVE", "REDUCING"] = "ACTIVE"
    reason: Reason = ""
    account: Account = ""


class TradingSwitch(TypedDict):
    """The kill switch after the call."""

    trading_state: str
    cancels_requested: int
    closing_orders: Annotated[int, Field(description="Orders that close positions.")]


class RiskLimits(TypedDict):
    """What an account may do; null is no limit."""

    account: str
    max_order_notional: str | None
    max_position: str | None
    max_gross_exposure: str | None
    max_net_exposure: str | None
    price_collar: Annotated[float | None, Field(description="A fraction.")]
    max_quote_age_ns: Nanoseconds | None
    max_open_orders: int | None
    max_submits_per_second: int | None
    max_daily_loss: str | None
    min_order_notional: str | None
    max_modifies_per_second: int | None
    duplicate_window_ns: Nanoseconds | None
    refuse_self_trades: bool | None
    updated_time_ns: Nanoseconds


class RiskLimitsUpdate(Request):
    """All limits of the account; what is null or left out is lifted."""

    account: NameText = "main"
    max_order_notional: Amount | None = None
    max_position: Amount | None = None
    max_gross_exposure: Amount | None = None
    max_net_exposure: Amount | None = None
    price_collar: Annotated[Finite, Field(ge=0)] | None = None
    max_quote_age_ns: NanosecondsIn | None = None
    max_open_orders: Count | None = None
    max_submits_per_second: Count | None = None
    max_daily_loss: Amount | None = None
    min_order_notional: Amount | None = None
    max_modifies_per_second: Count | None = None
    duplicate_window_ns: NanosecondsIn | None = None
    refuse_self_trades: bool | None = None
    updated_time_ns: NanosecondsIn | None = Field(
        None, description="Of the limits that were read: 409 when they have changed since. Null replaces any."
    )

    def message(self) -> pb.RiskLimits:
        """The limits as the fleet's message."""
        return pb.RiskLimits(
            account=self.account,
            updated_time_ns=self.updated_time_ns or 0,
            price_collar=self.price_collar,
            max_quote_age_ns=self.max_quote_age_ns,
            max_open_orders=self.max_open_orders,
            max_submits_per_second=self.max_submits_per_second,
            max_modifies_per_second=self.max_modifies_per_second,
            duplicate_window_ns=self.duplicate_window_ns,
            refuse_self_trades=self.refuse_self_trades,
            **{f"{name}_nanos": getattr(self, name) for name in _AMOUNTS},
        )


class SignalTrading(TypedDict):
    """Whether and how signals are traded."""

    enabled: bool
    models: list[str]
    notional: DecimalText
    min_confidence: float
    account: str


class SignalTradingUpdate(Request):
    """What is null or left out stays as it is."""

    enabled: bool
    models: list[NameText] | None = Field(None, max_length=256, description="Empty means all.")
    notional: Amount | None = Field(None, description="Value of a full-strength position.")
    min_confidence: Annotated[Finite, Field(ge=0, le=1)] | None = None
    account: NameText | None = None

    def message(self, current: pb.SignalTrading) -> pb.SignalTrading:
        """The switch as the fleet's message, `current` where nothing is said."""
        return pb.SignalTrading(
            enabled=self.enabled,
            models=current.models if self.models is None else self.models,
            notional_nanos=current.notional_nanos if self.notional is None else self.notional,
            min_confidence=current.min_confidence if self.min_confidence is None else self.min_confidence,
            account=self.account or current.account,
        )


class Latency(TypedDict):
    """Percentiles of a duration."""

    p50_ns: Nanoseconds
    p99_ns: Nanoseconds
    mean_ns: Nanoseconds
    count: int


class ExecutionStats(TypedDict):
    """Counters and latencies since execution's start."""

    orders_processed: int
    orders_by_status: dict[str, int]
    fills: int
    signals: int
    submit_latency: Latency
    validation_latency: Latency
    venue_latency: Annotated[Latency, Field(description="From handing an order to the venue to its first answer.")]
    tick_to_order_reply: Latency
    buffer_utilization: float
    uptime_s: float
    outbox_depth: int


def state_name(state: pb.TradingState.ValueType) -> str:
    """The kill switch by its name."""
    return pb.TradingState.Name(state).removeprefix("TRADING_STATE_")


def switch_view(answer: rpc.SetTradingStateResponse) -> TradingSwitch:
    """The kill switch as JSON."""
    return {
        "trading_state": state_name(answer.state),
        "cancels_requested": answer.cancels_requested,
        "closing_orders": answer.closing_orders,
    }


def limits_view(limits: pb.RiskLimits) -> RiskLimits:
    """Limits as JSON."""
    present = {field.name: value for field, value in limits.ListFields() if field.has_presence}
    return {
        "account": limits.account,
        "max_order_notional": text_or_none(present.get("max_order_notional_nanos")),
        "max_position": text_or_none(present.get("max_position_nanos")),
        "max_gross_exposure": text_or_none(present.get("max_gross_exposure_nanos")),
        "max_net_exposure": text_or_none(present.get("max_net_exposure_nanos")),
        "price_collar": present.get("price_collar"),
        "max_quote_age_ns": str(limits.max_quote_age_ns) if "max_quote_age_ns" in present else None,
        "max_open_orders": present.get("max_open_orders"),
        "max_submits_per_second": present.get("max_submits_per_second"),
        "max_daily_loss": text_or_none(present.get("max_daily_loss_nanos")),
        "min_order_notional": text_or_none(present.get("min_order_notional_nanos")),
        "max_modifies_per_second": present.get("max_modifies_per_second"),
        "duplicate_window_ns": str(limits.duplicate_window_ns) if "duplicate_window_ns" in present else None,
        "refuse_self_trades": present.get("refuse_self_trades"),
        "updated_time_ns": str(limits.updated_time_ns),
    }


def signal_trading_view(switch: pb.SignalTrading) -> SignalTrading:
    """Signal trading as JSON."""
    return {
        "enabled": switch.enabled,
        "models": list(switch.models),
        "notional": format_nanos(switch.notional_nanos),
        "min_confidence": switch.min_confidence,
        "account": switch.account,
    }


def stats_view(stats: rpc.GetStatsResponse) -> ExecutionStats:
    """Execution's counters as JSON."""
    return {
        "orders_processed": stats.orders_processed,
        "orders_by_status": dict(stats.orders_by_status),
        "fills": stats.fills,
        "signals": stats.signals,
        "submit_latency": _latency_view(stats.submit_latency),
        "validation_latency": _latency_view(stats.validation_latency),
        "venue_latency": _latency_view(stats.venue_latency),
        "tick_to_order_reply": _latency_view(stats.tick_to_order_reply),
        "buffer_utilization": stats.buffer_utilization,
        "uptime_s": stats.uptime_s,
        "outbox_depth": stats.outbox_depth,
    }


def _latency_view(latency: common_pb2.Latency) -> Latency:
    return {
        "p50_ns": str(latency.p50_ns),
        "p99_ns": str(latency.p99_ns),
        "mean_ns": str(latency.mean_ns),
        "count": latency.count,
    }
