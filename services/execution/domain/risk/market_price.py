"""Whether an order fits the market as it is quoted now."""

from services.execution.domain.order import Denial
from services.execution.domain.risk.trial import Intent, Situation, denial

_COLLAR_SCALE = 1_000_000_000


def check_quote(intent: Intent, situation: Situation) -> Denial | None:
    """There is a quote to judge by, and it is young enough."""
    if intent.quote is None:
        return Denial("NO_QUOTE", f"There is no quote of {intent.instrument.symbol} to judge the order by.")
    limit = situation.limits.max_quote_age_ns
    if limit is None or intent.quote_age_ns <= limit:
        return None
    ages = {"age_ns": str(intent.quote_age_ns), "limit_ns": str(limit)}
    return Denial("STALE_QUOTE", "The last quote is too old to judge the order by.", ages)


def check_collar(intent: Intent, situation: Situation) -> Denial | None:
    """A limit price does not reach too far beyond the other side of the market."""
    collar, price, touch = situation.limits.price_collar, intent.terms.price_nanos, intent.touch_nanos
    if collar is None or price is None or not touch:
        return None
    beyond = intent.terms.side.sign * (price - touch)
    if beyond * _COLLAR_SCALE <= touch * round(collar * _COLLAR_SCALE):
        return None
    found = denial("PRICE_COLLAR", "The limit price is too far beyond the last quote.", price=price, quote=touch)
    return Denial(found.code, found.message, {**found.limits, "collar": repr(collar)})


def check_post_only(intent: Intent, situation: Situation) -> Denial | None:
    """A post-only order would rest: the market has not reached its price."""
    price, touch = intent.terms.price_nanos, intent.touch_nanos
    if not intent.terms.post_only or price is None or not touch or intent.terms.side.sign * (price - touch) < 0:
        return None
    return denial("POST_ONLY", "A post-only order would trade at once.", price=price, quote=touch)
