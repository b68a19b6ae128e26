"""A venue that trades as its seed wants: the truth that our book is compared with."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Protocol

from simulation.virtual_time import VirtualClock

from services.execution.domain.order import Execution, Order, OrderTerms
from services.execution.domain.venue import VenueOrder, VenueTerms, VenueUpdate
from services.execution.ports.venue import VenueRefused
from trading.ids import OrderId, VenueOrderId
from trading.money import ONE, divide_half_even
from trading.order import OrderEventKind, OrderStatus, OrderType


class Listener(Protocol):
    """Somebody who is connected to the venue's stream."""

    def hear(self, update: VenueUpdate) -> None:
        """Be told."""
        ...

    def break_off(self) -> None:
        """Lose the connection."""
        ...


@dataclass(slots=True)
class Working:
    """One order at the venue; `order_id` is None for a stranger's."""

    order_id: OrderId | None
    replacement: int
    venue_order_id: VenueOrderId
    terms: VenueTerms
    status: OrderStatus = OrderStatus.ACCEPTED
    filled_nanos: int = 0
    value: int = 0
    moved_ns: int = 0
    reason: str = ""
    fills: list[Execution] = field(default_factory=list)

    @property
    def left_nanos(self) -> int:
        return self.terms.quantity_nanos - self.filled_nanos

    def view(self) -> VenueOrder:
        """What the venue says when it is asked."""
        average = divide_half_even(self.value, self.filled_nanos) if self.filled_nanos else 0
        return VenueOrder(
            self.order_id,
            self.venue_order_id,
            self.status,
            filled_nanos=self.filled_nanos,
            avg_price_nanos=average,
            event_time_ns=self.moved_ns,
            reason=self.reason,
            replacement=self.replacement,
            terms=self.terms,
        )


class Exchange:
    """Takes, trades, cancels and replaces orders at once; what it does it tells its listeners.

    `takes_twice` is a venue that does not know an id when it comes again.
    """

    def __init__(self, chance: random.Random, clock: VirtualClock, *, takes_twice: bool = False) -> None:
        self.orders: list[Working] = []
        self.listeners: list[Listener] = []
        self.rejected_later = 0.0
        self._chance = chance
        self._clock = clock
        self._takes_twice = takes_twice
        self._trading: list[asyncio.Task[None]] = []

    def place(self, terms: OrderTerms) -> VenueOrder:
        """Take an order of ours; raises VenueRefused for an id that was used."""
        asked = VenueTerms(
            terms.venue_symbol or terms.symbol,
            terms.side,
            terms.order_type,
            terms.time_in_force,
            terms.quantity_nanos,
            terms.price_nanos,
            terms.stop_price_nanos,
        )
        if self._of(terms.order_id) and not self._takes_twice:
            raise VenueRefused("client_order_id must be unique")
        return self.take(terms.order_id, asked)

    def take(self, order_id: OrderId | None, asked: VenueTerms) -> VenueOrder:
        """Take an order, ours or a stranger's, and let it trade."""
        order = self._add(order_id, 0, asked)
        self._tell(order, OrderEventKind.ACCEPTED)
        self._trading.append(asyncio.get_running_loop().create_task(self._trade(order)))
        return order.view()

    def cancel(self, venue_order_id: VenueOrderId | None) -> None:
        """End an order that works; raises VenueRefused for one that does not."""
        order = self._working(venue_order_id, "order is not cancelable")
        self._end(order, OrderStatus.CANCELED)

    def replace(self, venue_order_id: VenueOrderId | None, wished: OrderTerms, replacement: int) -> VenueOrder:
        """Put another order in the place of one that works; raises VenueRefused."""
        before = self._working(venue_order_id, "order is not replaceable")
        traded = sum(order.filled_nanos for order in self._of(wished.order_id))
        if wished.quantity_nanos <= traded:
            raise VenueRefused("qty must be greater than filled qty")
        before.status = OrderStatus.CANCELED
        asked = VenueTerms(
            before.terms.symbol,
            before.terms.side,
            before.terms.order_type,
            before.terms.time_in_force,
            wished.quantity_nanos - traded,
            wished.price_nanos,
            wished.stop_price_nanos,
        )
        after = self._add(wished.order_id, replacement, asked)
        self._tell(after, OrderEventKind.UPDATED)
        self._trading.append(asyncio.get_running_loop().create_task(self._trade(after)))
        return after.view()

    def find(self, asked: Order) -> list[VenueOrder]:
        """An order and what took its place, as far as we may know of them; a stranger's by the venue's id."""
        if asked.terms.external:
            return [order.view() for order in self.orders if order.venue_order_id == asked.venue_order_id]
        possible = asked.replacements_possible
        return [order.view() for order in self._of(asked.order_id) if order.replacement <= possible]

    def hang_up(self) -> None:
        """Lose every connection to the stream."""
        for listener in tuple(self.listeners):
            listener.break_off()

    def freeze(self) -> None:
        """The market closes: nothing trades any more."""
        for task in self._trading:
            task.cancel()

    def positions(self) -> dict[str, int]:
        """What the account holds, by the venue's spelling, in nanos."""
        held: dict[str, int] = {}
        for order in self.orders:
            held[order.terms.symbol] = held.get(order.terms.symbol, 0) + order.terms.side.sign * order.filled_nanos
        return held

    async def _trade(self, order: Working) -> None:
        """The life that the seed has in store for an order."""
        if not order.replacement and self._chance.random() < self.rejected_later:
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            if order.status is OrderStatus.ACCEPTED:
                self._end(order, OrderStatus.REJECTED)
            return
        at_market = order.terms.order_type is OrderType.MARKET
        parts = self._chance.randint(1, 4) if at_market else self._chance.randint(0, 3)
        for part in range(parts):
            await asyncio.sleep(self._chance.uniform(0, 1.0 if at_market else 8.0))
            if order.status.is_closed:
                return
            whole = at_market and part == parts - 1
            self._fill(order, order.left_nanos if whole else self._part_of(order.left_nanos))
        if not at_market and self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.uniform(0, 8.0))
            if not order.status.is_closed:
                self._end(order, OrderStatus.EXPIRED)

    def _part_of(self, left_nanos: int) -> int:
        return self._chance.randint(1, left_nanos // ONE) * ONE if left_nanos >= ONE else left_nanos

    def _fill(self, order: Working, quantity_nanos: int) -> None:
        price = self._chance.randint(9_900, 10_100) * (ONE // 100)
        order.filled_nanos += quantity_nanos
        order.value += price * quantity_nanos
        order.status = OrderStatus.PARTIALLY_FILLED if order.left_nanos else OrderStatus.FILLED
        order.moved_ns = self._clock.now_ns()
        name = f"trade-{len(self.orders)}-{self._chance.getrandbits(64):x}"
        execution = Execution(name, price, quantity_nanos, cumulative_nanos=order.filled_nanos)
        order.fills.append(execution)
        self._tell(order, OrderEventKind.FILL, execution)

    def _add(self, order_id: OrderId | None, replacement: int, asked: VenueTerms) -> Working:
        name = VenueOrderId(f"venue-{len(self.orders)}")
        order = Working(order_id, replacement, name, asked, moved_ns=self._clock.now_ns())
        self.orders.append(order)
        return order

    def _end(self, order: Working, status: OrderStatus) -> None:
        order.status = status
        order.moved_ns = self._clock.now_ns()
        self._tell(order, OrderEventKind(status.value))

    def _of(self, order_id: OrderId) -> list[Working]:
        return [order for order in self.orders if order.order_id == order_id]

    def _working(self, venue_order_id: VenueOrderId | None, words: str) -> Working:
        found = [order for order in self.orders if order.venue_order_id == venue_order_id]
        if not found or found[0].status.is_closed:
            raise VenueRefused(words)
        return found[0]

    def _tell(self, order: Working, kind: OrderEventKind, execution: Execution | None = None) -> None:
        update = VenueUpdate(order.view(), kind, order.moved_ns, execution)
        for listener in tuple(self.listeners):
            listener.hear(update)
