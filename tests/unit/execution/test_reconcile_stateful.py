"""Our order and the venue's, told apart in any way: one comparison brings them together, a second finds nothing."""

from builders.orders import MAIN, NOW_NS, event, execution, terms
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.execution.domain.lifecycle import FOLLOWERS
from services.execution.domain.news import differences, news_of
from services.execution.domain.order import INITIALIZED, Fact, Order, apply, fold
from services.execution.domain.venue import VenueOrder, VenueUpdate
from trading.ids import VenueOrderId
from trading.money import ONE, divide_half_even
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus as S


class Apart(RuleBasedStateMachine):
    """The venue trades; we hear of it late, twice, in another order or never, and compare with words old and new."""

    @initialize(quantity=st.integers(1, 12), unresolved=st.booleans())
    def send(self, quantity: int, unresolved: bool) -> None:
        asked = terms(quantity_nanos=quantity * ONE, account=MAIN)
        self.events = [event(None, INITIALIZED, terms=asked)]
        self.known: set[str] = set()
        self.told: list[VenueUpdate] = []
        self.words: list[VenueOrder] = []
        self.value = 0
        self._happen(Kind.SUBMITTED)
        if unresolved:
            self._happen(Kind.UNRESOLVED)
        self.venue = VenueOrder(asked.order_id, VenueOrderId("v-1"), S.ACCEPTED, event_time_ns=NOW_NS)
        self._tell(self.venue, Kind.ACCEPTED)

    @property
    def order(self) -> Order:
        return fold(self.events)

    @precondition(lambda self: not self.venue.status.is_closed)
    @rule(quantity=st.integers(1, 12), price=st.integers(1, 999))
    def trade(self, quantity: int, price: int) -> None:
        left = self.order.terms.quantity_nanos - self.venue.filled_nanos
        size = min(quantity * ONE, left)
        filled = self.venue.filled_nanos + size
        self.value += price * ONE * size
        after = VenueOrder(
            self.venue.order_id,
            self.venue.venue_order_id,
            S.FILLED if size == left else S.PARTIALLY_FILLED,
            filled_nanos=filled,
            avg_price_nanos=divide_half_even(self.value, filled),
            event_time_ns=NOW_NS,
        )
        trade = execution(quantity_nanos=size, price_nanos=price * ONE, cumulative_nanos=filled)
        self._tell(after, Kind.FILL, trade)

    @precondition(lambda self: not self.venue.status.is_closed)
    @rule(kind=st.sampled_from((Kind.CANCELED, Kind.EXPIRED, Kind.REJECTED)))
    def end(self, kind: Kind) -> None:
        if kind is Kind.REJECTED and self.venue.filled_nanos:
            return
        after = VenueOrder(
            self.venue.order_id,
            self.venue.venue_order_id,
            S(kind.value),
            filled_nanos=self.venue.filled_nanos,
            avg_price_nanos=self.venue.avg_price_nanos,
            event_time_ns=NOW_NS,
        )
        self._tell(after, kind)

    @rule()
    def ask_for_a_cancel(self) -> None:
        if S.PENDING_CANCEL in FOLLOWERS[self.order.status]:
            self._happen(Kind.PENDING_CANCEL)

    @rule(choice=st.data())
    def hear(self, choice: st.DataObject) -> None:
        """Any message there ever was, perhaps again: it is taken once, and never impossible."""
        update = choice.draw(st.sampled_from(self.told))
        self._take(news_of(self.order, update, self.known))

    @rule(choice=st.data())
    def hear_of_an_old_comparison(self, choice: st.DataObject) -> None:
        """An answer that was under way while more happened."""
        for fact in differences(self.order, choice.draw(st.sampled_from(self.words))):
            self._take(fact)

    @rule()
    def compare(self) -> None:
        """One pass converges, a second finds nothing."""
        for fact in differences(self.order, self.venue):
            self._take(fact)
        assert differences(self.order, self.venue) == []
        assert self.order.filled_nanos == self.venue.filled_nanos
        assert self.order.status.is_closed == self.venue.status.is_closed
        assert (self.order.status is S.FILLED) == (self.venue.status is S.FILLED)

    @invariant()
    def no_more_has_traded_than_at_the_venue(self) -> None:
        """However often a fill is told and inferred."""
        assert self.order.filled_nanos <= self.venue.filled_nanos

    def teardown(self) -> None:
        if hasattr(self, "venue"):
            self.compare()
            for update in self.told:
                self._take(news_of(self.order, update, self.known))
            self.compare()

    def _tell(self, after: VenueOrder, kind: Kind, trade: object = None) -> None:
        self.venue = after
        self.words.append(after)
        self.told.append(VenueUpdate(after, kind, NOW_NS, trade))

    def _happen(self, kind: Kind) -> None:
        self.events.append(event(self.order, kind))

    def _take(self, fact: Fact | None) -> None:
        """Write a fact down; apply raises when the order cannot take it."""
        if fact is None:
            return
        following = event(
            self.order,
            fact.kind,
            event_id=fact.event_id or f"e-{len(self.events)}",
            reconciliation=fact.reconciliation,
            venue_order_id=fact.venue_order_id,
            execution=fact.execution,
        )
        apply(self.order, following)
        self.events.append(following)
        if fact.execution:
            self.known.add(fact.execution.execution_id)
        names = [each.event_id for each in self.events if each.kind is not INITIALIZED]
        assert len(names) == len(set(names))


TestApart = Apart.TestCase
TestApart.settings = settings(stateful_step_count=20)
