"""What must be true of a life of orders, whatever went wrong: checked from the log, the venue's books and the callers.

The same checker judges the simulation and the real service after a kill -9.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.execution.domain.bracket import MOST_ATTEMPTS, open_nanos
from services.execution.domain.chain import verify
from services.execution.domain.order import INITIALIZED, Order, OrderEvent, fold
from services.execution.domain.venue import VenueOrder
from trading.clock import SECOND_NS
from trading.errors import TradingError
from trading.ids import OrderId
from trading.order import OrderStatus

_FINE_WITHOUT_VENUE = frozenset(
    {OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.EMULATED}
)
_EXPIRY_NS = 15 * SECOND_NS
"""An order that is over has ended after this long at the latest."""


@dataclass(frozen=True)
class Evidence:
    """What is left after the faults: everything in the order in which it happened, quantities in nanos.

    `acknowledged` are the answers that callers got, by their client order id; positions are by canonical symbol and
    leave flat ones out. `published` are the event ids on JetStream, None where nobody looked. `is_operated` says that
    somebody canceled what he found, legs of brackets included.
    """

    acknowledged: Mapping[str, OrderId]
    events: Sequence[OrderEvent]
    venue_orders: Sequence[VenueOrder]
    held: Mapping[str, int]
    held_at_venue: Mapping[str, int]
    outbox: int = 0
    published: Collection[str] | None = None
    ended_ns: int = 0
    is_operated: bool = False
    surprises: Sequence[str] = field(default=())

    def lives(self) -> dict[OrderId, list[OrderEvent]]:
        """The events by order."""
        lives: defaultdict[OrderId, list[OrderEvent]] = defaultdict(list)
        for event in self.events:
            lives[event.order_id].append(event)
        return dict(lives)


def violations(evidence: Evidence) -> list[str]:
    """Every promise that was broken, in words; none is what all of this is about."""
    lives = evidence.lives()
    orders, broken = _folded(lives)
    return [
        *evidence.surprises,
        *broken,
        *_lost(evidence, orders),
        *_sent_twice(evidence),
        *_traded_otherwise(evidence, orders),
        *_doubled(evidence),
        *_positions(evidence, orders),
        *_unpublished(evidence),
        *_brackets(evidence, orders),
        *_overdue(evidence, orders),
    ]


def unlike_the_venue(order: Order, found: Iterable[VenueOrder]) -> str | None:
    """What keeps our order from being as the venue has it, the newest of `found` and all their fills."""
    views = sorted(found, key=lambda each: each.replacement)
    filled, newest = sum(each.filled_nanos for each in views), views[-1]
    if order.filled_nanos != filled:
        return f"{order.order_id} has traded {order.filled_nanos} here and {filled} at the venue"
    if order.status.is_closed != newest.status.is_closed:
        return f"{order.order_id} is {order.status} here and {newest.status} at the venue"
    if (order.status is OrderStatus.FILLED) != (newest.status is OrderStatus.FILLED):
        return f"{order.order_id} is {order.status} here and {newest.status} at the venue"
    return None


def by_order(venue_orders: Iterable[VenueOrder]) -> dict[OrderId, list[VenueOrder]]:
    """Our orders at the venue, with what took their place."""
    found: defaultdict[OrderId, list[VenueOrder]] = defaultdict(list)
    for order in venue_orders:
        if order.order_id is not None:
            found[order.order_id].append(order)
    return dict(found)


def _folded(lives: Mapping[OrderId, Sequence[OrderEvent]]) -> tuple[dict[OrderId, Order], list[str]]:
    """I4: legal transitions, versions without a gap, whole chains."""
    orders, broken = {}, []
    for order_id, events in lives.items():
        try:
            verify(events)
            orders[order_id] = fold(events)
        except TradingError as error:
            broken.append(f"I4 {order_id} is no life of an order: {error.message} {error.metadata}")
    return orders, broken


def _lost(evidence: Evidence, orders: Mapping[OrderId, Order]) -> Iterator[str]:
    """I1: what was acknowledged is in the log, under the caller's id."""
    for client_order_id, order_id in evidence.acknowledged.items():
        order = orders.get(order_id)
        if order is None:
            yield f"I1 {client_order_id} was acknowledged as {order_id} and is not in the log"
        elif order.terms.client_order_id != client_order_id:
            yield f"I1 {client_order_id} was acknowledged as an order of {order.terms.client_order_id}"


def _sent_twice(evidence: Evidence) -> Iterator[str]:
    """I2: one order in the log and at most one at the venue for each key; no other order under an id of ours."""
    keys = Counter(
        (event.terms.account, event.terms.client_order_id)
        for event in evidence.events
        if event.kind == INITIALIZED and event.terms is not None
    )
    for (_, client_order_id), count in keys.items():
        if count > 1:
            yield f"I2 {client_order_id} was taken {count} times"
    sent = Counter((order.order_id, order.replacement) for order in evidence.venue_orders if order.order_id)
    for (order_id, _), count in sent.items():
        if count > 1:
            yield f"I2 {order_id} was sent {count} times"


def _traded_otherwise(evidence: Evidence, orders: Mapping[OrderId, Order]) -> Iterator[str]:
    """I2: fills within the quantity, and every order where the venue has it."""
    at_venue = by_order(evidence.venue_orders)
    for order_id, order in orders.items():
        if order.filled_nanos > order.terms.quantity_nanos:
            yield f"I2 {order_id} traded {order.filled_nanos} of {order.terms.quantity_nanos}"
        if order_id in at_venue:
            difference = unlike_the_venue(order, at_venue[order_id])
            if difference:
                yield f"I2 {difference}"
        elif not order.terms.external and order.status not in _FINE_WITHOUT_VENUE:
            yield f"I2 {order_id} is {order.status} and the venue does not have it"
    for order_id in at_venue.keys() - orders.keys():
        yield f"I2 {order_id} is at the venue and not in the log"


def _doubled(evidence: Evidence) -> Iterator[str]:
    """I2: each event once, each trade once."""
    for event_id, count in Counter(event.event_id for event in evidence.events).items():
        if count > 1:
            yield f"I2 event {event_id} is in the log {count} times"
    trades = Counter(
        (event.order_id, event.execution.execution_id) for event in evidence.events if event.execution is not None
    )
    for (order_id, execution_id), count in trades.items():
        if count > 1:
            yield f"I2 trade {execution_id} of {order_id} counts {count} times"


def _positions(evidence: Evidence, orders: Mapping[OrderId, Order]) -> Iterator[str]:
    """I3: positions = Σ fills = what the venue holds for us."""
    fills: Counter[str] = Counter()
    for order in orders.values():
        fills[order.terms.symbol] += order.terms.side.sign * order.filled_nanos
    for symbol in sorted(fills.keys() | evidence.held.keys() | evidence.held_at_venue.keys()):
        ours, venues = evidence.held.get(symbol, 0), evidence.held_at_venue.get(symbol, 0)
        if not fills[symbol] == ours == venues:
            yield f"I3 {symbol}: fills {fills[symbol]}, position {ours}, at the venue {venues}"


def _unpublished(evidence: Evidence) -> Iterator[str]:
    """I5: the outbox is empty, and every event but a creation was told once."""
    if evidence.outbox:
        yield f"I5 {evidence.outbox} events wait to be published"
    if evidence.published is not None:
        told = {event.event_id for event in evidence.events if event.kind != INITIALIZED}
        if missing := told - set(evidence.published):
            yield f"I5 {len(missing)} events were never published"
        if invented := set(evidence.published) - told:
            yield f"I5 {len(invented)} events were published and are not in the log"


def _brackets(evidence: Evidence, orders: Mapping[OrderId, Order]) -> Iterator[str]:
    """I8: legs close what their entry has opened and no more; a position keeps a leg, and no leg outlives it."""
    legs: defaultdict[OrderId | None, list[Order]] = defaultdict(list)
    for order in orders.values():
        legs[order.terms.parent_order_id].append(order)
    for order_id, entry in orders.items():
        if not entry.terms.is_bracket or entry.status is OrderStatus.DENIED:
            continue
        left = open_nanos(entry, legs[order_id])
        working = [leg for leg in legs[order_id] if not leg.status.is_closed]
        if left < 0:
            yield f"I8 the legs of {order_id} have closed {-left} more than it opened"
        if entry.status.is_closed and left == 0 and working:
            yield f"I8 {len(working)} legs of {order_id} are open, and nothing is left to close"
        refused = sum(leg.status is OrderStatus.REJECTED for leg in legs[order_id])
        if left > 0 and not working and not evidence.is_operated and refused < MOST_ATTEMPTS:
            yield f"I8 {left} of {order_id} are without a leg: {[str(leg.status) for leg in legs[order_id]]}"


def _overdue(evidence: Evidence, orders: Mapping[OrderId, Order]) -> Iterator[str]:
    """I9: what had an end has ended."""
    for order_id, order in orders.items():
        end_ns = order.terms.expire_time_ns
        if end_ns is not None and end_ns + _EXPIRY_NS < evidence.ended_ns and not order.status.is_closed:
            yield f"I9 {order_id} is {order.status} after its end"
