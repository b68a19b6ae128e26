"""What execution needs of the outside world, as the domain would say it."""

from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from services.execution.domain.charge import Charge, LoggedCharge, VenueCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.order import EventKind, Order, OrderEvent, OrderTerms
from services.execution.domain.submission import NO_TIMINGS, Timings
from services.execution.domain.venue import StreamOpened, VenueAccount, VenueOrder, VenuePosition, VenueUpdate
from trading.errors import FailedPrecondition
from trading.ids import AccountId, ClientOrderId, EventId, OrderId
from trading.instruments import Instrument
from trading.market import Quote
from trading.order import OrderStatus, TradingState


class VenueRefused(FailedPrecondition):
    """The venue said no, with proof: a structured refusal. Anything less is Unavailable."""

    REASON = "VENUE_REFUSED"


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


class ChargeStore(Protocol):
    """The durable record of what the venue charged: each charge once, by its id. Every call raises Unavailable."""

    async def known(self, charge_ids: Sequence[EventId]) -> frozenset[EventId]:
        """Those of the ids that were recorded before."""
        ...

    async def record(self, charges: Sequence[Charge], epoch: int | None, *, paid: bool = False) -> None:
        """Write those that are new, all or nothing, to be told; raises AnotherWriter when the lease is another's.

        What was `paid` before its account was opened is remembered only to be known again: never listed, never told.
        """
        ...

    async def list(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedCharge]:
        """Charges with a later sequence than `after`, in their order."""
        ...

    async def head(self) -> int:
        """The newest sequence; 0 when there is none."""
        ...

    async def newest_ns(self) -> int:
        """When the newest charge was made, ns UTC; 0 when there is none."""
        ...

    async def untold(self, limit: int) -> Sequence[LoggedCharge]:
        """Charges that wait to be published, in their order."""
        ...

    async def note_told(self, charges: Sequence[LoggedCharge]) -> None:
        """They are published."""
        ...


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is remembered of an account; `opening_cash_nanos` is the venue's word when it was first seen.

    Charges before `charges_after_ns` (ns UTC) are in that word, and are never asked for.
    """

    id: AccountId
    venue: str
    currency: str
    opening_cash_nanos: int
    trading_state: TradingState = TradingState.ACTIVE
    charges_after_ns: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """Who changed something, when (ns UTC) and why."""

    actor: str
    time_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which changes to list, newest first; None means all. `before` is the last id of the page before."""

    limit: int
    account: str | None = None
    subject: str | None = None
    before: int | None = None


class AuditEntry(NamedTuple):
    """One change as the trail remembers it; `value` is JSON, the time ns UTC."""

    id: int
    subject: str
    account: str
    value: str
    actor: str
    reason: str
    time_ns: int


class ControlStore(Protocol):
    """Accounts, limits and switches, each change with its audit row."""

    async def accounts(self) -> Sequence[AccountRecord]:
        """Every account that was ever seen."""
        ...

    async def add_account(self, account: AccountRecord) -> None:
        """Remember a new account."""
        ...

    async def set_trading_state(self, account: AccountId, state: TradingState, audit: Audit) -> None:
        """Turn the kill switch of an account."""
        ...

    async def limits(self) -> Sequence[RiskLimits]:
        """The limits of every account that has any."""
        ...

    async def set_limits(self, limits: RiskLimits, audit: Audit) -> None:
        """Replace the limits of an account."""
        ...

    async def signal_trading(self) -> SignalTrading | None:
        """The switch, or None when it was never set."""
        ...

    async def set_signal_trading(self, switch: SignalTrading, audit: Audit) -> None:
        """Set the switch."""
        ...

    async def audit(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """Who changed what."""
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


class Broker(Protocol):
    """A venue that works our orders. Every call raises Unavailable when the venue's answer did not come."""

    @property
    def protocol(self) -> str:
        """Whose spelling of symbols it speaks: alpaca or binance."""
        ...

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        """Whether the venue works such an order by itself; what it does not is emulated."""
        ...

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        """Hand an order to the venue under our id; raises VenueRefused with the venue's words."""
        ...

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        """Put an order on `wished` terms in the place of one at the venue, under our id and the next replacement.

        `wished.quantity_nanos` includes what has traded. Raises VenueRefused; then the old order stands.
        """
        ...

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel; the answer comes by the stream. Raises VenueRefused."""
        ...

    async def find(self, order: Order) -> VenueOrder | None:
        """The venue's view of our order, with the fills of all its replacements; None proves that it has none."""
        ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Every order that works at the venue, whoever sent it."""
        ...

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        """Orders that were sent to the venue after `time_ns`, whatever became of them.

        Of the `symbols` at least, in the venue's spelling: some venues tell the past of one symbol only.
        """
        ...

    async def positions(self) -> Sequence[VenuePosition]:
        """What the account holds at the venue; flat ones may be left out."""
        ...

    async def account(self) -> VenueAccount:
        """The venue's word on the account."""
        ...

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        """What the venue took from the account beside fills after a time (ns UTC), in the venue's order.

        Never what a fill carries already. With the venue's id of a charge, only what comes after that one. A venue may
        tell a charge days late, with the time that it was made for.
        """
        ...

    def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        """News of our orders, for ever; `StreamOpened` after each (re)connect.

        A replacement is told as UPDATED, with the new order.
        """
        ...


class Catalogue(Protocol):
    """The instruments that can be traded."""

    async def get(self, spelling: str) -> Instrument:
        """An instrument by any spelling; raises UnknownSymbol, or Unavailable when nobody can say."""
        ...

    def session(self, symbol: str) -> str:
        """The state of a symbol's market: OPEN, CLOSED, HALTED, LIMIT_UP, LIMIT_DOWN; empty when nobody has said."""
        ...


class SeenQuote(NamedTuple):
    """A quote and how long ago we learnt it, in ns."""

    quote: Quote
    age_ns: int


class Quotes(Protocol):
    """The newest quotes."""

    def latest(self, symbol: str) -> SeenQuote | None:
        """What the stream of quotes told last."""
        ...

    async def ask(self, symbol: str) -> SeenQuote | None:
        """What market_data knows when it is asked; None when it has no quote or does not answer."""
        ...


class OutboxBell(Protocol):
    """Who tells of rows in the outbox that the journal did not hand over."""

    def rings(self) -> AsyncIterator[int]:
        """The newest place in the log of what was put there, for ever."""
        ...


class EventPublisher(Protocol):
    """Where events are told to the fleet."""

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Publish durably, once per event id; gives back those that nobody has acknowledged."""
        ...

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        """Publish charges in the same way."""
        ...
