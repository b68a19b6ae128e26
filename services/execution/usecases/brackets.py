"""Keep brackets: their legs held until the market reaches one, and one leg's end the end of the other."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.execution.domain.bracket import MOST_ATTEMPTS, attempt_of, leg_terms, open_nanos
from services.execution.domain.order import INITIALIZED, Fact, Order, OrderTerms
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from trading.clock import SECOND_NS, Clock
from trading.errors import Unavailable
from trading.ids import OrderId
from trading.order import OrderEventKind, OrderRole, OrderStatus


@dataclass(slots=True, eq=False)
class _Bracket:
    """`legs` are the newest of each role, `spent` those that the venue refused; `rests_until_ns` is monotonic."""

    entry: LiveOrder
    legs: dict[OrderRole, LiveOrder] = field(default_factory=dict)
    spent: list[LiveOrder] = field(default_factory=list)
    reached: OrderRole | None = None
    rests_until_ns: int = 0
    canceling: set[OrderId] = field(default_factory=set)
    is_given_up: bool = False

    @property
    def open_nanos(self) -> int:
        """What the entry has opened and no leg has closed."""
        return open_nanos(self.entry.order, (leg.order for leg in (*self.legs.values(), *self.spent)))

    def lost_legs(self) -> list[LiveOrder]:
        """What the venue ended, or we did before a late fill was told; what a person canceled stays canceled."""
        legs = list(self.legs.values())
        if self.open_nanos <= 0:
            return []
        is_bare = all(leg.order.status.is_closed for leg in legs)
        return [leg for leg in legs if leg.order.status in _LOST or (is_bare and _was_ours_to_end(leg.order))]

    def attempt(self, leg: LiveOrder) -> int:
        """Which attempt a leg is, from 1."""
        return attempt_of(self.entry.order.terms, leg.order.terms)

    def sibling(self, role: OrderRole) -> LiveOrder | None:
        """The other leg."""
        return next((leg for name, leg in self.legs.items() if name is not role), None)


class Brackets:
    """The legs are ours: no venue knows of one before it is sent. A stop fires at the market, a profit at its price.

    A leg that the venue refuses is held anew at once, and sent again after `rest_s` at the earliest, each time twice
    as long.
    """

    def __init__(
        self,
        orders: Orders,
        cancel: Cancel,
        background: Background,
        observer: Observer,
        clock: Clock,
        log: Any,
        *,
        rest_s: float,
    ) -> None:
        self._orders = orders
        self._cancel = cancel
        self._background = background
        self._observer = observer
        self._clock = clock
        self._log = log
        self._rest_s = rest_s
        self._brackets: dict[OrderId, _Bracket] = {}
        self.release: Callable[[LiveOrder, int], None] = _hold_on
        orders.blotter.on_move = self._moved

    def begin(self, entry: LiveOrder) -> None:
        """Hold the legs of a new entry; an order that is no bracket has none."""
        if not entry.order.terms.is_bracket:
            return
        bracket = self._brackets.setdefault(entry.order.order_id, _Bracket(entry))
        for terms in leg_terms(entry.order.terms):
            assert terms.role is not None, "a leg has a role"
            if terms.role not in bracket.legs:
                self._hold(bracket, terms)

    async def restore(self) -> None:
        """Take up the brackets of an earlier run; legs that it did not come to hold are held now."""
        open_orders = self._orders.blotter.open_orders()
        lost = await self._orders.newest(_LOST, _MOST_ENDED, _is_leg)
        for leg in [live for live in (*open_orders, *lost) if _is_leg(live.order)]:
            parent = leg.order.terms.parent_order_id
            entry = await self._orders.find(parent) if parent else None
            if entry is not None:
                self._add(self._brackets.setdefault(entry.order.order_id, _Bracket(entry)), leg)
            elif _is_held(leg):
                self._cancel_held(leg, "Its entry was never written.")
        ended = await self._orders.newest(_ENDED_EARLY, _MOST_ENDED, _has_opened)
        filled = await self._orders.newest(_FILLED, _MOST_ENDED, _has_opened)
        for entry in (*open_orders, *ended, *filled):
            if entry.order.terms.is_bracket:
                self._brackets.setdefault(entry.order.order_id, _Bracket(entry))
        for bracket in dict.fromkeys(self._brackets.values()):
            await self._add_closed_legs(bracket)
        for entry in open_orders:
            self.begin(entry)
        for bracket in list(self._brackets.values()):
            self._settle(bracket)

    def reached(self, leg: LiveOrder) -> None:
        """The market has come to a leg's price."""
        bracket = self._brackets.get(leg.order.order_id)
        if bracket is None or self._clock.monotonic_ns() < bracket.rests_until_ns:
            return
        if bracket.open_nanos > 0:
            bracket.reached = leg.order.terms.role
            self._settle(bracket)

    async def _take_up(self, entry: LiveOrder) -> None:
        """A bracket that was over is not: its entry traded before its end, and only now were we told."""
        bracket = self._brackets.setdefault(entry.order.order_id, _Bracket(entry))
        while True:
            try:
                await self._add_closed_legs(bracket)
            except Unavailable as error:  # a restart would find it too
                self._log.warning("bracket.later", order_id=entry.order.order_id, error=error.message)
                await asyncio.sleep(self._rest_s)
            else:
                self._settle(bracket)
                return

    async def _add_closed_legs(self, bracket: _Bracket) -> None:
        attempts = range(1, MOST_ATTEMPTS + 1)
        wanted = [terms.order_id for attempt in attempts for terms in leg_terms(bracket.entry.order.terms, attempt)]
        found = await self._orders.find_each([name for name in wanted if name not in self._brackets])
        for leg in found.values():
            self._add(bracket, leg)

    def _hold(self, bracket: _Bracket, terms: OrderTerms) -> None:
        entry, now_ns = bracket.entry, self._clock.now_ns()
        leg = LiveOrder(Order(terms), correlation_id=entry.correlation_id, traceparent=entry.traceparent)
        facts = (Fact(INITIALIZED, now_ns, terms=terms), Fact(OrderEventKind.EMULATED, now_ns))
        self._orders.journal.open(leg, facts)
        self._add(bracket, leg)

    def _add(self, bracket: _Bracket, leg: LiveOrder) -> None:
        """The newest attempt of a role is the leg; the others are spent."""
        role = leg.order.terms.role
        assert role is not None, "a leg has a role"
        known = bracket.legs.get(role)
        if known is not None:
            leg_before, leg_after = sorted((known, leg), key=bracket.attempt)
            bracket.spent.append(leg_before)
        bracket.legs[role] = leg if known is None else leg_after
        self._brackets[leg.order.order_id] = bracket
        self._brackets[bracket.entry.order.order_id] = bracket

    def _moved(self, live: LiveOrder) -> None:
        bracket = self._brackets.get(live.order.order_id)
        if bracket is None:
            if live.order.status.is_closed and _has_opened(live.order):
                self._background.start(self._take_up(live))
            return
        # Afterwards: what follows from an event comes after it in the log.
        asyncio.get_running_loop().call_soon(self._settle, bracket)

    def _settle(self, bracket: _Bracket) -> None:
        """Do what follows from where the orders stand."""
        if bracket.entry.order.status.is_closed and bracket.open_nanos <= 0:
            for leg in bracket.legs.values():
                self._end(bracket, leg, _OVER)
            self._forget_if_over(bracket)
            return
        for leg in bracket.lost_legs():
            self._hold_again(bracket, leg)
        if bracket.reached is not None:
            self._close_at(bracket, bracket.legs[bracket.reached])
        self._forget_if_over(bracket)

    def _hold_again(self, bracket: _Bracket, lost: LiveOrder) -> None:
        """Hold a lost leg anew: in the log at once, so that a crash does not lose it."""
        attempt, order = bracket.attempt(lost), lost.order
        if not attempt or attempt >= MOST_ATTEMPTS:
            if not bracket.is_given_up:
                bracket.is_given_up = True
                self._observer.unprotected()
                self._log.error(
                    "bracket.unprotected", order_id=order.order_id, role=order.terms.role, error=order.reason
                )
            return
        self._log.warning("bracket.leg_lost", order_id=order.order_id, attempt=attempt, error=order.reason)
        if order.status is OrderStatus.REJECTED:
            bracket.reached = None
            bracket.rests_until_ns = self._clock.monotonic_ns() + (int(self._rest_s * SECOND_NS) << (attempt - 1))
        again = leg_terms(bracket.entry.order.terms, attempt + 1)
        self._hold(bracket, next(terms for terms in again if terms.role is order.terms.role))

    def _close_at(self, bracket: _Bracket, leg: LiveOrder) -> None:
        """Send a leg, once nothing else may still trade for the same position."""
        assert bracket.reached is not None, "a leg was reached"
        sibling = bracket.sibling(bracket.reached)
        rivals = [bracket.entry, *([sibling] if sibling else [])]
        working = [live for live in rivals if not live.order.status.is_closed and not _is_held(live)]
        if working:
            for live in working:
                self._end(bracket, live, _REACHED)
            return
        if _is_held(leg):
            self.release(leg, bracket.open_nanos)
        if sibling is not None and leg.order.terms.role is OrderRole.STOP_LOSS and not _is_held(leg):
            self._end(bracket, sibling, _REACHED)
        if not _is_held(leg):
            bracket.reached = None

    def _end(self, bracket: _Bracket, live: LiveOrder, reason: str) -> None:
        order = live.order
        if order.status.is_closed:
            return
        if _is_held(live):
            self._cancel_held(live, reason)
        elif order.order_id not in bracket.canceling:
            # One at a time: where the venue refuses or does not answer, the next quote or fill tries again.
            bracket.canceling.add(order.order_id)
            asked = self._cancel.start(live)
            asked.add_done_callback(lambda _: bracket.canceling.discard(order.order_id))

    def _cancel_held(self, live: LiveOrder, reason: str) -> None:
        self._orders.journal.record(live, Fact(OrderEventKind.CANCELED, self._clock.now_ns(), reason=reason))

    def _forget_if_over(self, bracket: _Bracket) -> None:
        members = (bracket.entry, *bracket.legs.values(), *bracket.spent)
        if all(live.order.status.is_closed for live in members):
            for live in members:
                self._brackets.pop(live.order.order_id, None)


_OVER = "The bracket is over."
_REACHED = "The other leg was reached."
_LOST = frozenset({OrderStatus.REJECTED, OrderStatus.EXPIRED})
_ENDED_EARLY = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED})
_FILLED = frozenset({OrderStatus.FILLED})
_MOST_ENDED = 500
"""How many orders of each such end are looked at after a restart.

A late fill may have left an entry without legs, and a crash after a leg's refusal may have come before the next one.
"""


def _is_leg(order: Order) -> bool:
    return order.terms.role is not None


def _has_opened(order: Order) -> bool:
    return order.terms.is_bracket and order.filled_nanos > 0


def _was_ours_to_end(leg: Order) -> bool:
    """It did what it was for, or was canceled because nothing seemed left to do."""
    return leg.status is OrderStatus.FILLED or (leg.status is OrderStatus.CANCELED and leg.reason in (_OVER, _REACHED))


def _is_held(live: LiveOrder) -> bool:
    return live.order.status is OrderStatus.EMULATED


def _hold_on(_leg: LiveOrder, _quantity_nanos: int) -> None:
    """Nobody sends legs yet."""
