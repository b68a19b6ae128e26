"""What is judged, and by what: an order on trial and the situation of its account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.execution.domain.holdings import Holdings
from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import Denial, OrderTerms
from trading.instruments import Instrument
from trading.market import Quote
from trading.money import ONE, format_nanos
from trading.order import OrderType, Side, TradingState

_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


@dataclass(frozen=True, slots=True)
class Intent:
    """An order on trial, with the quote it is judged by; `quote_age_ns` is how long ago we learnt the quote.

    `counted_nanos` is what of it is counted already, as filled or working: all but the difference, for a change of an
    order; `reweighed_nanos` is what of that order still works and shall trade at a higher price than before. A release
    sends an order that was taken in, and counted towards the rates, before. `session` is the market's state: OPEN,
    CLOSED, HALTED, LIMIT_UP, LIMIT_DOWN, or empty when nobody says.
    """

    terms: OrderTerms
    instrument: Instrument
    quote: Quote | None
    quote_age_ns: int = 0
    counted_nanos: int = 0
    reweighed_nanos: int = 0
    is_change: bool = False
    is_release: bool = False
    session: str = ""

    @property
    def is_new(self) -> bool:
        """It was not taken in before."""
        return not (self.is_change or self.is_release)

    @property
    def added_nanos(self) -> int:
        """How much more may trade because of it."""
        return self.terms.quantity_nanos - self.counted_nanos

    @property
    def price_nanos(self) -> int:
        """The dearest price it may trade at for its account, as far as anybody can know; 0 when nobody can."""
        touch = self.touch_nanos
        own = self.terms.price_nanos or self.terms.stop_price_nanos or 0
        if self.terms.order_type in _PRICED and self.terms.side is Side.BUY:
            return own
        return max(own, touch)

    @property
    def limit_nanos(self) -> int:
        """The worst price it takes now: its own limit, or the touch; 0 when it takes none yet or nobody can know."""
        if self.terms.order_type is OrderType.LIMIT:
            return self.terms.price_nanos or 0
        return self.touch_nanos if self.terms.order_type is OrderType.MARKET else 0

    @property
    def touch_nanos(self) -> int:
        """The price of the other side of the market; its middle when that side is empty, 0 without a quote."""
        if self.quote is None:
            return 0
        opposite = self.quote.ask_nanos if self.terms.side is Side.BUY else self.quote.bid_nanos
        return opposite or self.quote.mid_nanos


@dataclass(frozen=True, slots=True)
class Situation:
    """What an order is judged against; `mark` gives the newest price of a symbol, 0 when it has none.

    `resting` are the account's working orders in the symbol. `same_intent_age_ns` is how long ago the same order was
    submitted under another id, None when it was not.
    """

    limits: RiskLimits
    trading_state: TradingState
    holdings: Holdings
    opening_cash_nanos: int
    multiplier: int
    mark: Callable[[str], int]
    submits_last_second: int
    now_ns: int
    modifies_last_second: int = 0
    resting: Sequence[OrderTerms] = ()
    same_intent_age_ns: int | None = None

    def mark_of(self, symbol: str) -> int:
        """The newest price of a symbol, or else what its position cost."""
        return self.mark(symbol) or self.holdings.position(symbol).entry_price_nanos

    def equity_nanos(self) -> int:
        """Cash and positions at their marks."""
        value = sum(self.mark_of(name) * held.quantity_nanos for name, held in self.holdings.positions.items())
        return self.opening_cash_nanos + (self.holdings.cash_flow_value + value) // ONE


Check = Callable[[Intent, Situation], Denial | None]


def denial(code: str, message: str, **nanos: int) -> Denial:
    """A refusal with its numbers, given in nanos."""
    return Denial(code, message, {name: format_nanos(value) for name, value in nanos.items()})


def held_nanos(intent: Intent, situation: Situation) -> int:
    """The position in the order's symbol."""
    return situation.holdings.position(intent.instrument.symbol).quantity_nanos


def farthest_nanos(intent: Intent, situation: Situation) -> int:
    """The farthest position to the order's side once it and all working orders of its side fill."""
    longest, shortest = situation.holdings.reach(intent.instrument.symbol)
    return longest + intent.added_nanos if intent.terms.side is Side.BUY else shortest - intent.added_nanos


def reduces(intent: Intent, situation: Situation) -> bool:
    """Whatever fills, the position only shrinks and never turns."""
    held, after = held_nanos(intent, situation), farthest_nanos(intent, situation)
    return held * intent.terms.side.sign < 0 and held * after >= 0


def grows(intent: Intent, situation: Situation) -> bool:
    """The position may become larger than the working orders could make it without this one."""
    longest, shortest = situation.holdings.reach(intent.instrument.symbol)
    if intent.terms.side is Side.BUY:
        longest -= intent.reweighed_nanos
    else:
        shortest += intent.reweighed_nanos
    return abs(farthest_nanos(intent, situation)) > max(abs(longest), abs(shortest))
