"""The ports of execution in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from builders import orders
from builders.orders import venue_order

from services.execution.domain.adoption import adopted_id
from services.execution.domain.charge import Charge, LoggedCharge, VenueCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.order import Execution, Order, OrderTerms
from services.execution.domain.submission import NO_TIMINGS, Timings
from services.execution.domain.venue import (
    StreamOpened,
    VenueAccount,
    VenueOrder,
    VenuePosition,
    VenueTerms,
    VenueUpdate,
)
from services.execution.ports.controls import AccountRecord, Audit, AuditEntry, AuditQuery
from services.execution.ports.log import AnotherWriter, Append, Entry, LoggedEvent, OrderQuery, OutboxRow, StoredOrder
from services.execution.ports.market import SeenQuote
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable
from trading.ids import AccountId, ClientOrderId, EventId, OrderId, VenueOrderId, hashed_id
from trading.instruments import Instrument, Instruments
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce, TradingState


@dataclass
class FakeOrderStore:
    """The order log as a list. `outages` appends fail; `written_anyway` of them are written all the same."""

    entries: list[Entry] = field(default_factory=list)
    timings: dict[OrderId, Timings] = field(default_factory=dict)
    trailed: dict[OrderId, int] = field(default_factory=dict)
    waiting: list[OutboxRow] = field(default_factory=list)
    appends: list[Append] = field(default_factory=list)
    outages: int = 0
    written_anyway: int = 0
    down: bool = False
    delay_s: float = 0.0
    writing: bool = False

    async def append(self, append: Append) -> None:
        self.writing = True
        await asyncio.sleep(self.delay_s)
        self.writing = False
        self.appends.append(append)
        failing = self.down or self.outages > 0
        if not failing or self.written_anyway > 0:
            self._write(append)
        if failing:
            self.outages -= 1
            self.written_anyway -= 1
            raise Unavailable("The store is down.")

    async def head(self) -> int:
        self._check()
        return self.entries[-1].log_sequence if self.entries else 0

    async def event_id_at(self, log_sequence: int) -> EventId | None:
        self._check()
        return next((e.event.event_id for e in self.entries if e.log_sequence == log_sequence), None)

    async def outbox(self, after: int, limit: int) -> Sequence[OutboxRow]:
        self._check()
        return [row for row in self.waiting if row.log_sequence > after][:limit]

    async def get(self, order_ids: Sequence[OrderId]) -> Sequence[StoredOrder]:
        newest = self._newest()
        return [newest[order_id] for order_id in order_ids if order_id in newest]

    async def get_by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> StoredOrder | None:
        for stored in self._newest().values():
            if (stored.order.account, stored.order.terms.client_order_id) == (account, client_order_id):
                return stored
        return None

    async def list(self, query: OrderQuery) -> Sequence[StoredOrder]:
        chosen = [
            stored
            for stored in self._newest().values()
            if query.account in (None, stored.order.account)
            and query.symbol in (None, stored.order.terms.symbol)
            and (not query.statuses or stored.order.status in query.statuses)
            and (query.before is None or stored.order.order_id < query.before)
        ]
        return sorted(chosen, key=lambda stored: stored.order.order_id, reverse=True)[: query.limit]

    async def open_orders(self) -> Sequence[StoredOrder]:
        return [stored for stored in self._newest().values() if not stored.order.status.is_closed]

    async def events(self, order_id: OrderId) -> Sequence[LoggedEvent]:
        return [LoggedEvent(e.log_sequence, e.event) for e in self.entries if e.event.order_id == order_id]

    async def fills(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedFill]:
        found = [_fill(entry, entry.event.execution) for entry in self.entries if entry.event.execution]
        return [fill for fill in found if fill.log_sequence > after and account in (None, fill.account)][:limit]

    async def execution_ids(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, frozenset[str]]:
        found = [f for f in await self.fills(0, 10**9) if f.order_id in order_ids]
        return {
            f.order_id: frozenset(g.execution.execution_id for g in found if g.order_id == f.order_id) for f in found
        }

    async def client_ids(self) -> AsyncIterator[tuple[AccountId, ClientOrderId]]:
        for stored in self._newest().values():
            yield stored.order.account, stored.order.terms.client_order_id

    async def stops(self) -> Mapping[OrderId, int]:
        held = {stored.order.order_id for stored in await self.open_orders() if stored.order.status == "EMULATED"}
        return {name: stop for name, stop in self.trailed.items() if name in held}

    async def count_by_status(self) -> Mapping[OrderStatus, int]:
        statuses = [stored.order.status for stored in self._newest().values()]
        return {status: statuses.count(status) for status in set(statuses)}

    async def outbox_depth(self) -> int:
        return len(self.waiting)

    def _write(self, append: Append) -> None:
        taken = {entry.log_sequence for entry in self.entries}
        if taken & {entry.log_sequence for entry in append.entries}:
            raise AnotherWriter("Taken.")
        self.entries.extend(append.entries)
        self.waiting.extend(entry.outbox for entry in append.entries if entry.outbox)
        if append.published_through is not None:
            self.waiting = [row for row in self.waiting if row.log_sequence > append.published_through]
        self.timings |= append.timings
        self.trailed |= append.stops

    def _newest(self) -> dict[OrderId, StoredOrder]:
        self._check()
        newest = {entry.order.order_id: entry.order for entry in self.entries}
        return {name: StoredOrder(order, self.timings.get(name, NO_TIMINGS)) for name, order in newest.items()}

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The store is down.")


def _fill(entry: Entry, execution: Execution) -> LoggedFill:
    terms = entry.order.terms
    return LoggedFill(
        entry.log_sequence,
        entry.event.event_id,
        terms.order_id,
        terms.account,
        terms.symbol,
        terms.side,
        terms.currency,
        entry.event.event_time_ns,
        execution,
    )


@dataclass
class FakeChargeStore:
    """The record of charges as a list, beside the log in `log`; the next `outages` writes happen and are not told."""

    log: FakeOrderStore = field(default_factory=FakeOrderStore)
    rows: list[LoggedCharge] = field(default_factory=list)
    paid: set[EventId] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    epochs: list[int | None] = field(default_factory=list)
    outages: int = 0

    async def known(self, charge_ids: Sequence[EventId]) -> frozenset[EventId]:
        return frozenset(row.charge.charge_id for row in self.rows) & frozenset(charge_ids)

    async def record(self, charges: Sequence[Charge], epoch: int | None, *, paid: bool = False) -> None:
        known = await self.known([charge.charge_id for charge in charges])
        fresh = [charge for charge in charges if charge.charge_id not in known]
        place, first = await self.log.head(), await self.head() + 1
        self.rows += [LoggedCharge(sequence, place, charge) for sequence, charge in enumerate(fresh, first)]
        self.paid |= {charge.charge_id for charge in fresh if paid}
        self.epochs.append(epoch)
        if self.outages:
            self.outages -= 1
            raise Unavailable("The store is down.")

    async def head(self) -> int:
        return len(self.rows)

    async def newest_ns(self) -> int:
        return max((row.charge.event_time_ns for row in self.rows), default=0)

    async def list(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedCharge]:
        chosen = [row for row in self._counted() if row.sequence > after and account in (None, row.charge.account)]
        return chosen[:limit]

    async def untold(self, limit: int) -> Sequence[LoggedCharge]:
        return [row for row in self._counted() if row.sequence not in self.told][:limit]

    async def note_told(self, charges: Sequence[LoggedCharge]) -> None:
        self.told |= {logged.sequence for logged in charges}

    def _counted(self) -> Iterator[LoggedCharge]:
        return (row for row in self.rows if row.charge.charge_id not in self.paid)


@dataclass
class FakeControlStore:
    """What an operator set, with the audit trail."""

    known: dict[AccountId, AccountRecord] = field(default_factory=dict)
    given: dict[AccountId, RiskLimits] = field(default_factory=dict)
    switch: SignalTrading | None = None
    trail: list[AuditEntry] = field(default_factory=list)
    down: bool = False

    async def accounts(self) -> Sequence[AccountRecord]:
        return list(self.known.values())

    async def add_account(self, account: AccountRecord) -> None:
        self._check()
        assert account.id not in self.known
        self.known[account.id] = account

    async def set_trading_state(self, account: AccountId, state: TradingState, audit: Audit) -> None:
        self._check()
        self.known[account] = replace(self.known[account], trading_state=state)
        self._note("trading_state", account, {"state": state.value}, audit)

    async def limits(self) -> Sequence[RiskLimits]:
        return list(self.given.values())

    async def set_limits(self, limits: RiskLimits, audit: Audit) -> None:
        self._check()
        self.given[limits.account] = limits
        self._note("risk_limits", limits.account, asdict(limits), audit)

    async def signal_trading(self) -> SignalTrading | None:
        return self.switch

    async def set_signal_trading(self, switch: SignalTrading, audit: Audit) -> None:
        self._check()
        self.switch = switch
        self._note("signal_trading", switch.account, asdict(switch), audit)

    async def audit(self, query: AuditQuery) -> Sequence[AuditEntry]:
        wanted = [
            each
            for each in reversed(self.trail)
            if query.account in (None, each.account)
            and query.subject in (None, each.subject)
            and (query.before is None or each.id < query.before)
        ]
        return wanted[: query.limit]

    def _note(self, subject: str, account: str, value: Mapping[str, object], audit: Audit) -> None:
        entry = (subject, account, json.dumps(value), audit.actor, audit.reason, audit.time_ns)
        self.trail.append(AuditEntry(len(self.trail) + 1, *entry))

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The store is down.")


@dataclass
class FakeLease:
    """A lease that is free unless a test takes it away."""

    epoch: int = 0
    free: bool = True
    down: bool = False
    given_back: list[int] = field(default_factory=list)

    async def take(self, lasts_s: float) -> int | None:
        self._check()
        if not self.free:
            return None
        self.free = False
        self.epoch += 1
        return self.epoch

    async def renew(self, epoch: int, lasts_s: float) -> bool:
        self._check()
        return epoch == self.epoch

    async def give_back(self, epoch: int) -> None:
        self._check()
        self.given_back.append(epoch)
        self.free = self.free or epoch == self.epoch

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The database is down.")


@dataclass
class FakeBroker:
    """A venue that accepts every order and fills when it is told to.

    `answers` are what the next submits meet: an exception is raised, after the venue took the order if
    `takes_anyway`; `silent` never answers. `gate` holds submits back until it is set.
    """

    book: dict[OrderId, VenueOrder] = field(default_factory=dict)
    terms: dict[OrderId, OrderTerms] = field(default_factory=dict)
    submitted: list[OrderId] = field(default_factory=list)
    canceled: list[VenueOrderId] = field(default_factory=list)
    answers: list[Exception | None] = field(default_factory=list)
    takes_anyway: bool = False
    down: bool = False
    cancel_answer: Exception | None = None
    modify_answer: Exception | None = None
    tells: bool = True
    unworked: frozenset[OrderType] = frozenset()
    held: list[VenuePosition] = field(default_factory=list)
    charged: list[VenueCharge] = field(default_factory=list)
    stream: "asyncio.Queue[VenueUpdate | StreamOpened]" = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cash: VenueAccount = field(
        default_factory=lambda: VenueAccount("USD", 1_000_000 * ONE, 2_000_000 * ONE, multiplier=2)
    )

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def protocol(self) -> str:
        return "alpaca"

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        return terms.order_type not in self.unworked

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        await self.gate.wait()
        self._check()
        assert terms.order_id not in self.submitted, "an order was sent twice"
        self.submitted.append(terms.order_id)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or self.takes_anyway:
            self.take(terms)
        if answer is not None:
            raise answer
        return self.book[terms.order_id]

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        self._check()
        if self.modify_answer is not None:
            raise self.modify_answer
        before = self.book[order.order_id]
        if before.status.is_closed:
            raise VenueRefused("order is not replaceable")
        number = order.replacements + 1
        self.terms[order.order_id] = wished
        name = VenueOrderId(hashed_id("venue", order.order_id, number))
        after = replace(before, venue_order_id=name, replacement=number)
        self._happen(order.order_id, VenueUpdate(after, OrderEventKind.UPDATED, after.event_time_ns), self.tells)
        return after

    async def cancel(self, order: Order) -> None:
        self._check()
        if self.cancel_answer is not None:
            raise self.cancel_answer
        venue_order_id = order.venue_order_id
        order_id = next((name for name, found in self.book.items() if found.venue_order_id == venue_order_id), None)
        if order_id is None or venue_order_id is None or self.book[order_id].status.is_closed:
            raise VenueRefused("order is not cancelable")
        self.canceled.append(venue_order_id)
        self.end(order_id, OrderEventKind.CANCELED)

    async def find(self, order: Order) -> VenueOrder | None:
        self._check()
        return self.book.get(order.order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        self._check()
        return [order for order in self.book.values() if not order.status.is_closed]

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        self._check()
        return list(self.book.values())

    async def positions(self) -> Sequence[VenuePosition]:
        self._check()
        return self.held

    async def account(self) -> VenueAccount:
        self._check()
        return self.cash

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        self._check()
        names = [charge.venue_id for charge in self.charged]
        later = self.charged[names.index(after_id) + 1 :] if after_id else self.charged
        return [charge for charge in later if charge.event_time_ns > after_ns]

    async def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        while True:
            yield await self.stream.get()

    def take(self, terms: OrderTerms) -> None:
        """The venue has the order."""
        venue_order_id = VenueOrderId(hashed_id("venue", terms.order_id))
        self.terms[terms.order_id] = terms
        self.book[terms.order_id] = venue_order(terms.order_id, venue_order_id=venue_order_id)

    def strange(self, name: str = "theirs", *, filled: int = 0, tell: bool = False, **asked: object) -> OrderId:
        """Another program sends an order to buy ten AAPL; returns the id that we would adopt it under."""
        words = VenueTerms("AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.DAY, 10 * ONE, 100 * ONE)
        words = replace(words, **asked)  # type: ignore[arg-type]
        found = venue_order(None, venue_order_id=VenueOrderId(name), terms=words)
        order_id = adopted_id(found)
        self.book[order_id], self.terms[order_id] = found, orders.terms(order_id=order_id)
        if filled:
            self.fill(order_id, filled, tell=False)
        if tell:
            self._happen(order_id, VenueUpdate(self.book[order_id], OrderEventKind.ACCEPTED, found.event_time_ns), tell)
        return order_id

    def fill(self, order_id: OrderId, quantity: int, price: int = 100, *, tell: bool = True) -> VenueUpdate:
        """The order trades, in whole units, told by the stream or not."""
        before = self.book[order_id]
        filled = before.filled_nanos + quantity * ONE
        whole = filled == self.terms[order_id].quantity_nanos
        after = replace(
            before,
            status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
            filled_nanos=filled,
            avg_price_nanos=price * ONE,
        )
        trade = Execution(hashed_id("trade", order_id, filled), price * ONE, quantity * ONE, cumulative_nanos=filled)
        return self._happen(order_id, VenueUpdate(after, OrderEventKind.FILL, after.event_time_ns, trade), tell)

    def end(self, order_id: OrderId, kind: OrderEventKind, *, tell: bool = True) -> VenueUpdate:
        """The order closes without a trade, told by the stream or not."""
        after = replace(self.book[order_id], status=OrderStatus(kind.value))
        return self._happen(order_id, VenueUpdate(after, kind, after.event_time_ns), tell)

    def _happen(self, order_id: OrderId, update: VenueUpdate, tell: bool) -> VenueUpdate:
        self.book[order_id] = update.order
        if tell:
            self.stream.put_nowait(update)
        return update

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The venue is down.")


class FakeCatalogue:
    """A set of instruments."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = Instruments(instruments)
        self.sessions: dict[str, str] = {}

    def session(self, symbol: str) -> str:
        return self.sessions.get(symbol, "")

    async def get(self, spelling: str) -> Instrument:
        return self._instruments.get(spelling)


@dataclass
class FakeQuotes:
    """Quotes as the test wants them; `answers` is what market_data would say."""

    seen: dict[str, SeenQuote] = field(default_factory=dict)
    answers: dict[str, SeenQuote] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def latest(self, symbol: str) -> SeenQuote | None:
        return self.seen.get(symbol)

    async def ask(self, symbol: str) -> SeenQuote | None:
        self.asked.append(symbol)
        await asyncio.sleep(0)
        return self.answers.get(symbol)


@dataclass
class FakeBell:
    """Rings when a test does."""

    rung: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)

    async def rings(self) -> AsyncIterator[int]:
        while True:
            yield await self.rung.get()


@dataclass
class FakePublisher:
    """Remembers what was published; the next `outages` publishes fail."""

    published: list[OutboxRow] = field(default_factory=list)
    charges: list[LoggedCharge] = field(default_factory=list)
    outages: int = 0

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        await asyncio.sleep(0)
        failing = min(self.outages, len(rows))
        self.outages -= failing
        self.published += rows[failing:]
        return rows[:failing]

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        await asyncio.sleep(0)
        failing = min(self.outages, len(charges))
        self.outages -= failing
        self.charges += charges[failing:]
        return charges[:failing]
