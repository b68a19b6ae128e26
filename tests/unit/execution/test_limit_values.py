"""Which limits and switches can be right, and how a wrong one is named."""

import pytest

from services.execution.domain.limits import RiskLimits, SignalTrading, check_limits, check_signal_trading
from trading.errors import InvalidArgument
from trading.ids import AccountId
from trading.money import ONE

MAIN = AccountId("main")


@pytest.mark.parametrize(
    ("wrong", "field", "value"),
    [
        ({"max_position_nanos": -5 * ONE}, "max_position", "-5"),
        ({"max_daily_loss_nanos": -1}, "max_daily_loss", "-0.000000001"),
        ({"max_open_orders": -1}, "max_open_orders", -1),
        ({"duplicate_window_ns": -7}, "duplicate_window_ns", -7),
        ({"price_collar": 1.5}, "price_collar", 1.5),
    ],
)
def test_a_wrong_limit_is_named_as_callers_name_it(wrong: dict[str, int], field: str, value: object) -> None:
    """An amount is a decimal to them; nanos are the fleet's own."""
    with pytest.raises(InvalidArgument) as refusal:
        check_limits(RiskLimits(MAIN, **wrong))  # type: ignore[arg-type]
    assert (refusal.value.metadata["field"], refusal.value.metadata["value"]) == (field, value)


def test_none_and_zero_are_limits() -> None:
    """No limit, and nothing allowed."""
    none, zero = RiskLimits(MAIN), RiskLimits(MAIN, max_position_nanos=0, max_open_orders=0, price_collar=0.0)
    assert (check_limits(none), check_limits(zero)) == (none, zero)


def test_signals_need_a_notional() -> None:
    """Told as a decimal."""
    with pytest.raises(InvalidArgument) as refusal:
        check_signal_trading(SignalTrading(True, -ONE // 2, 0.5, MAIN))
    assert (refusal.value.metadata["field"], refusal.value.metadata["value"]) == ("notional", "-0.5")
