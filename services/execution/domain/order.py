"""An order as the fold of its events: what was asked for, what happened, and where it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from services.execution.domain.lifecycle import PENDING, next_status
from trading.errors import InvalidStateTransition
from trading.ids import AccountId, ClientOrderId, EventId, OrderId, VenueOrderId
from trading.money import divide_half_even
from trading.order import Liquidity, OrderEventKind, OrderRole, OrderStatus, OrderType, Side, TimeInForce

INITIALIZED: Final = "INITIALIZED"
EventKind = OrderEventKind | Literal["INITIALIZED"]
"""The sixteen things that can happen to an order, and its creation."""


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What was asked for; prices and quantities in nanos, times in ns UTC.

    `fingerprint` is the SHA-256 of the normalised request: the same id with another one is a conflict.
    A trailing stop keeps `trail_nanos` or `trail_bps` (hundredths of a percent) away from the market.
    `take_profit_nanos` and `stop_loss_nanos` ask for a bracket; the orders that close it name their
    `parent_order_id` and `role`. An `external` order was sent by another program and adopted.
    `arrival_price_nanos` is the middle of the market when it arrived, 0 when nobody knew; `venue_symbol` is how the
    venue spells the symbol.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    account: AccountId
    venue: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity_nanos: int
    price_nanos: int | None = None
    stop_price_nanos: int | None = None
    currency: str = "USD"
    client_timestamp_ns: int | None = None
    fingerprint: str = ""
    expire_time_ns: int | None = None
    trail_nanos: int | None = None
    trail_bps: int | None = None
    reduce_only: bool = False
    post_only: bool = False
    take_profit_nanos: int | None = None
    stop_loss_nanos: int | None = None
    parent_order_id: OrderId | None = None
    role: OrderRole | None = None
    external: bool = False
    arrival_price_nanos: int = 0
    venue_symbol: str = ""

    @property
    def is_bracket(self) -> bool:
        """It opens a position that other orders are to close."""
        return self.take_profit_nanos is not None or self.stop_loss_nanos is not None


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a risk check refused an order; `limits` are its numbers as decimal strings."""

    code: str
    message: str
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade of an order; price, quantity and fee in nanos.

    `cumulative_nanos` is what the venue says has traded of the order after it, 0 when it does not say.
    `mid_nanos` is the middle of the market when we learnt of it, 0 when nobody knew.
    """

    execution_id: str
    price_nanos: int
    quantity_nanos: int
    fee_nanos: int = 0
    cumulative_nanos: int = 0
    mid_nanos: int = 0
    liquidity: Liquidity | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something learnt about an order that is not yet an event of it; an empty `event_id` asks for a fresh one."""

    kind: EventKind
    event_time_ns: int
    reason: str = ""
    event_id: str = ""
    causation_id: str = ""
    reconciliation: bool = False
    venue_order_id: VenueOrderId | None = None
    terms: OrderTerms | None = None
    denial: Denial | None = None
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order. `hash` covers the event and the hash before it."""

    event_id: EventId
    order_id: OrderId
    kind: EventKind
    version: int
    event_time_ns: int
    receive_time_ns: int
    correlation_id: str = ""
    causation_id: str = ""
    reason: str = ""
    reconciliation: bool = False
    venue_order_id: VenueOrderId | None = None
    terms: OrderTerms | None = None
    denial: Denial | None = None
    execution: Execution | None = None
    previous_hash: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands; times in ns UTC.

    `filled_value` is the exact Σ price × quantity of its fills (10⁻¹⁸). `status_before` is what a pending state
    interrupted, `wished` the terms that a change under way asks for. `reconciled_nanos` is how much of it
    reconciliation vouches for: the stream's news of those fills, arriving later, is nothing new. A venue that changes
    an order puts a new one in its place: `replacements` counts them, `replaced_nanos` is what those gone have traded.
    A `released` order was held by us until its trigger.
    """

    terms: OrderTerms
    wished: OrderTerms | None = None
    status: OrderStatus = OrderStatus.INITIALIZED
    status_before: OrderStatus = OrderStatus.INITIALIZED
    venue_order_id: VenueOrderId | None = None
    filled_nanos: int = 0
    filled_value: int = 0
    reconciled_nanos: int = 0
    replacements: int = 0
    replaced_nanos: int = 0
    released: bool = False
    fee_nanos: int = 0
    denial: Denial | None = None
    reason: str = ""
    version: int = 0
    created_time_ns: int = 0
    updated_time_ns: int = 0
    hash: str = ""

    @property
    def order_id(self) -> OrderId:
        return self.terms.order_id

    @property
    def account(self) -> AccountId:
        return self.terms.account

    @property
    def remaining_nanos(self) -> int:
        """What may still trade, by the larger quantity while a change is under way; 0 once the order is closed."""
        if self.status.is_closed:
            return 0
        quantity = self.terms.quantity_nanos
        if self.wished is not None:
            quantity = max(quantity, self.wished.quantity_nanos)
        return quantity - self.filled_nanos

    @property
    def working_nanos(self) -> int:
        """What may trade without another decision of ours: nothing of an order that is held."""
        return 0 if self.status is OrderStatus.EMULATED else self.remaining_nanos

    @property
    def avg_price_nanos(self) -> int:
        """Mean price of what traded, rounded half-even to the nano; 0 before the first fill."""
        return divide_half_even(self.filled_value, self.filled_nanos) if self.filled_nanos else 0

    @property
    def replacements_possible(self) -> int:
        """The newest replacement that the venue may know of: a change under way counts."""
        return self.replacements + (self.wished is not None)

    @property
    def slippage_nanos(self) -> int | None:
        """How much worse than the arrival price it traded, per unit; negative is better, None when not known."""
        if not self.filled_nanos or not self.terms.arrival_price_nanos:
            return None
        return self.terms.side.sign * (self.avg_price_nanos - self.terms.arrival_price_nanos)

    @property
    def is_answered(self) -> bool:
        """The venue has said something about it, or nothing is to be asked of the venue."""
        return self.status not in _UNANSWERED or self.venue_order_id is not None


_ENDS_OF_A_CHANGE = frozenset({OrderEventKind.UPDATED, OrderEventKind.MODIFY_REJECTED})
_UNANSWERED = frozenset({OrderStatus.INITIALIZED, OrderStatus.RELEASED, OrderStatus.SUBMITTED, OrderStatus.UNRESOLVED})


def apply(order: Order | None, event: OrderEvent) -> Order:
    """The order after one event; raises InvalidStateTransition when it cannot take it."""
    if order is None:
        return _created(event)
    if event.version != order.version + 1 or event.kind == INITIALIZED:
        raise InvalidStateTransition(
            "Expected the next event of the order.", expected=order.version + 1, was=event.version, event=event.kind
        )
    terms = _terms(order, event)
    filled = _filled(order, terms, event.execution)
    status = next_status(
        order.status,
        event.kind,
        before=order.status_before,
        whole=filled == terms.quantity_nanos,
    )
    # Every field is named: `replace` would cost as much as all the rest of this.
    return Order(
        terms=terms,
        wished=_wished(order, event),
        status=status,
        status_before=order.status if status in PENDING and order.status not in PENDING else order.status_before,
        venue_order_id=_venue_order_id(order, event),
        filled_nanos=filled,
        filled_value=order.filled_value + _value(event.execution),
        reconciled_nanos=_reconciled(order, event),
        replacements=order.replacements + (event.kind is OrderEventKind.UPDATED),
        replaced_nanos=_replaced(order, event),
        released=order.released or event.kind is OrderEventKind.RELEASED,
        fee_nanos=order.fee_nanos + (event.execution.fee_nanos if event.execution else 0),
        denial=event.denial or order.denial,
        reason=event.reason or order.reason,
        version=event.version,
        created_time_ns=order.created_time_ns,
        updated_time_ns=event.event_time_ns,
        hash=event.hash,
    )


def fold(events: Iterable[OrderEvent]) -> Order:
    """The order behind its events, oldest first; raises InvalidStateTransition when they are no life of one order."""
    order: Order | None = None
    for event in events:
        order = apply(order, event)
    if order is None:
        raise InvalidStateTransition("Expected at least the creation of an order.")
    return order


def _created(event: OrderEvent) -> Order:
    if event.kind != INITIALIZED or event.terms is None or event.version != 1:
        raise InvalidStateTransition("Expected the creation of an order.", event=event.kind, version=event.version)
    return Order(
        event.terms,
        version=1,
        created_time_ns=event.event_time_ns,
        updated_time_ns=event.event_time_ns,
        hash=event.hash,
    )


def _terms(order: Order, event: OrderEvent) -> OrderTerms:
    """A release and an update may change what was asked for: never below what has traded."""
    if event.terms is None or event.kind is OrderEventKind.PENDING_UPDATE:
        return order.terms
    if event.terms.order_id != order.order_id or event.terms.quantity_nanos < order.filled_nanos:
        raise InvalidStateTransition(
            "Expected terms of the same order that leave its fills standing.",
            filled=order.filled_nanos,
            quantity=event.terms.quantity_nanos,
        )
    return event.terms


def _wished(order: Order, event: OrderEvent) -> OrderTerms | None:
    if event.kind is OrderEventKind.PENDING_UPDATE:
        return event.terms or order.wished
    return None if event.kind in _ENDS_OF_A_CHANGE else order.wished


def _filled(order: Order, terms: OrderTerms, execution: Execution | None) -> int:
    if execution is None:
        return order.filled_nanos
    filled = order.filled_nanos + execution.quantity_nanos
    if execution.quantity_nanos <= 0 or filled > terms.quantity_nanos:
        raise InvalidStateTransition(
            "A fill cannot exceed what is left of the order.",
            reason="OVERFILL",
            left=terms.quantity_nanos - order.filled_nanos,
            fill=execution.quantity_nanos,
        )
    return filled


def _venue_order_id(order: Order, event: OrderEvent) -> VenueOrderId | None:
    """A late word about an order that was replaced does not bring it back."""
    if order.replacements and event.kind is not OrderEventKind.UPDATED:
        return order.venue_order_id
    return event.venue_order_id or order.venue_order_id


def _replaced(order: Order, event: OrderEvent) -> int:
    if event.kind is OrderEventKind.UPDATED:
        amended = event.venue_order_id == order.venue_order_id  # where it stood: nothing is gone
        return order.replaced_nanos if amended else order.filled_nanos
    late = order.replacements and event.venue_order_id not in (None, order.venue_order_id)
    return order.replaced_nanos + (event.execution.quantity_nanos if late and event.execution else 0)


def _value(execution: Execution | None) -> int:
    return execution.price_nanos * execution.quantity_nanos if execution else 0


def _reconciled(order: Order, event: OrderEvent) -> int:
    vouched = event.execution.cumulative_nanos if event.reconciliation and event.execution else 0
    return max(order.reconciled_nanos, vouched)
