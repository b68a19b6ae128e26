"""Keep brackets: their legs held until the market reaches one, and one leg's end the end of the other."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.execution.domain.bracket import leg_terms, open_nanos
from services.execution.domain.order import INITIALIZED, Fact, Order
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.orders import Orders
from trading.clock import Clock
from trading.ids import OrderId
from trading.order import OrderEventKind, OrderRole, OrderStatus


@dataclass(slots=True, eq=False)
class _Bracket:
    entry: LiveOrder
    legs: dict[OrderRole, LiveOrder] = field(default_factory=dict)
    reached: OrderRole | None = None
    canceling: set[OrderId] = field(default_factory=set)

    @property
    def open_nanos(self) -> int:
        """What the entry has opened and no leg has closed."""
        return open_nanos(self.entry.order, (leg.order for leg in self.legs.values()))

    def sibling(self, role: OrderRole) -> LiveOrder | None:
        """The other leg."""
        return next((leg for name, leg in self.legs.items() if name is not role), None)


class Brackets:
    """The legs are ours: no venue knows of one before it is sent. A stop fires at the market, a profit at its price."""

    def __init__(self, orders: Orders, cancel: Cancel, clock: Clock) -> None:
        self._orders = orders
        self._cancel = cancel
        self._clock = clock
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
            if terms.role in bracket.legs:
                continue
            leg = LiveOrder(Order(terms), correlation_id=entry.correlation_id, traceparent=entry.traceparent)
            now_ns = self._clock.now_ns()
            facts = (Fact(INITIALIZED, now_ns, terms=terms), Fact(OrderEventKind.EMULATED, now_ns))
            self._orders.journal.open(leg, facts)
            self._add(bracket, leg)

    async def restore(self) -> None:
        """Take up the brackets of an earlier run; legs that it did not come to hold are held now."""
        open_orders = self._orders.blotter.open_orders()
        for leg in [live for live in open_orders if live.order.terms.role is not None]:
            parent = leg.order.terms.parent_order_id
            entry = await self._orders.find(parent) if parent else None
            if entry is not None:
                self._add(self._brackets.setdefault(entry.order.order_id, _Bracket(entry)), leg)
            elif _is_held(leg):
                self._cancel_held(leg, "Its entry was never written.")
        for bracket in list(self._brackets.values()):
            await self._add_closed_legs(bracket)
        for entry in open_orders:
            self.begin(entry)
        for bracket in list(self._brackets.values()):
            self._settle(bracket)

    def reached(self, leg: LiveOrder) -> None:
        """The market has come to a leg's price."""
        bracket = self._brackets.get(leg.order.order_id)
        if bracket is not None and bracket.open_nanos > 0:
            bracket.reached = leg.order.terms.role
            self._settle(bracket)

    async def _add_closed_legs(self, bracket: _Bracket) -> None:
        wanted = {terms.order_id: terms.role for terms in leg_terms(bracket.entry.order.terms)}
        found = await self._orders.find_each([name for name, role in wanted.items() if role not in bracket.legs])
        for leg in found.values():
            self._add(bracket, leg)

    def _add(self, bracket: _Bracket, leg: LiveOrder) -> None:
        assert leg.order.terms.role is not None, "a leg has a role"
        bracket.legs[leg.order.terms.role] = leg
        self._brackets[leg.order.order_id] = bracket
        self._brackets[bracket.entry.order.order_id] = bracket

    def _moved(self, live: LiveOrder) -> None:
        bracket = self._brackets.get(live.order.order_id)
        if bracket is None:
            return
        # Afterwards: what follows from an event comes after it in the log.
        asyncio.get_running_loop().call_soon(self._settle, bracket)

    def _settle(self, bracket: _Bracket) -> None:
        """Do what follows from where the orders stand."""
        if bracket.entry.order.status.is_closed and bracket.open_nanos <= 0:
            for leg in bracket.legs.values():
                self._end(bracket, leg)
        elif bracket.reached is not None:
            self._close_at(bracket, bracket.legs[bracket.reached])
        self._forget_if_over(bracket)

    def _close_at(self, bracket: _Bracket, leg: LiveOrder) -> None:
        """Send a leg, once nothing else may still trade for the same position."""
        assert bracket.reached is not None, "a leg was reached"
        sibling = bracket.sibling(bracket.reached)
        rivals = [bracket.entry, *([sibling] if sibling else [])]
        working = [live for live in rivals if not live.order.status.is_closed and not _is_held(live)]
        if working:
            for live in working:
                self._end(bracket, live)
            return
        if _is_held(leg):
            self.release(leg, bracket.open_nanos)
        if sibling is not None and leg.order.terms.role is OrderRole.STOP_LOSS and not _is_held(leg):
            self._end(bracket, sibling)
        if not _is_held(leg):
            bracket.reached = None

    def _end(self, bracket: _Bracket, live: LiveOrder) -> None:
        order = live.order
        if order.status.is_closed:
            return
        if _is_held(live):
            self._cancel_held(live, "The bracket is over.")
        elif order.order_id not in bracket.canceling:
            # One at a time: where the venue refuses or does not answer, the next quote or fill tries again.
            bracket.canceling.add(order.order_id)
            asked = self._cancel.start(live)
            asked.add_done_callback(lambda _: bracket.canceling.discard(order.order_id))

    def _cancel_held(self, live: LiveOrder, reason: str) -> None:
        self._orders.journal.record(live, Fact(OrderEventKind.CANCELED, self._clock.now_ns(), reason=reason))

    def _forget_if_over(self, bracket: _Bracket) -> None:
        members = (bracket.entry, *bracket.legs.values())
        if all(live.order.status.is_closed for live in members):
            for live in members:
                self._brackets.pop(live.order.order_id, None)


def _is_held(live: LiveOrder) -> bool:
    return live.order.status is OrderStatus.EMULATED


def _hold_on(_leg: LiveOrder, _quantity_nanos: int) -> None:
    """Nobody sends legs yet."""
