"""Record what the venue tells: each fact once, whatever the order in which it comes, of whoever's order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.execution.domain.adoption import adopted_id, adopted_terms, position_terms
from services.execution.domain.news import changes_behind, differences, fills_behind, news_of
from services.execution.domain.order import INITIALIZED, Execution, Fact, Order
from services.execution.domain.venue import VenueOrder, VenuePosition, VenueUpdate
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from trading.clock import Clock
from trading.errors import InvalidStateTransition, TradingError
from trading.ids import AccountId, hashed_id
from trading.order import OrderEventKind, OrderStatus


class RecordVenueEvent:
    """Takes in the updates of the venue's order stream; `account` owns the orders of other programs."""

    def __init__(
        self, account: AccountId, venue: str, orders: Orders, market: Market, observer: Observer, clock: Clock, log: Any
    ) -> None:
        self._account = account
        self._venue = venue
        self._orders = orders
        self._market = market
        self._observer = observer
        self._clock = clock
        self._log = log

    async def __call__(self, update: VenueUpdate) -> None:
        """Record an update; one that is late or known changes nothing. A stranger's order is adopted first."""
        live = await self._orders.find(update.order.order_id or adopted_id(update.order))
        if live is None:
            await self.adopt(update.order)
            return
        for change in changes_behind(live.order, update):
            self.record(live, change)
        for missed in fills_behind(live.order, update):
            self.record(live, missed)
        fact = news_of(live.order, update, live.executions)
        if fact is not None:
            self.record(live, fact)

    def record(self, live: LiveOrder, fact: Fact) -> None:
        """Record a fact of the venue; one that the order cannot take is logged with its reason, never guessed at."""
        wished = live.order.wished
        try:
            self._orders.journal.record(live, self._with_mid(live, fact))
        except InvalidStateTransition as refusal:
            self._log.error(
                "venue.impossible_event", order_id=live.order.order_id, kind=fact.kind, error=refusal.message
            )
            return
        self._observer.answered(live)
        if fact.kind is OrderEventKind.FILL:
            self._observer.filled(live)
            if wished is not None and live.order.status is OrderStatus.PARTIALLY_FILLED:
                # A fill interrupts a change that is under way; it goes on.
                self._orders.journal.record(live, Fact(OrderEventKind.PENDING_UPDATE, fact.event_time_ns, terms=wished))

    async def adopt(self, found: VenueOrder) -> int:
        """Take a stranger's order into the book as it stands at the venue; returns how many facts that took."""
        if found.terms is None or (found.status.is_closed and not found.filled_nanos):
            return 0
        try:
            instrument = await self._market.catalogue.get(found.terms.symbol)
        except TradingError as error:
            self._log.warning("venue.order_not_adopted", venue_order_id=found.venue_order_id, error=error.message)
            return 0
        terms = adopted_terms(found, found.terms, instrument, self._account, self._venue)
        if self._orders.blotter.may_know(terms.account, terms.client_order_id):
            return 0  # the stream and a comparison found it at once; it may even be closed and forgotten by now
        live = LiveOrder(Order(terms), correlation_id=found.venue_order_id)
        now_ns = self._clock.now_ns()
        created = Fact(INITIALIZED, now_ns, terms=terms, reconciliation=True)
        accepted = Fact(
            OrderEventKind.ACCEPTED, now_ns, reconciliation=True, venue_order_id=found.venue_order_id, reason="EXTERNAL"
        )
        self._orders.journal.open(live, (created, accepted))
        self._observer.discrepancy()
        facts = differences(live.order, found)
        for fact in facts:
            self.record(live, fact)
        return 1 + len(facts)

    async def adopt_position(self, found: VenuePosition, held: Mapping[str, int]) -> int:
        """Take in what the account holds at the venue beyond `held` as one trade at its cost; returns 1, or 0."""
        try:
            instrument = await self._market.catalogue.get(found.symbol)
        except TradingError as error:
            self._log.error("venue.position_not_adopted", symbol=found.symbol, error=error.message)
            return 0
        quantity = found.quantity_nanos - held.get(instrument.symbol, 0)
        if not quantity:
            return 0
        terms = position_terms(found, quantity, instrument, self._account, self._venue)
        if await self._orders.find(terms.order_id) is not None:
            return 0
        live, now_ns = LiveOrder(Order(terms), correlation_id="opening position"), self._clock.now_ns()
        created = Fact(INITIALIZED, now_ns, terms=terms, reconciliation=True)
        accepted = Fact(OrderEventKind.ACCEPTED, now_ns, reconciliation=True, reason="OPENING_POSITION")
        self._orders.journal.open(live, (created, accepted))
        trade = Execution(hashed_id("opening trade", terms.order_id), found.avg_price_nanos, abs(quantity))
        self.record(live, Fact(OrderEventKind.FILL, now_ns, reconciliation=True, execution=trade))
        return 1

    def _with_mid(self, live: LiveOrder, fact: Fact) -> Fact:
        mid = self._market.mid(live.order.terms.symbol) if fact.execution else 0
        return replace(fact, execution=replace(fact.execution, mid_nanos=mid)) if fact.execution and mid else fact
