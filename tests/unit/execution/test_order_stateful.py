"""Any life of an order: what the fold takes is legal and adds up, what it refuses leaves it as it was."""

from fractions import Fraction

import pytest
from builders.orders import NOW_NS, event, execution, terms
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.execution.domain.chain import verify
from services.execution.domain.lifecycle import FOLLOWERS, PENDING, RESTORERS
from services.execution.domain.order import INITIALIZED, Order, OrderEvent, apply, fold
from trading.errors import InvalidStateTransition
from trading.money import ONE
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus as S

_NO_FILLS = [kind for kind in Kind if kind is not Kind.FILL]
_LATE = (S.CANCELED, S.EXPIRED)


class Life(RuleBasedStateMachine):
    """Events of every kind in every order, and a model that only adds up."""

    @initialize(quantity=st.integers(1, 12))
    def create(self, quantity: int) -> None:
        self.events: list[OrderEvent] = [event(None, INITIALIZED, terms=terms(quantity_nanos=quantity * ONE))]
        self.order: Order = apply(None, self.events[0])
        self.trades: list[tuple[int, int]] = []
        self.interrupted = S.INITIALIZED

    @rule(kind=st.sampled_from(_NO_FILLS))
    def happen(self, kind: Kind) -> None:
        """Something that is no trade."""
        before = self.order.status
        allowed = before is RESTORERS[kind] if kind in RESTORERS else S(kind.value) in FOLLOWERS[before]
        if not self._take(event(self.order, kind), allowed):
            return
        expected = self.interrupted if kind in RESTORERS else S(kind.value)
        assert self.order.status is expected
        if self.order.status in PENDING and before not in PENDING:
            self.interrupted = before

    @rule(quantity=st.integers(0, 13), price=st.integers(1, 999))
    def trade(self, quantity: int, price: int) -> None:
        """A fill of whatever size."""
        before = self.order.status
        left = self.order.terms.quantity_nanos - self.order.filled_nanos
        whole = quantity * ONE == left
        target = S.FILLED if whole else S.PARTIALLY_FILLED
        takes = target in FOLLOWERS[before] or (before in _LATE and not whole)
        allowed = 0 < quantity * ONE <= left and takes
        if self._take(event(self.order, Kind.FILL, execution=execution(quantity, price)), allowed):
            self.trades.append((quantity, price))
            assert self.order.status is (before if before in _LATE and not whole else target)

    @rule(missed=st.integers(0, 3).filter(lambda places: places != 1))
    def skip(self, missed: int) -> None:
        """An event out of its turn is refused, whatever it says."""
        self._take(event(self.order, Kind.ACCEPTED, version=self.order.version + missed), allowed=False)

    @invariant()
    def adds_up(self) -> None:
        """Quantity, mean price and remainder are those of the trades."""
        traded = sum(quantity for quantity, _ in self.trades)
        assert self.order.filled_nanos == traded * ONE <= self.order.terms.quantity_nanos
        if traded:
            mean = Fraction(sum(quantity * price for quantity, price in self.trades), traded)
            assert abs(Fraction(self.order.avg_price_nanos, ONE) - mean) <= Fraction(1, 2 * ONE)
        assert (self.order.status is S.FILLED) == (self.order.filled_nanos == self.order.terms.quantity_nanos)
        left = self.order.terms.quantity_nanos - self.order.filled_nanos
        assert self.order.remaining_nanos == (0 if self.order.status.is_closed else left)

    @invariant()
    def is_the_fold_of_its_events(self) -> None:
        """The log alone gives the same order; its chain is whole."""
        verify(self.events)
        assert fold(self.events) == self.order
        assert self.order.version == len(self.events)
        assert self.order.updated_time_ns == NOW_NS

    def _take(self, following: OrderEvent, allowed: bool) -> bool:
        """Apply an event; a refused one leaves everything as it was."""
        if not allowed:
            with pytest.raises(InvalidStateTransition):
                apply(self.order, following)
            return False
        self.order = apply(self.order, following)
        self.events.append(following)
        return True


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=25)
