"""Whether the account behaves: the kill switch, its rates, and orders that can only be mistakes."""

from services.execution.domain.order import Denial, OrderTerms
from services.execution.domain.risk.trial import Intent, Situation, denial, held_nanos, reduces
from trading.order import OrderType, TradingState

_RESTS_AT_ITS_PRICE = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


def check_trading_state(intent: Intent, situation: Situation) -> Denial | None:
    """The kill switch."""
    if situation.trading_state is TradingState.HALTED:
        return Denial("TRADING_HALTED", "Trading is halted.")
    if situation.trading_state is TradingState.REDUCING and not reduces(intent, situation):
        return denial(
            "REDUCING_ONLY", "Only orders that shrink a position are taken.", position=held_nanos(intent, situation)
        )
    return None


def check_submit_rate(intent: Intent, situation: Situation) -> Denial | None:
    """Not too many submits in the last second; what may only close a position is not held up."""
    limit = situation.limits.max_submits_per_second
    is_bound = intent.is_new and not intent.terms.reduce_only
    if not is_bound or limit is None or situation.submits_last_second < limit:
        return None
    return Denial("SUBMIT_RATE", "Too many submits in a second.", {"limit": str(limit)})


def check_modify_rate(intent: Intent, situation: Situation) -> Denial | None:
    """Not too many changes in the last second."""
    limit = situation.limits.max_modifies_per_second
    if not intent.is_change or limit is None or situation.modifies_last_second < limit:
        return None
    return Denial("MODIFY_RATE", "Too many changes in a second.", {"limit": str(limit)})


def check_open_orders(intent: Intent, situation: Situation) -> Denial | None:
    """Not too many orders at work at once."""
    limit, count = situation.limits.max_open_orders, situation.holdings.open_orders
    if not intent.is_new or limit is None or count < limit:
        return None
    return Denial("OPEN_ORDERS", "Too many orders are open.", {"limit": str(limit), "open": str(count)})


def check_duplicate(intent: Intent, situation: Situation) -> Denial | None:
    """The same order was not submitted a moment ago under another id."""
    window, age = situation.limits.duplicate_window_ns, situation.same_intent_age_ns
    if not intent.is_new or window is None or age is None or age >= window:
        return None
    ages = {"age_ns": str(age), "window_ns": str(window)}
    return Denial("DUPLICATE_INTENT", "The same order came a moment ago under another id.", ages)


def check_self_trade(intent: Intent, situation: Situation) -> Denial | None:
    """It would not trade with a working order of its own account."""
    limit = intent.limit_nanos
    if not situation.limits.refuse_self_trades or not limit:
        return None
    sign = intent.terms.side.sign
    for other in situation.resting:
        if _rests_opposite(other, intent.terms) and sign * (limit - (other.price_nanos or 0)) >= 0:
            found = denial("SELF_TRADE", "It would trade with the account's own order.", price=other.price_nanos or 0)
            return Denial(found.code, found.message, {**found.limits, "resting_order_id": other.order_id})
    return None


def check_reduce_only(intent: Intent, situation: Situation) -> Denial | None:
    """A reduce-only order can do nothing but shrink the position."""
    if not intent.terms.reduce_only or reduces(intent, situation):
        return None
    return denial(
        "REDUCE_ONLY",
        "A reduce-only order could do more than shrink the position.",
        quantity=intent.terms.quantity_nanos,
        position=held_nanos(intent, situation),
    )


def _rests_opposite(other: OrderTerms, terms: OrderTerms) -> bool:
    return other.side is not terms.side and other.order_type in _RESTS_AT_ITS_PRICE and other.order_id != terms.order_id
