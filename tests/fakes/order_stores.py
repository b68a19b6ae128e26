"""The stores of execution in memory: the order log, the charges, the controls."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from services.execution.domain.charge import Charge, LoggedCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.order import Execution
from services.execution.domain.submission import NO_TIMINGS, Timings
from services.execution.ports.controls import AccountRecord, Audit, AuditEntry, AuditQuery
from services.execution.ports.log import AnotherWriter, Append, Entry, LoggedEvent, OrderQuery, OutboxRow, StoredOrder
from trading.errors import Unavailable
from trading.ids import AccountId, ClientOrderId, EventId, OrderId
from trading.order import OrderStatus, TradingState


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
