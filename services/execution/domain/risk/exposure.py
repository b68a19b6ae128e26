"""Whether the account can carry what may come of an order: its value, the positions, the money."""

from services.execution.domain.order import Denial
from services.execution.domain.risk.trial import (
    Intent,
    Situation,
    denial,
    farthest_nanos,
    grows,
    held_nanos,
    reduces,
)
from trading.clock import DAY_NS
from trading.money import ONE, notional_nanos
from trading.order import Side


def check_order_notional(intent: Intent, situation: Situation) -> Denial | None:
    """One order is not worth too much, unless it may only close a position: that must always be possible at once."""
    limit = situation.limits.max_order_notional_nanos
    notional = notional_nanos(intent.price_nanos, intent.terms.quantity_nanos)
    if limit is None or notional <= limit or intent.terms.reduce_only:
        return None
    return denial("ORDER_NOTIONAL", "The order is worth too much.", notional=notional, limit=limit)


def check_min_notional(intent: Intent, situation: Situation) -> Denial | None:
    """One order is not worth too little, unless it closes a position."""
    limit = situation.limits.min_order_notional_nanos
    notional = notional_nanos(intent.price_nanos, intent.terms.quantity_nanos)
    if limit is None or notional >= limit or reduces(intent, situation):
        return None
    return denial("MIN_NOTIONAL", "The order is worth too little.", notional=notional, min=limit)


def check_short(intent: Intent, situation: Situation) -> Denial | None:
    """What cannot be borrowed is not sold short."""
    if intent.instrument.shortable or intent.terms.side is Side.BUY or farthest_nanos(intent, situation) >= 0:
        return None
    held = held_nanos(intent, situation)
    return denial("NOT_SHORTABLE", f"{intent.instrument.symbol} cannot be sold short.", position=held)


def check_position(intent: Intent, situation: Situation) -> Denial | None:
    """The position cannot grow too long or too short, whichever working orders fill."""
    limit, after = situation.limits.max_position_nanos, farthest_nanos(intent, situation)
    if limit is None or intent.terms.side.sign * after <= limit:
        return None
    return denial("MAX_POSITION", "The position could grow beyond its limit.", position=after, limit=limit)


def check_gross_exposure(intent: Intent, situation: Situation) -> Denial | None:
    """All positions together are not worth too much, whichever working orders fill."""
    limit = situation.limits.max_gross_exposure_nanos
    if limit is None or not grows(intent, situation) or (gross := _gross(intent, situation)) <= limit:
        return None
    return denial("GROSS_EXPOSURE", "Gross exposure could exceed its limit.", gross=gross, limit=limit)


def check_net_exposure(intent: Intent, situation: Situation) -> Denial | None:
    """Longs and shorts do not lean too far to the order's side, whichever working orders of that side fill."""
    limit = situation.limits.max_net_exposure_nanos
    if limit is None or (net := _net(intent, situation)) <= limit:
        return None
    return denial("NET_EXPOSURE", "Net exposure could exceed its limit.", net=net, limit=limit)


def check_buying_power(intent: Intent, situation: Situation) -> Denial | None:
    """Equity carries every position that the working orders and this one can lead to."""
    if not grows(intent, situation):
        return None
    power, gross = situation.equity_nanos() * situation.multiplier, _gross(intent, situation)
    if gross <= power:
        return None
    cost = notional_nanos(intent.price_nanos, intent.terms.quantity_nanos)
    return denial("BUYING_POWER", "Buying power does not suffice.", cost=cost, available=power - gross + cost)


def check_daily_loss(intent: Intent, situation: Situation) -> Denial | None:
    """The day has not lost too much: what was realised today and what open positions would lose now."""
    limit = situation.limits.max_daily_loss_nanos
    if limit is None or reduces(intent, situation):
        return None
    loss = daily_loss_nanos(situation)
    if loss < limit or loss <= 0:
        return None
    return denial("DAILY_LOSS", "The day's loss has reached its limit.", loss=loss, limit=limit)


def daily_loss_nanos(situation: Situation) -> int:
    """Today's realised loss and the unrealised loss of open positions against their cost; negative is a gain."""
    holdings = situation.holdings
    open_value = sum(held.unrealized_value(situation.mark_of(name)) for name, held in holdings.positions.items())
    return -(holdings.realized_on(situation.now_ns // DAY_NS) + open_value) // ONE


def _gross(intent: Intent, situation: Situation) -> int:
    symbol = intent.instrument.symbol
    others = sum(
        max(map(abs, situation.holdings.reach(name))) * situation.mark_of(name)
        for name in situation.holdings.symbols()
        if name != symbol
    )
    own = max(abs(farthest_nanos(intent, situation)), *map(abs, situation.holdings.reach(symbol)))
    return (others + own * (intent.price_nanos or situation.mark_of(symbol))) // ONE


def _net(intent: Intent, situation: Situation) -> int:
    symbol, side = intent.instrument.symbol, intent.terms.side
    index = 0 if side is Side.BUY else 1
    others = sum(
        situation.holdings.reach(name)[index] * situation.mark_of(name)
        for name in situation.holdings.symbols()
        if name != symbol
    )
    own = farthest_nanos(intent, situation) * (intent.price_nanos or situation.mark_of(symbol))
    return side.sign * (others + own) // ONE
