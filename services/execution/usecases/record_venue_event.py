"""Record what the venue's stream tells: each fact once, whatever the order in which it comes."""

from typing import Any

from services.execution.domain.news import news_of
from services.execution.domain.order import Fact
from services.execution.domain.venue import VenueUpdate
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from trading.errors import InvalidStateTransition
from trading.order import OrderEventKind


class RecordVenueEvent:
    """Takes in the updates of the venue's order stream."""

    def __init__(self, orders: Orders, observer: Observer, log: Any) -> None:
        self._orders = orders
        self._observer = observer
        self._log = log

    async def __call__(self, update: VenueUpdate) -> None:
        """Record an update. One that is late, known or about another desk's order changes nothing."""
        live = await self._orders.find(update.order.order_id) if update.order.order_id else None
        if live is None:
            self._log.info("venue.other_order", venue_order_id=update.order.venue_order_id, kind=update.kind)
            return
        fact = news_of(live.order, update, live.executions)
        if fact is not None:
            self.record(live, fact)

    def record(self, live: LiveOrder, fact: Fact) -> None:
        """Record a fact of the venue; one that the order cannot take is logged with its reason, never guessed at."""
        try:
            self._orders.journal.record(live, fact)
        except InvalidStateTransition as refusal:
            self._log.error(
                "venue.impossible_event", order_id=live.order.order_id, kind=fact.kind, error=refusal.message
            )
            return
        self._observer.answered(live)
        if fact.kind is OrderEventKind.FILL:
            self._observer.filled(live)
