"""Runs groups of orders: begins them, and does to their members what the events of others mean for them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.paper_venue.domain.account import Account
from services.paper_venue.domain.admission import Admission
from services.paper_venue.domain.groups import Group, GroupRequest, Step, StepKind
from services.paper_venue.domain.matching import MatchingEngine
from services.paper_venue.domain.orders import Membership, Order, OrderEvent
from services.paper_venue.domain.register import Register
from trading.errors import AlreadyExists, FailedPrecondition
from trading.instruments import Instrument, Instruments


@dataclass(frozen=True, slots=True)
class GroupDesk:
    """Every method that lets something happen yields lists of events, each to be told before the next is asked for."""

    engine: MatchingEngine
    account: Account
    admission: Admission
    register: Register
    instruments: Instruments

    def check(self, request: GroupRequest, instrument: Instrument) -> int:
        """Refuse a group if any of its orders is refused; the first one stands for the means of all.

        Returns what a unit of it may cost at worst, in nanos; raises like `Exchange.submit`.
        """
        for order in request.orders:
            self.register.check_name(order.client_order_id)
            self.admission.check_words(order, instrument)
        names = [order.client_order_id for order in request.orders if order.client_order_id]
        if len(set(names)) < len(names):
            raise AlreadyExists("client_order_id must be unique", client_order_id=names[0])
        first, quantity = request.orders[0], request.orders[0].quantity_nanos
        price = max(self.admission.price_of(order, quantity) for order in request.orders if order.side is first.side)
        self.admission.check_wash_trade(first, price)
        self.admission.check_means(first, quantity, price, instrument)
        return price

    def enter(self, request: GroupRequest, now_ns: int) -> list[Order]:
        """Enter the orders of a new group, all of them held."""
        group = self.register.groups.open(self.register.new_id(), request, now_ns)
        orders = []
        for number, each in enumerate(request.orders):
            member = Membership(group.group_id, group.kind, is_entry=group.has_entry and number == 0)
            orders.append(self.register.enter(each, each.quantity_nanos, now_ns, group=member))
            group.order_ids.append(orders[-1].order_id)
        return orders

    def begin(self, orders: list[Order], price: int, now_ns: int) -> Iterator[list[OrderEvent]]:
        """Let the first order work; the others wait until it is filled, or work beside it (OCO)."""
        first, *others = orders
        # All are known to the engine, in their order, before the first one works.
        _, *waits = [event for order in orders for event in self.engine.hold(order, now_ns)]
        self.account.hold(first, price)
        accepted, *rest = self.engine.submit(first, now_ns)
        if first.group is not None and first.group.is_entry:
            yield [accepted, *waits, *rest]
            return
        yield [accepted, *rest]
        for order in others:
            if order.order_id in self.engine.open_orders:
                yield self.engine.release(order.order_id, now_ns)

    def follow(self, event: OrderEvent) -> Iterator[list[OrderEvent]]:
        """Do to the other members of a group what an event of one member means for them."""
        group = self.register.groups.of(event.order)
        if group is None:
            return
        for step in group.follow(event):
            order = self.engine.open_orders.get(step.order_id)
            if order is not None:
                yield self._take(step, order, group, event.time_ns)
        survivor = event.order
        if group.over and survivor.status.is_open and not self.account.holds(survivor.order_id):
            # The pair's one hold was the other's.
            self.account.hold(survivor, self.admission.price_of(survivor.request, survivor.quantity_nanos))

    def _take(self, step: Step, order: Order, group: Group, now_ns: int) -> list[OrderEvent]:
        match step.kind:
            case StepKind.CANCEL:
                return self.engine.cancel(order.order_id, now_ns)
            case StepKind.EXPIRE:
                return self.engine.expire(order.order_id, now_ns)
            case StepKind.SHRINK:
                quantity = order.filled_nanos + step.remaining_nanos
                smaller = quantity < order.quantity_nanos
                return self.engine.amend(replace(order, quantity_nanos=quantity), now_ns) if smaller else []
            case StepKind.RELEASE:
                return self._release(order, group, now_ns)

    def _release(self, order: Order, group: Group, now_ns: int) -> list[OrderEvent]:
        """Let a held order work; one hold stands for both of a pair, for only one can be filled."""
        if group.exit_ids[0] == order.order_id:
            quantity, instrument = order.quantity_nanos, self.instruments.get(order.symbol)
            price = self.admission.price_of(order.request, quantity)
            try:
                self.admission.check_means(order.request, quantity, price, instrument)
            except FailedPrecondition:
                return self.engine.expire(order.order_id, now_ns)
            self.account.hold(order, price)
        return self.engine.release(order.order_id, now_ns)
