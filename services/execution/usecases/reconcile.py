"""Reconcile our orders with the venue's: at the start, after every reconnect, and while answers are missing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from services.execution.domain.adoption import adopted_id
from services.execution.domain.holdings import sum_of
from services.execution.domain.lifecycle import HELD
from services.execution.domain.news import differences, not_at_venue, unheeded
from services.execution.domain.order import Fact
from services.execution.domain.venue import VenueOrder
from services.execution.ports.venue import Broker
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.record_venue_event import RecordVenueEvent
from trading.clock import SECOND_NS, Clock
from trading.errors import Unavailable
from trading.ids import OrderId
from trading.order import OrderEventKind, OrderStatus

_IN_FLIGHT = frozenset(
    {OrderStatus.SUBMITTED, OrderStatus.UNRESOLVED, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_UPDATE}
)

_TRIES_FOR_A_CALM = 20


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often and how far reconciliation looks.

    In-flight orders every `in_flight_every_s` once they have not moved for `in_flight_age_s`; open ones every
    `open_every_s`, positions every `positions_every_s`. An order is not at the venue after `misses` targeted queries
    `miss_apart_s` apart. At the start everything sent in the last `lookback_s` is compared too.
    """

    in_flight_every_s: float = 2.0
    in_flight_age_s: float = 5.0
    open_every_s: float = 10.0
    positions_every_s: float = 60.0
    misses: int = 2
    miss_apart_s: float = 10.0
    lookback_s: float = 3600.0


class Reconcile:
    """One pass brings our orders to where the venue has them; a second pass finds nothing."""

    def __init__(
        self,
        broker: Broker,
        orders: Orders,
        record: RecordVenueEvent,
        market: Market,
        observer: Observer,
        clock: Clock,
        rhythm: Rhythm,
        log: Any,
    ) -> None:
        self._broker = broker
        self._orders = orders
        self._record = record
        self._market = market
        self._observer = observer
        self._clock = clock
        self._rhythm = rhythm
        self._log = log
        self.before_positions: Callable[[], Awaitable[object]] = _nothing

    async def everything(self) -> int:
        """Compare every open order, and every recent one, with the venue; returns the number of differences."""
        since_ns = self._clock.now_ns() - int(self._rhythm.lookback_s * SECOND_NS)
        recent = await self._broker.orders_since(since_ns, self._orders.blotter.venue_symbols())
        found = _by_id([*recent, *await self._broker.open_orders()])
        ours = await self._orders.find_each(list(found))
        plain = [live for live in ours.values() if not live.order.replacements_possible]
        changes = sum([self._compare(live, found[live.order.order_id]) for live in plain])
        strangers = [order for order_id, order in found.items() if order_id not in ours]
        changes += sum([await self._record.adopt(order) for order in strangers])
        others = {live.order.order_id: live for live in (*ours.values(), *self._at_venue()) if live not in plain}
        return changes + await self._ask_each(others.values())

    async def opening_positions(self) -> int:
        """Take in what the venue account held before we were; returns how many positions. Once, at the very start.

        Another program may be trading: the venue's word counts when no order has moved around it.
        """
        held = sum_of(self._orders.blotter.holdings.values())
        for _ in range(_TRIES_FOR_A_CALM):
            word = await self._broker.positions()
            changes = await self.everything()
            before, held = held, sum_of(self._orders.blotter.holdings.values())
            if not changes and held == before:
                break
        taken = sum([await self._record.adopt_position(found, held) for found in word])
        await self._orders.journal.flush()  # before the account opens, which says that it was done
        return taken

    async def positions(self) -> int:
        """Compare what we hold with what the venue says; returns the number of differences, which only people mend.

        No trade explains them: a transfer, a corporate action, an order of another program that went by unseen.
        """
        await self.before_positions()
        word = {await self._market.symbol(found.symbol): found for found in await self._broker.positions()}
        ours = sum_of(self._orders.blotter.holdings.values())
        names = {*word, *(name for name, quantity in ours.items() if quantity)}
        apart = 0
        for name in sorted(names):
            quantity = word[name].quantity_nanos if name in word else 0
            if quantity != ours.get(name, 0) and not self._orders.blotter.is_moving(name, self._settled_before()):
                apart += 1
                self._observer.discrepancy()
                self._log.error("reconcile.position", symbol=name, ours=ours.get(name, 0), venue=quantity)
        return apart

    async def open_orders(self) -> int:
        """Compare the open orders that have not moved for a while; returns the number of differences."""
        found = _by_id(await self._broker.open_orders())
        changes = 0
        missing = []
        for live in self._quiet(self._at_venue()):
            venue_order = found.get(live.order.order_id)
            if venue_order is None or live.order.replacements_possible:
                missing.append(live)
            else:
                changes += self._compare(live, venue_order)
        ours = await self._orders.find_each(list(found))
        changes += sum([await self._record.adopt(order) for name, order in found.items() if name not in ours])
        return changes + await self._ask_each(missing)

    async def in_flight(self) -> int:
        """Ask for every order whose answer is overdue; returns the number of differences."""
        waiting = [live for live in self._at_venue() if live.order.status in _IN_FLIGHT]
        unresolved = [live for live in waiting if live.order.status is OrderStatus.UNRESOLVED]
        others = self._quiet([live for live in waiting if live.order.status is not OrderStatus.UNRESOLVED])
        return await self._ask_each([*unresolved, *others])

    async def forever(self) -> None:
        """Keep looking, each kind of order at its own pace; the venue's silence is waited out."""
        next_open = next_positions = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(self._rhythm.in_flight_every_s)
            try:
                await self.in_flight()
                if self._clock.monotonic_ns() >= next_open:
                    await self.open_orders()
                    next_open = self._clock.monotonic_ns() + int(self._rhythm.open_every_s * SECOND_NS)
                if self._clock.monotonic_ns() >= next_positions:
                    await self.positions()
                    next_positions = self._clock.monotonic_ns() + int(self._rhythm.positions_every_s * SECOND_NS)
            except Unavailable as error:
                self._log.warning("reconcile.later", error=error.message)

    def _at_venue(self) -> list[LiveOrder]:
        """Open orders that the venue may know of."""
        return [live for live in self._orders.blotter.open_orders() if live.order.status not in HELD]

    def _settled_before(self) -> int:
        return self._clock.monotonic_ns() - int(self._rhythm.in_flight_age_s * SECOND_NS)

    def _quiet(self, orders: Iterable[LiveOrder]) -> list[LiveOrder]:
        oldest = self._settled_before()
        return [live for live in orders if live.moved_ns <= oldest]

    async def _ask_each(self, orders: Iterable[LiveOrder]) -> int:
        changes = 0
        for live in orders:
            found = await self._broker.find(live.order)
            changes += self._missed(live) if found is None else self._compare(live, found)
        return changes

    def _compare(self, live: LiveOrder, found: VenueOrder) -> int:
        """Bring an order to where the venue has it; what one fact uncovers, as a change behind a cancel, follows it."""
        live.misses = 0
        is_quiet = live in self._quiet([live])
        changes = 0
        for _ in range(_MOST_STEPS):
            facts = self._facts(live, found, is_quiet=is_quiet)
            for fact in facts:
                self._note(live, fact)
            changes += len(facts)
            if not facts:
                break
        return changes

    def _facts(self, live: LiveOrder, found: VenueOrder, *, is_quiet: bool) -> list[Fact]:
        facts = differences(live.order, found)
        refusal = unheeded(live.order, found, self._clock.now_ns()) if is_quiet and not facts else None
        return [refusal] if refusal else facts

    def _missed(self, live: LiveOrder) -> int:
        """The venue says that it has no such order: believed only when it says so again, later."""
        now_ns = self._clock.monotonic_ns()
        if live.order.status.is_closed or _is_being_sent(live):
            return 0
        if live.misses and now_ns - live.missed_ns < self._rhythm.miss_apart_s * SECOND_NS:
            return 0
        live.misses += 1
        live.missed_ns = now_ns
        if live.order.status is OrderStatus.SUBMITTED:
            self._note(
                live, Fact(OrderEventKind.UNRESOLVED, self._clock.now_ns(), reason="The venue does not know it.")
            )
        if live.misses < self._rhythm.misses:
            return 0
        self._note(live, not_at_venue(live.order, self._clock.now_ns()))
        return 1

    def _note(self, live: LiveOrder, fact: Fact) -> None:
        self._log.info(
            "reconcile.difference",
            order_id=live.order.order_id,
            was=live.order.status,
            kind=fact.kind,
            reason=fact.reason,
        )
        self._observer.discrepancy()
        self._record.record(live, fact)


async def _nothing() -> None:
    """Nothing moves positions beside trades."""


_MOST_STEPS = 5
"""Of one comparison: a fill, a cancel that was not heeded, the change behind it, and the end of that."""


def _is_being_sent(live: LiveOrder) -> bool:
    """A submit of this very process is under way and will tell by itself what came of it."""
    return live.order.status is OrderStatus.SUBMITTED and live.received_ns is not None


def _by_id(found: Iterable[VenueOrder]) -> dict[OrderId, VenueOrder]:
    """By our id; a stranger's order by the id that it would be adopted under."""
    return {order.order_id or adopted_id(order): order for order in found}
