"""What is new in the venue's word: the facts that our order does not know yet, each exactly once."""

from collections.abc import Container
from dataclasses import replace

from services.execution.domain.lifecycle import FOLLOWERS, RESTORERS
from services.execution.domain.order import Execution, Fact, Order, OrderTerms
from services.execution.domain.venue import VenueOrder, VenueUpdate
from trading.ids import hashed_id
from trading.money import divide_half_even
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus as S

NOT_AT_VENUE = "NOT_AT_VENUE"
_BEFORE_ANSWER = frozenset({S.INITIALIZED, S.SUBMITTED, S.UNRESOLVED})
_REFUSALS = {S.PENDING_CANCEL: Kind.CANCEL_REJECTED, S.PENDING_UPDATE: Kind.MODIFY_REJECTED}
_BESIDE_CHANGE = frozenset({S.ACCEPTED, S.TRIGGERED, S.PARTIALLY_FILLED})
_CLOSING = {S.CANCELED: Kind.CANCELED, S.EXPIRED: Kind.EXPIRED, S.REJECTED: Kind.REJECTED}


def news_of(order: Order, update: VenueUpdate, known_executions: Container[str]) -> Fact | None:
    """The fact in a message of the stream, or None when it is late or was told before."""
    if update.execution is not None:
        known = _is_known(order, update, update.execution, known_executions)
        return None if known else _fill(order, update, update.execution)
    if update.order.replacement < order.replacements or not _follows(order, update):
        return None  # the end of an order that another took the place of is no end of ours
    return Fact(
        update.kind,
        update.event_time_ns,
        reason=update.order.reason,
        venue_order_id=update.order.venue_order_id,
        terms=_granted(order) if update.kind is Kind.UPDATED else None,
    )


def changes_behind(order: Order, update: VenueUpdate) -> list[Fact]:
    """That a change took place, where the stream tells of the new order before it tells of the change."""
    is_told_next = update.kind is Kind.UPDATED and order.status is S.PENDING_UPDATE
    if is_told_next or update.order.replacement <= order.replacements:
        return []
    return _of_change(order, update.order)


def fills_behind(order: Order, update: VenueUpdate) -> list[Fact]:
    """What an end says has traded and nobody has told: counted before it, for what follows from an end is by its sum.

    Of an order that took another's place the sum alone does not tell the price: there a comparison finds it.
    """
    found = update.order
    if found.status not in _CLOSING or order.status.is_closed or order.replacements or found.replacement:
        return []
    return [_inferred_fill(order, found)] if found.filled_nanos > order.filled_nanos else []


def differences(order: Order, found: VenueOrder) -> list[Fact]:
    """The facts that bring our order to where the venue has it; none when they agree.

    Their ids are a function of the facts, so that finding them twice records them once.
    """
    facts = _of_change(order, found)
    if order.status in _BEFORE_ANSWER and found.status is not S.REJECTED:
        facts.append(_found(order, found, Kind.ACCEPTED))
    if found.filled_nanos > order.filled_nanos:
        facts.append(_inferred_fill(order, found))
    closing = _CLOSING.get(found.status)
    if closing is Kind.REJECTED and order.filled_nanos:
        closing = Kind.CANCELED  # what has traded cannot have been refused
    if closing is not None and not order.status.is_closed:
        facts.append(_found(order, found, closing))
    return facts


def unheeded(order: Order, found: VenueOrder, now_ns: int) -> Fact | None:
    """What was asked for and is not so at the venue, which works on as if it had not been asked: a refusal."""
    if order.status not in _REFUSALS or found.status not in (S.ACCEPTED, S.PARTIALLY_FILLED):
        return None
    return Fact(_REFUSALS[order.status], now_ns, reconciliation=True)


def not_at_venue(order: Order, now_ns: int) -> Fact:
    """The end of an order that the venue has proved not to have."""
    kind = Kind.REJECTED if S.REJECTED in FOLLOWERS[order.status] and not order.filled_nanos else Kind.CANCELED
    event_id = hashed_id("reconciliation", order.order_id, kind, NOT_AT_VENUE)
    return Fact(kind, now_ns, reason=NOT_AT_VENUE, event_id=event_id, reconciliation=True)


def _of_change(order: Order, found: VenueOrder) -> list[Fact]:
    """A change that a fill or a refused cancel interrupted goes on; one that the venue has made is over."""
    facts = []
    interrupted = order.wished is not None and order.status in _BESIDE_CHANGE
    if interrupted:
        event_id = hashed_id("reconciliation", order.order_id, Kind.PENDING_UPDATE, order.version)
        facts.append(
            Fact(Kind.PENDING_UPDATE, found.event_time_ns, event_id=event_id, terms=order.wished, reconciliation=True)
        )
    if _took_place(order, found) or (interrupted and found.replacement > order.replacements):
        facts.append(replace(_found(order, found, Kind.UPDATED), terms=_granted(order)))
    return facts


def _granted(order: Order) -> OrderTerms | None:
    """What a change that took place came to: a smaller quantity than has traded meanwhile is what has traded."""
    if order.wished is None or order.wished.quantity_nanos >= order.filled_nanos:
        return order.wished
    return replace(order.wished, quantity_nanos=order.filled_nanos)


def _took_place(order: Order, found: VenueOrder) -> bool:
    return order.status is S.PENDING_UPDATE and found.replacement > order.replacements


def _follows(order: Order, update: VenueUpdate) -> bool:
    kind = update.kind
    if kind is Kind.UPDATED:
        return _took_place(order, update.order)  # a change that was told before is not the one under way
    if kind in RESTORERS:
        return order.status is RESTORERS[kind]
    if kind is Kind.ACCEPTED:
        return order.status in _BEFORE_ANSWER
    return S(kind.value) in FOLLOWERS[order.status] and order.status is not S(kind.value)


def _is_known(order: Order, update: VenueUpdate, execution: Execution, known_executions: Container[str]) -> bool:
    if execution.execution_id in known_executions:
        return True
    if update.order.replacement < order.replacements:
        return order.reconciled_nanos > 0  # should it be new all the same, the next comparison finds it
    return (
        execution.cumulative_nanos > 0 and order.replaced_nanos + execution.cumulative_nanos <= order.reconciled_nanos
    )


def _fill(order: Order, update: VenueUpdate, execution: Execution) -> Fact:
    return Fact(
        Kind.FILL,
        update.event_time_ns,
        event_id=hashed_id("fill", order.account, order.order_id, execution.execution_id),
        venue_order_id=update.order.venue_order_id,
        execution=execution,
    )


def _found(order: Order, found: VenueOrder, kind: Kind) -> Fact:
    return Fact(
        kind,
        found.event_time_ns,
        reason=found.reason,
        event_id=hashed_id("reconciliation", order.order_id, kind, *([found.replacement] if found.replacement else [])),
        reconciliation=True,
        venue_order_id=found.venue_order_id,
    )


def _inferred_fill(order: Order, found: VenueOrder) -> Fact:
    # The venue's order tells the sum, not the single trades: one fill stands for all that were missed.
    quantity = found.filled_nanos - order.filled_nanos
    price = divide_half_even(found.avg_price_nanos * found.filled_nanos - order.filled_value, quantity)
    logical = hashed_id("inferred fill", order.order_id, found.filled_nanos)
    return Fact(
        Kind.FILL,
        found.event_time_ns,
        event_id=logical,
        reconciliation=True,
        venue_order_id=found.venue_order_id,
        execution=Execution(logical, price, quantity, cumulative_nanos=found.filled_nanos),
    )
