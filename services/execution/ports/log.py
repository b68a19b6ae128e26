"""The durable order log, and who may write it."""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import EventKind, Order, OrderEvent
from services.execution.domain.submission import NO_TIMINGS, Timings
from trading.errors import FailedPrecondition
from trading.ids import AccountId, ClientOrderId, EventId, OrderId
from trading.order import OrderStatus


class AnotherWriter(FailedPrecondition):
    """Somebody else has written to the order log: two services share it, and one of them must not."""

    REASON = "ANOTHER_WRITER"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event on its way to JetStream; `payload` is its wire form."""

    log_sequence: int
    event_id: EventId
    kind: EventKind
    account: AccountId
    payload: bytes
    time_ns: int
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place in the log, the order after it, and its outbox row when it is to be told."""

    log_sequence: int
    event: OrderEvent
    order: Order
    outbox: OutboxRow | None


@dataclass(frozen=True, slots=True)
class Append:
    """One transaction of the log: new events, what was published, timings that became known, where stops stand now.

    It is only written while `epoch` is the newest of the lease; None is for whoever is alone by other means.
    """

    entries: Sequence[Entry] = ()
    published_through: int | None = None
    timings: Mapping[OrderId, Timings] = field(default_factory=dict)
    stops: Mapping[OrderId, int] = field(default_factory=dict)
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order with its timings, as the store remembers it."""

    order: Order
    timings: Timings = NO_TIMINGS


class LoggedEvent(NamedTuple):
    """One event as the log remembers it."""

    log_sequence: int
    event: OrderEvent


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders to list, newest first; None and empty mean all. `before` is the last order id of the page before."""

    limit: int
    account: str | None = None
    symbol: str | None = None
    statuses: frozenset[OrderStatus] = frozenset()
    before: OrderId | None = None


class OrderStore(Protocol):
    """The durable order log."""

    def append(self, append: Append) -> Awaitable[None]:
        """Write it all or nothing, durably; one that needs no task of its own has begun when this returns.

        Raises Unavailable when nothing was written or nobody knows, AnotherWriter when the place is taken or the
        lease is another's.
        """
        ...

    async def head(self) -> int:
        """The log sequence of the newest event; 0 when there is none."""
        ...

    async def event_id_at(self, log_sequence: int) -> EventId | None:
        """The id of the event at a place in the log."""
        ...

    async def outbox(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Events that wait to be published, in the order of the log."""
        ...

    async def get(self, order_ids: Sequence[OrderId]) -> Sequence[StoredOrder]:
        """Those of the orders that there are."""
        ...

    async def get_by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> StoredOrder | None:
        """One order by the caller's id."""
        ...

    async def list(self, query: OrderQuery) -> Sequence[StoredOrder]:
        """A page of orders, newest first."""
        ...

    async def open_orders(self) -> Sequence[StoredOrder]:
        """Every order that is not closed."""
        ...

    async def events(self, order_id: OrderId) -> Sequence[LoggedEvent]:
        """The life of one order, oldest event first."""
        ...

    async def fills(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedFill]:
        """Trades in the order of the log."""
        ...

    async def execution_ids(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, frozenset[str]]:
        """The venue's ids of the trades of those of the orders that have traded."""
        ...

    def client_ids(self) -> AsyncIterator[tuple[AccountId, ClientOrderId]]:
        """Every idempotency key that was ever used."""
        ...

    async def stops(self) -> Mapping[OrderId, int]:
        """Where the trailing stops of held orders stand, in nanos."""
        ...

    async def count_by_status(self) -> Mapping[OrderStatus, int]:
        """How many orders stand where."""
        ...

    async def outbox_depth(self) -> int:
        """How many events wait to be published."""
        ...


class Lease(Protocol):
    """The right to write the order log. Every call raises Unavailable when nobody can say whose it is."""

    async def take(self, lasts_s: float) -> int | None:
        """Take it for `lasts_s` seconds if it is free; its epoch, larger than every one before, or None."""
        ...

    async def renew(self, epoch: int, lasts_s: float) -> bool:
        """Keep it for `lasts_s` seconds from now; False when somebody else has taken it."""
        ...

    async def give_back(self, epoch: int) -> None:
        """Let the next one have it at once."""
        ...
