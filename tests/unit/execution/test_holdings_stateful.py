"""Positions and reach against a plain model in exact fractions, over any orders and trades."""

from dataclasses import dataclass
from fractions import Fraction

from builders.orders import NOW_NS, event, execution, terms
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import INITIALIZED, Order, apply
from trading.money import ONE
from trading.order import OrderEventKind as Kind
from trading.order import Side

_SYMBOLS = ("AAPL", "TSLA")
_EXACT = ONE * ONE


@dataclass
class Model:
    """One position as a textbook has it."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    closings: int = 0

    def trade(self, quantity: Fraction, price: Fraction) -> None:
        """Open at the price; close against the mean cost, and what goes beyond opens anew."""
        closed = Fraction(0)
        if self.quantity * quantity < 0:
            sign = 1 if self.quantity > 0 else -1
            closed = sign * min(abs(quantity), abs(self.quantity))
            mean = self.cost / self.quantity
            self.realized += closed * (price - mean)
            self.cost -= closed * mean
            self.quantity -= closed
            self.closings += 1
        opened = quantity + closed
        self.quantity += opened
        self.cost += opened * price


class Account(RuleBasedStateMachine):
    """Orders that begin, trade, end, and trade late."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.holdings = Holdings()
        self.models = {symbol: Model() for symbol in _SYMBOLS}
        self.live: dict[int, Order] = {}
        self.cash = Fraction(0)

    @rule(target=orders, symbol=st.sampled_from(_SYMBOLS), side=st.sampled_from(tuple(Side)), size=st.integers(1, 9))
    def begin(self, symbol: str, side: Side, size: int) -> int:
        order = apply(None, event(None, INITIALIZED, terms=terms(symbol=symbol, side=side, quantity_nanos=size * ONE)))
        self.holdings.replace(None, order)
        self.live[len(self.live)] = order
        self._move(len(self.live) - 1, Kind.SUBMITTED)
        return len(self.live) - 1

    @rule(number=orders, nanos=st.integers(1, 9 * ONE), price=st.integers(1, 10**12), fee=st.integers(0, ONE))
    def trade(self, number: int, nanos: int, price: int, fee: int) -> None:
        """Some of what is left, in odd nanos, at an odd price."""
        order = self.live[number]
        left = order.terms.quantity_nanos - order.filled_nanos
        if not left:
            return
        traded = execution(quantity_nanos=min(nanos, left), price_nanos=price, fee_nanos=fee)
        after = apply(order, event(order, Kind.FILL, execution=traded))
        self.holdings.replace(order, after)
        self.holdings.fill(after.terms.symbol, after.terms.side, traded, NOW_NS)
        self.live[number] = after
        signed = Fraction(after.terms.side.sign * traded.quantity_nanos, ONE)
        self.models[after.terms.symbol].trade(signed, Fraction(price, ONE))
        self.cash -= signed * Fraction(price, ONE) + Fraction(fee, ONE)

    @rule(number=orders)
    def cancel(self, number: int) -> None:
        if not self.live[number].status.is_closed:
            self._move(number, Kind.CANCELED)

    @invariant()
    def positions_are_the_models(self) -> None:
        """Quantities exactly; costs and profits but for half of 10⁻¹⁸ at each closing."""
        for symbol, model in self.models.items():
            position = self.holdings.position(symbol)
            assert Fraction(position.quantity_nanos, ONE) == model.quantity
            tolerance = Fraction(model.closings, _EXACT)
            assert abs(Fraction(position.cost_value, _EXACT) - model.cost) <= tolerance
            assert abs(Fraction(position.realized_value, _EXACT) - model.realized) <= tolerance

    @invariant()
    def no_money_appears(self) -> None:
        """Cash and cost and profit balance to the last digit: what rounding takes from one it gives to the other."""
        flow = Fraction(self.holdings.cash_flow_value, _EXACT)
        assert flow == self.cash
        values = [self.holdings.position(symbol) for symbol in _SYMBOLS]
        fees = sum(order.fee_nanos for order in self.live.values())
        balance = sum(each.realized_value - each.cost_value for each in values) - fees * ONE
        assert balance == self.holdings.cash_flow_value

    @invariant()
    def reach_is_what_the_open_orders_may_still_trade(self) -> None:
        for symbol in _SYMBOLS:
            working = dict.fromkeys(Side, 0)
            for order in self.live.values():
                if order.terms.symbol == symbol and not order.status.is_closed:
                    working[order.terms.side] += order.terms.quantity_nanos - order.filled_nanos
            held = self.holdings.position(symbol).quantity_nanos
            assert self.holdings.reach(symbol) == (held + working[Side.BUY], held - working[Side.SELL])
        assert self.holdings.open_orders == sum(not order.status.is_closed for order in self.live.values())

    def _move(self, number: int, kind: Kind) -> None:
        before = self.live[number]
        self.live[number] = apply(before, event(before, kind))
        self.holdings.replace(before, self.live[number])


TestAccount = Account.TestCase
TestAccount.settings = settings(stateful_step_count=30)
