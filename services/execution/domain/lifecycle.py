"""The life of an order: one table that says which state may follow which."""

from collections.abc import Mapping
from types import MappingProxyType

from trading.errors import InvalidStateTransition
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus as S

FOLLOWERS: Mapping[S, frozenset[S]] = MappingProxyType(
    {
        # Ours go to DENIED, EMULATED, RELEASED or SUBMITTED; the others are how an order of another desk is adopted.
        S.INITIALIZED: frozenset(
            {S.DENIED, S.EMULATED, S.RELEASED, S.SUBMITTED, S.REJECTED, S.ACCEPTED, S.CANCELED, S.EXPIRED, S.TRIGGERED}
        ),
        S.DENIED: frozenset(),
        S.EMULATED: frozenset({S.CANCELED, S.EXPIRED, S.RELEASED}),
        S.RELEASED: frozenset({S.DENIED, S.SUBMITTED, S.CANCELED}),
        S.SUBMITTED: frozenset(
            {S.PENDING_UPDATE, S.PENDING_CANCEL, S.REJECTED, S.CANCELED, S.EXPIRED, S.TRIGGERED, S.ACCEPTED}
            | {S.PARTIALLY_FILLED, S.FILLED, S.UNRESOLVED}
        ),
        S.ACCEPTED: frozenset(
            {S.REJECTED, S.PENDING_UPDATE, S.PENDING_CANCEL, S.CANCELED, S.TRIGGERED, S.EXPIRED}
            | {S.PARTIALLY_FILLED, S.FILLED}
        ),
        S.REJECTED: frozenset(),
        # A fill may overtake the news that the order was closed.
        S.CANCELED: frozenset({S.FILLED}),
        S.EXPIRED: frozenset({S.FILLED}),
        S.TRIGGERED: frozenset(
            {S.REJECTED, S.PENDING_UPDATE, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PARTIALLY_FILLED, S.FILLED}
        ),
        S.PENDING_UPDATE: frozenset(
            {S.REJECTED, S.ACCEPTED, S.CANCELED, S.EXPIRED, S.TRIGGERED, S.PENDING_UPDATE, S.PENDING_CANCEL}
            | {S.PARTIALLY_FILLED, S.FILLED, S.UNRESOLVED}
        ),
        S.PENDING_CANCEL: frozenset(
            {S.REJECTED, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED}
            | {S.UNRESOLVED}
        ),
        S.PARTIALLY_FILLED: frozenset(
            {S.PENDING_UPDATE, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PARTIALLY_FILLED, S.FILLED}
        ),
        S.FILLED: frozenset(),
        S.UNRESOLVED: frozenset(
            {S.ACCEPTED, S.REJECTED, S.TRIGGERED, S.PENDING_CANCEL, S.PARTIALLY_FILLED, S.FILLED}
            | {S.CANCELED, S.EXPIRED}
        ),
    }
)

RESTORERS: Mapping[Kind, S] = MappingProxyType(
    {
        Kind.UPDATED: S.PENDING_UPDATE,
        Kind.MODIFY_REJECTED: S.PENDING_UPDATE,
        Kind.CANCEL_REJECTED: S.PENDING_CANCEL,
    }
)
"""Events that end a pending state and give back the status before it."""

PENDING = frozenset({S.PENDING_UPDATE, S.PENDING_CANCEL})
HELD = frozenset({S.INITIALIZED, S.EMULATED, S.RELEASED})
"""States of an open order that the venue has not heard of."""
_LATE_FILL = frozenset({S.CANCELED, S.EXPIRED})


def next_status(status: S, kind: Kind, *, before: S, whole: bool) -> S:
    """The status after an event.

    `before` is the status that a pending state interrupted; `whole` says that nothing is left to trade after it.
    Raises InvalidStateTransition when the table has no such step.
    """
    if kind in RESTORERS:
        if status is not RESTORERS[kind]:
            raise _refusal(status, kind)
        return S.FILLED if kind is Kind.UPDATED and whole else before
    if kind is Kind.FILL:
        return _after_fill(status, whole)
    target = S(kind.value)
    if target not in FOLLOWERS[status]:
        raise _refusal(status, kind)
    return target


def _after_fill(status: S, whole: bool) -> S:
    if status in _LATE_FILL and not whole:
        return status
    target = S.FILLED if whole else S.PARTIALLY_FILLED
    if target not in FOLLOWERS[status]:
        raise _refusal(status, Kind.FILL)
    return target


def _refusal(status: S, kind: Kind) -> InvalidStateTransition:
    return InvalidStateTransition(f"An order that is {status} cannot take {kind}.", status=status, event=kind)
