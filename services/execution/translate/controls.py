"""Limits, switches and accounts, both ways."""

from typing import Any

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc_pb
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.ports.controls import AccountRecord
from services.execution.translate.words import optional, value, word
from trading.ids import AccountId
from trading.order import TradingState

_STATES = {
    pb.TRADING_STATE_ACTIVE: TradingState.ACTIVE,
    pb.TRADING_STATE_REDUCING: TradingState.REDUCING,
    pb.TRADING_STATE_HALTED: TradingState.HALTED,
}
_OPTIONAL_LIMITS = (
    "max_order_notional_nanos",
    "max_position_nanos",
    "max_gross_exposure_nanos",
    "max_net_exposure_nanos",
    "price_collar",
    "max_quote_age_ns",
    "max_open_orders",
    "max_submits_per_second",
    "max_daily_loss_nanos",
    "min_order_notional_nanos",
    "max_modifies_per_second",
    "duplicate_window_ns",
    "refuse_self_trades",
)


def trading_state(value: int) -> TradingState:
    """The kill switch's position; raises InvalidArgument."""
    return word(_STATES, value, "state")


def trading_state_value(state: TradingState) -> Any:
    """The kill switch on the wire."""
    return value(pb.TradingState, "TRADING_STATE", state)


def limits(message: pb.RiskLimits) -> RiskLimits:
    """Limits in words of the trade."""
    given = {name: optional(message, name) for name in _OPTIONAL_LIMITS}
    return RiskLimits(AccountId(message.account), updated_time_ns=message.updated_time_ns, **given)


def limits_message(found: RiskLimits) -> pb.RiskLimits:
    """Limits on the wire."""
    given = {name: getattr(found, name) for name in _OPTIONAL_LIMITS}
    return pb.RiskLimits(account=found.account, updated_time_ns=found.updated_time_ns, **given)


def signal_trading(message: pb.SignalTrading) -> SignalTrading:
    """The signal switch in words of the trade."""
    return SignalTrading(
        enabled=message.enabled,
        notional_nanos=message.notional_nanos,
        min_confidence=message.min_confidence,
        account=AccountId(message.account or "main"),
        models=tuple(message.models),
    )


def signal_trading_message(switch: SignalTrading) -> pb.SignalTrading:
    """The signal switch on the wire."""
    return pb.SignalTrading(
        enabled=switch.enabled,
        models=switch.models,
        notional_nanos=switch.notional_nanos,
        min_confidence=switch.min_confidence,
        account=switch.account,
    )


def account(record: AccountRecord, buying_power_nanos: int) -> rpc_pb.Account:
    """An account on the wire."""
    return rpc_pb.Account(
        id=record.id,
        venue=record.venue,
        currency=record.currency,
        trading_state=trading_state_value(record.trading_state),
        opening_cash_nanos=record.opening_cash_nanos,
        buying_power_nanos=buying_power_nanos,
    )
