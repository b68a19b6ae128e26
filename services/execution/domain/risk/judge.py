"""All checks in one order: the cheapest and the most telling first."""

from services.execution.domain.order import Denial
from services.execution.domain.risk.conduct import (
    check_duplicate,
    check_modify_rate,
    check_open_orders,
    check_reduce_only,
    check_self_trade,
    check_submit_rate,
    check_trading_state,
)
from services.execution.domain.risk.exposure import (
    check_buying_power,
    check_daily_loss,
    check_gross_exposure,
    check_min_notional,
    check_net_exposure,
    check_order_notional,
    check_position,
    check_short,
)
from services.execution.domain.risk.market_price import check_collar, check_post_only, check_quote
from services.execution.domain.risk.order_form import check_quantity, check_session, check_tick, check_tradable
from services.execution.domain.risk.trial import Check, Intent, Situation

CHECKS: tuple[Check, ...] = (
    check_trading_state,
    check_tradable,
    check_session,
    check_quantity,
    check_tick,
    check_submit_rate,
    check_modify_rate,
    check_open_orders,
    check_duplicate,
    check_quote,
    check_collar,
    check_post_only,
    check_reduce_only,
    check_self_trade,
    check_order_notional,
    check_min_notional,
    check_short,
    check_position,
    check_gross_exposure,
    check_net_exposure,
    check_buying_power,
    check_daily_loss,
)


def judge(intent: Intent, situation: Situation) -> Denial | None:
    """The first objection to an order, or None when it may be sent."""
    for check in CHECKS:
        objection = check(intent, situation)
        if objection is not None:
            return objection
    return None
