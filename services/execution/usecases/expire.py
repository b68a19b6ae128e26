"""End orders whose time has run out, where the venue does not do it: GTD orders, and days of what never closes."""

import asyncio

from services.execution.domain.order import Fact
from services.execution.usecases.blotter import Blotter, LiveOrder
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.journal import Journal
from trading.clock import Clock
from trading.order import OrderEventKind, OrderStatus


class Expire:
    """A held order expires at once; one at the venue is canceled there, again and again until it is."""

    def __init__(self, blotter: Blotter, journal: Journal, cancel: Cancel, clock: Clock, *, every_s: float) -> None:
        self._blotter = blotter
        self._journal = journal
        self._cancel = cancel
        self._clock = clock
        self._every_s = every_s

    async def forever(self) -> None:
        """Look every `every_s` seconds."""
        while True:
            await asyncio.sleep(self._every_s)
            self.look()

    def look(self) -> None:
        """End everything that is due."""
        now_ns = self._clock.now_ns()
        for live in self._blotter.open_orders():
            end_ns = live.order.terms.expire_time_ns
            if end_ns is not None and end_ns <= now_ns:
                self._end(live, now_ns)

    def _end(self, live: LiveOrder, now_ns: int) -> None:
        if live.order.status is OrderStatus.EMULATED:
            self._journal.record(live, Fact(OrderEventKind.EXPIRED, now_ns))
        elif live.order.status is not OrderStatus.PENDING_CANCEL:
            self._cancel.start(live)
