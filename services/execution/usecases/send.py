"""Send a durable intent to the venue, once, and write down what the venue says."""

import asyncio
from collections.abc import Callable

from services.execution.domain.news import news_of
from services.execution.domain.order import Fact
from services.execution.domain.trigger import sent_terms
from services.execution.domain.venue import VenueOrder, VenueUpdate
from services.execution.ports.venue import Broker, VenueRefused
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.journal import Journal
from services.execution.usecases.lead import HoldLease
from services.execution.usecases.observe import Observer
from trading.clock import Clock
from trading.errors import Unavailable
from trading.ids import AccountId
from trading.order import OrderEventKind, OrderStatus, TradingState


class Send:
    """The only caller of the venue's submit: one order, one call, under the id that the log knows already.

    At most `connections` calls are under way; whether an order may still go is asked when its turn has come, for the
    kill switch may have been turned and the lease may have ended since it was judged.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        background: Background,
        observer: Observer,
        lease: HoldLease,
        trading_state: Callable[[AccountId], TradingState],
        clock: Clock,
        *,
        connections: int,
    ) -> None:
        self._broker = broker
        self._background = background
        self._journal = journal
        self._observer = observer
        self._lease = lease
        self._trading_state = trading_state
        self._clock = clock
        self._room = asyncio.Semaphore(connections)

    def check_room(self) -> None:
        """Raise ResourceExhausted when too many orders are on their way."""
        self._background.check_room()

    def start(self, live: LiveOrder) -> None:
        """Send an order, whatever becomes of the call that submitted it."""
        self._background.start(self(live))

    async def __call__(self, live: LiveOrder) -> None:
        """Send an order; a lost answer leaves it UNRESOLVED, to be asked for, never to be sent again."""
        async with self._room:
            if self._is_stopped(live):
                return
            live.sent_ns = self._clock.monotonic_ns()
            try:
                found = await self._broker.submit(sent_terms(live.order))
            except VenueRefused as refusal:
                self._conclude(live, OrderEventKind.REJECTED, refusal.message)
            except Unavailable as error:
                self._conclude(live, OrderEventKind.UNRESOLVED, error.message)
            else:
                self._accept(live, found)

    def _is_stopped(self, live: LiveOrder) -> bool:
        """Whether it must not go any more: it is ended unsent, or left to be asked for by whoever leads now."""
        if self._trading_state(live.order.account) is TradingState.HALTED:
            self._conclude(live, OrderEventKind.CANCELED, "TRADING_HALTED")
        elif not self._lease.is_held():
            self._conclude(live, OrderEventKind.UNRESOLVED, "The lease on the order log ended before it was sent.")
        return live.order.status is not OrderStatus.SUBMITTED

    def _accept(self, live: LiveOrder, found: VenueOrder) -> None:
        kind = OrderEventKind.REJECTED if found.status is OrderStatus.REJECTED else OrderEventKind.ACCEPTED
        fact = news_of(live.order, VenueUpdate(found, kind, found.event_time_ns or self._clock.now_ns()), ())
        if fact is not None:
            self._journal.record(live, fact)
        self._observer.answered(live)

    def _conclude(self, live: LiveOrder, kind: OrderEventKind, reason: str) -> None:
        # The stream may have told of the order before the call came back; then there is nothing to conclude.
        if live.order.status is OrderStatus.SUBMITTED:
            self._journal.record(live, Fact(kind, self._clock.now_ns(), reason=reason))
        if kind is OrderEventKind.REJECTED:
            self._observer.answered(live)
