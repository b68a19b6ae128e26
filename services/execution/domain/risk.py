"""Pre-trade checks: each is pure and answers with a denial, its code and its numbers, or with nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from services.execution.domain.holdings import Holdings
from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import Denial, OrderTerms
from trading.clock import DAY_NS
from trading.instruments import AssetClass, Instrument
from trading.market import Quote
from trading.money import ONE, format_nanos, notional_nanos
from trading.order import OrderType, Side, TradingState

_FINE_TICK_NANOS = 100_000
_COLLAR_SCALE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Intent:
    """An order on trial, with the quote it is judged by; `quote_age_ns` is how long ago we learnt the quote."""

    terms: OrderTerms
    instrument: Instrument
    quote: Quote | None
    quote_age_ns: int = 0

    @property
    def price_nanos(self) -> int:
        """The dearest price it may trade at for its account, as far as anybody can know; 0 when nobody can."""
        touch = self.touch_nanos
        own = self.terms.price_nanos or self.terms.stop_price_nanos or 0
        if self.terms.order_type is OrderType.LIMIT and self.terms.side is Side.BUY:
            return own
        return max(own, touch)

    @property
    def touch_nanos(self) -> int:
        """The price of the other side of the market; its middle when that side is empty, 0 without a quote."""
        if self.quote is None:
            return 0
        opposite = self.quote.ask_nanos if self.terms.side is Side.BUY else self.quote.bid_nanos
        return opposite or self.quote.mid_nanos


@dataclass(frozen=True, slots=True)
class Situation:
    """What an order is judged against; `mark` gives the newest price of a symbol, 0 when it has none."""

    limits: RiskLimits
    trading_state: TradingState
    holdings: Holdings
    opening_cash_nanos: int
    multiplier: int
    mark: Callable[[str], int]
    submits_last_second: int
    now_ns: int

    def mark_of(self, symbol: str) -> int:
        """The newest price of a symbol, or else what its position cost."""
        return self.mark(symbol) or self.holdings.position(symbol).entry_price_nanos

    def equity_nanos(self) -> int:
        """Cash and positions at their marks."""
        value = sum(self.mark_of(name) * held.quantity_nanos for name, held in self.holdings.positions.items())
        return self.opening_cash_nanos + (self.holdings.cash_flow_value + value) // ONE


Check = Callable[[Intent, Situation], Denial | None]


def judge(intent: Intent, situation: Situation) -> Denial | None:
    """The first objection to an order, or None when it may be sent."""
    for check in CHECKS:
        denial = check(intent, situation)
        if denial is not None:
            return denial
    return None


def check_trading_state(intent: Intent, situation: Situation) -> Denial | None:
    """The kill switch."""
    if situation.trading_state is TradingState.HALTED:
        return Denial("TRADING_HALTED", "Trading is halted.")
    if situation.trading_state is TradingState.REDUCING and not _reduces(intent, situation):
        return _denial(
            "REDUCING_ONLY", "Only orders that shrink a position are taken.", position=_held(intent, situation)
        )
    return None


def check_tradable(intent: Intent, situation: Situation) -> Denial | None:
    """The venue takes orders for the instrument."""
    if intent.instrument.tradable:
        return None
    return Denial("NOT_TRADABLE", f"{intent.instrument.symbol} is not tradable.")


def check_quantity(intent: Intent, situation: Situation) -> Denial | None:
    """The quantity lies on the lot grid, between the smallest and the largest order."""
    quantity, instrument = intent.terms.quantity_nanos, intent.instrument
    if quantity < instrument.min_quantity_nanos:
        return _denial(
            "MIN_QUANTITY", "Quantity is below the minimum.", quantity=quantity, min=instrument.min_quantity_nanos
        )
    if quantity > instrument.max_quantity_nanos:
        return _denial(
            "MAX_QUANTITY", "Quantity is above the maximum.", quantity=quantity, max=instrument.max_quantity_nanos
        )
    if quantity % instrument.lot_nanos:
        return _denial("LOT_SIZE", "Quantity is no multiple of the lot.", quantity=quantity, lot=instrument.lot_nanos)
    return None


def check_tick(intent: Intent, situation: Situation) -> Denial | None:
    """Every price lies on the tick grid."""
    for price in (intent.terms.price_nanos, intent.terms.stop_price_nanos):
        if price is not None and price % (tick := tick_at(intent.instrument, price)):
            return _denial("TICK_SIZE", "Price is no multiple of the tick.", price=price, tick=tick)
    return None


def check_submit_rate(intent: Intent, situation: Situation) -> Denial | None:
    """Not too many submits in the last second."""
    limit = situation.limits.max_submits_per_second
    if limit is None or situation.submits_last_second < limit:
        return None
    return Denial("SUBMIT_RATE", "Too many submits in a second.", {"limit": str(limit)})


def check_open_orders(intent: Intent, situation: Situation) -> Denial | None:
    """Not too many orders at work at once."""
    limit, count = situation.limits.max_open_orders, situation.holdings.open_orders
    if limit is None or count < limit:
        return None
    return Denial("OPEN_ORDERS", "Too many orders are open.", {"limit": str(limit), "open": str(count)})


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
    denial = _denial("PRICE_COLLAR", "The limit price is too far beyond the last quote.", price=price, quote=touch)
    return Denial(denial.code, denial.message, {**denial.limits, "collar": repr(collar)})


def check_order_notional(intent: Intent, situation: Situation) -> Denial | None:
    """One order is not worth too much."""
    limit = situation.limits.max_order_notional_nanos
    notional = notional_nanos(intent.price_nanos, intent.terms.quantity_nanos)
    if limit is None or notional <= limit:
        return None
    return _denial("ORDER_NOTIONAL", "The order is worth too much.", notional=notional, limit=limit)


def check_short(intent: Intent, situation: Situation) -> Denial | None:
    """What cannot be borrowed is not sold short."""
    if intent.instrument.shortable or intent.terms.side is Side.BUY or _after(intent, situation) >= 0:
        return None
    held = _held(intent, situation)
    return _denial("NOT_SHORTABLE", f"{intent.instrument.symbol} cannot be sold short.", position=held)


def check_position(intent: Intent, situation: Situation) -> Denial | None:
    """The position cannot grow too long or too short, whichever working orders fill."""
    limit, after = situation.limits.max_position_nanos, _after(intent, situation)
    if limit is None or intent.terms.side.sign * after <= limit:
        return None
    return _denial("MAX_POSITION", "The position could grow beyond its limit.", position=after, limit=limit)


def check_gross_exposure(intent: Intent, situation: Situation) -> Denial | None:
    """All positions together are not worth too much, whichever working orders fill."""
    limit = situation.limits.max_gross_exposure_nanos
    if limit is None or not _grows(intent, situation) or (gross := _gross(intent, situation)) <= limit:
        return None
    return _denial("GROSS_EXPOSURE", "Gross exposure could exceed its limit.", gross=gross, limit=limit)


def check_net_exposure(intent: Intent, situation: Situation) -> Denial | None:
    """Longs and shorts do not lean too far to the order's side, whichever working orders of that side fill."""
    limit = situation.limits.max_net_exposure_nanos
    if limit is None or (net := _net(intent, situation)) <= limit:
        return None
    return _denial("NET_EXPOSURE", "Net exposure could exceed its limit.", net=net, limit=limit)


def check_buying_power(intent: Intent, situation: Situation) -> Denial | None:
    """Equity carries every position that the working orders and this one can lead to."""
    if not _grows(intent, situation):
        return None
    power, gross = situation.equity_nanos() * situation.multiplier, _gross(intent, situation)
    if gross <= power:
        return None
    cost = notional_nanos(intent.price_nanos, intent.terms.quantity_nanos)
    return _denial("BUYING_POWER", "Buying power does not suffice.", cost=cost, available=power - gross + cost)


def check_daily_loss(intent: Intent, situation: Situation) -> Denial | None:
    """The day has not lost too much: what was realised today and what open positions would lose now."""
    limit = situation.limits.max_daily_loss_nanos
    if limit is None or _reduces(intent, situation):
        return None
    loss = daily_loss_nanos(situation)
    if loss < limit or loss <= 0:
        return None
    return _denial("DAILY_LOSS", "The day's loss has reached its limit.", loss=loss, limit=limit)


def daily_loss_nanos(situation: Situation) -> int:
    """Today's realised loss and the unrealised loss of open positions against their cost; negative is a gain."""
    holdings = situation.holdings
    open_value = sum(held.unrealized_value(situation.mark_of(name)) for name, held in holdings.positions.items())
    return -(holdings.realized_on(situation.now_ns // DAY_NS) + open_value) // ONE


def tick_at(instrument: Instrument, price_nanos: int) -> int:
    """The price step at a price: US shares below a dollar trade in hundredths of a cent."""
    if instrument.asset_class is AssetClass.EQUITY and price_nanos < ONE:
        return min(instrument.tick_nanos, _FINE_TICK_NANOS)
    return instrument.tick_nanos


CHECKS: tuple[Check, ...] = (
    check_trading_state,
    check_tradable,
    check_quantity,
    check_tick,
    check_submit_rate,
    check_open_orders,
    check_quote,
    check_collar,
    check_order_notional,
    check_short,
    check_position,
    check_gross_exposure,
    check_net_exposure,
    check_buying_power,
    check_daily_loss,
)


def _held(intent: Intent, situation: Situation) -> int:
    return situation.holdings.position(intent.instrument.symbol).quantity_nanos


def _after(intent: Intent, situation: Situation) -> int:
    """The farthest position to the order's side once it and all working orders of its side fill."""
    longest, shortest = situation.holdings.reach(intent.instrument.symbol)
    quantity = intent.terms.quantity_nanos
    return longest + quantity if intent.terms.side is Side.BUY else shortest - quantity


def _reduces(intent: Intent, situation: Situation) -> bool:
    held, after = _held(intent, situation), _after(intent, situation)
    return held * intent.terms.side.sign < 0 and held * after >= 0


def _grows(intent: Intent, situation: Situation) -> bool:
    longest, shortest = situation.holdings.reach(intent.instrument.symbol)
    return abs(_after(intent, situation)) > max(abs(longest), abs(shortest))


def _gross(intent: Intent, situation: Situation) -> int:
    symbol = intent.instrument.symbol
    others = sum(
        max(map(abs, situation.holdings.reach(name))) * situation.mark_of(name)
        for name in situation.holdings.symbols()
        if name != symbol
    )
    own = max(abs(_after(intent, situation)), *map(abs, situation.holdings.reach(symbol)))
    return (others + own * (intent.price_nanos or situation.mark_of(symbol))) // ONE


def _net(intent: Intent, situation: Situation) -> int:
    symbol, side = intent.instrument.symbol, intent.terms.side
    index = 0 if side is Side.BUY else 1
    others = sum(
        situation.holdings.reach(name)[index] * situation.mark_of(name)
        for name in situation.holdings.symbols()
        if name != symbol
    )
    own = _after(intent, situation) * (intent.price_nanos or situation.mark_of(symbol))
    return side.sign * (others + own) // ONE


def _denial(code: str, message: str, **nanos: int) -> Denial:
    return Denial(code, message, {name: format_nanos(value) for name, value in nanos.items()})
