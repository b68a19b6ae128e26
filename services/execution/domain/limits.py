"""What an account may do, and how its signals are traded."""

from dataclasses import dataclass

from trading.errors import InvalidArgument
from trading.ids import AccountId
from trading.money import format_nanos


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """The limits of one account; amounts in nanos, None means no limit."""

    account: AccountId
    max_order_notional_nanos: int | None = None
    max_position_nanos: int | None = None
    max_gross_exposure_nanos: int | None = None
    max_net_exposure_nanos: int | None = None
    price_collar: float | None = None
    max_quote_age_ns: int | None = None
    max_open_orders: int | None = None
    max_submits_per_second: int | None = None
    max_daily_loss_nanos: int | None = None
    min_order_notional_nanos: int | None = None
    max_modifies_per_second: int | None = None
    duplicate_window_ns: int | None = None
    refuse_self_trades: bool | None = None
    updated_time_ns: int = 0


_NANOS = "_nanos"
_COUNTED = (
    "max_order_notional_nanos",
    "max_position_nanos",
    "max_gross_exposure_nanos",
    "max_net_exposure_nanos",
    "max_quote_age_ns",
    "max_open_orders",
    "max_submits_per_second",
    "max_daily_loss_nanos",
    "min_order_notional_nanos",
    "max_modifies_per_second",
    "duplicate_window_ns",
)


def check_limits(limits: RiskLimits) -> RiskLimits:
    """The limits as given; raises InvalidArgument for one that can be no limit."""
    for name in _COUNTED:
        value = getattr(limits, name)
        if value is not None and value < 0:
            shown = format_nanos(value) if name.endswith(_NANOS) else value
            raise InvalidArgument("Expected a limit of 0 or more.", field=name.removesuffix(_NANOS), value=shown)
    if limits.price_collar is not None and not 0 <= limits.price_collar <= 1:
        raise InvalidArgument("Expected a fraction of 0..1.", field="price_collar", value=limits.price_collar)
    return limits


@dataclass(frozen=True, slots=True)
class SignalTrading:
    """Whether and how signals become orders; `notional_nanos` is the value of a full-strength position.

    An empty `models` means all of them; signals below `min_confidence` are ignored.
    """

    enabled: bool
    notional_nanos: int
    min_confidence: float
    account: AccountId
    models: tuple[str, ...] = ()


def check_signal_trading(switch: SignalTrading) -> SignalTrading:
    """The switch as given; raises InvalidArgument for values that can never be right."""
    if switch.notional_nanos <= 0:
        shown = format_nanos(switch.notional_nanos)
        raise InvalidArgument("Expected a notional above 0.", field="notional", value=shown)
    if not 0 <= switch.min_confidence <= 1:
        raise InvalidArgument("Expected a confidence of 0..1.", field="min_confidence", value=switch.min_confidence)
    return switch
