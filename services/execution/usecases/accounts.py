"""The accounts this service writes for: their limits, their kill switch, their money, each change audited."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from services.execution.domain.holdings import Holdings
from services.execution.domain.limits import RiskLimits, check_limits
from services.execution.domain.order import OrderTerms
from services.execution.domain.venue import VenueAccount
from services.execution.ports.controls import AccountRecord, Audit, ControlStore
from services.execution.ports.venue import Broker
from trading.clock import SECOND_NS, Clock
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from trading.ids import AccountId
from trading.money import ONE
from trading.order import TradingState


@dataclass(slots=True)
class Account:
    """One account in memory; `submits` and `modifies` are the monotonic times (ns) of those of the last second."""

    record: AccountRecord
    limits: RiskLimits
    multiplier: int = 1
    buying_power_nanos: int = 0
    submits: deque[int] = field(default_factory=deque)
    modifies: deque[int] = field(default_factory=deque)
    intents: OrderedDict[Hashable, int] = field(default_factory=OrderedDict)

    def count_submits(self, now_ns: int) -> int:
        """Submits in the second before `now_ns` (monotonic)."""
        return _count_recent(self.submits, now_ns)

    def count_modifies(self, now_ns: int) -> int:
        """Changes of orders in the second before `now_ns` (monotonic)."""
        return _count_recent(self.modifies, now_ns)

    def same_intent_age_ns(self, terms: OrderTerms, now_ns: int) -> int | None:
        """How long ago an order that asks for the same was submitted; None when not within the window."""
        seen_ns = self.intents.get(_intent_of(terms))
        return None if seen_ns is None else now_ns - seen_ns

    def note(self, terms: OrderTerms, now_ns: int, *, is_change: bool) -> None:
        """Count a submit or a change towards its rate, and remember what was asked for."""
        (self.modifies if is_change else self.submits).append(now_ns)
        window = self.limits.duplicate_window_ns
        if window is None or is_change:
            return
        intent = _intent_of(terms)
        self.intents[intent] = now_ns
        self.intents.move_to_end(intent)
        while self.intents and now_ns - next(iter(self.intents.values())) >= window:
            self.intents.popitem(last=False)


def _count_recent(times: deque[int], now_ns: int) -> int:
    while times and now_ns - times[0] >= SECOND_NS:
        times.popleft()
    return len(times)


def _intent_of(terms: OrderTerms) -> Hashable:
    """Everything that the market would see of an order."""
    prices = (terms.price_nanos, terms.stop_price_nanos, terms.trail_nanos, terms.trail_bps)
    return (terms.symbol, terms.side, terms.order_type, terms.quantity_nanos, *prices)


class Accounts:
    """Every account of the service. The first one is the account behind the venue's key and owns its money."""

    def __init__(
        self,
        names: tuple[AccountId, ...],
        venue: str,
        defaults: RiskLimits,
        store: ControlStore,
        holdings: Mapping[AccountId, Holdings],
        clock: Clock,
    ) -> None:
        self.names = names
        self._venue = venue
        self._defaults = defaults
        self._store = store
        self._holdings = holdings
        self._clock = clock
        self._accounts: dict[AccountId, Account] = {}
        self._refreshed_ns: int | None = None
        self._one_at_a_time = asyncio.Lock()
        self._limits_turn = asyncio.Lock()

    @property
    def primary(self) -> AccountId:
        """The account that trades when none is named."""
        return self.names[0]

    async def load(self) -> None:
        """Read what is remembered of the accounts."""
        limits = {limits.account: limits for limits in await self._store.limits()}
        for record in await self._store.accounts():
            if record.id in self.names:
                given = limits.get(record.id) or replace(self._defaults, account=record.id)
                self._accounts[record.id] = Account(record, given)

    async def refresh(self, broker: Broker) -> None:
        """Take in the venue's newest word; an account that was never seen before opens with it."""
        await self.take_in(await broker.account())

    async def take_in(self, word: VenueAccount, charges_after_ns: int = 0) -> None:
        """Take in a word of the venue, in which what it charged before `charges_after_ns` is counted."""
        async with self._one_at_a_time:
            await self._take_in(word, charges_after_ns)

    async def refresh_if_older(self, broker: Broker, age_ns: int) -> None:
        """Ask the venue again when its word is older than `age_ns`; its silence leaves the older word standing."""
        if not self.is_open:
            return  # it opens when the first reconciliation has found what it held and traded before
        if self._refreshed_ns is None or self._clock.monotonic_ns() - self._refreshed_ns > age_ns:
            try:
                await self.refresh(broker)
            except Unavailable:
                return

    async def refresh_forever(self, broker: Broker, every_s: float) -> None:
        """Keep the venue's word young."""
        while True:
            await self.refresh_if_older(broker, int(every_s * SECOND_NS / 2))
            await asyncio.sleep(every_s)

    def get(self, name: str) -> Account:
        """One account; empty names the first. Raises NotFound, or Unavailable before the venue was heard."""
        key = AccountId(name or self.primary)
        if key in self._accounts:
            return self._accounts[key]
        if key in self.names:
            raise Unavailable(f"Account {key!r} has not been opened at the venue yet.", retry_after_s=1)
        raise NotFound(f"No account is called {name!r}.", reason="UNKNOWN_ACCOUNT", account=name)

    @property
    def is_open(self) -> bool:
        """The first account has been opened, in this run or an earlier one."""
        return self.primary in self._accounts

    def trading_state(self, name: AccountId) -> TradingState:
        """The kill switch of an account; ACTIVE before it is open."""
        account = self._accounts.get(name)
        return account.record.trading_state if account else TradingState.ACTIVE

    def all(self) -> list[Account]:
        """Every account that is open, by id."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def chosen(self, name: str) -> list[Account]:
        """The named account, or all when the name is empty; raises as `get` does."""
        if not self._accounts:
            self.get(name)  # a command that would reach nobody is refused
        return [self.get(name)] if name else self.all()

    async def set_limits(self, limits: RiskLimits, actor: str) -> RiskLimits:
        """Replace an account's limits; they hold from the next submit on and survive a restart.

        Limits that say when they were read from (`updated_time_ns`) only replace those: FailedPrecondition says that
        somebody else was faster.
        """
        account = self.get(limits.account)
        async with self._limits_turn:
            newest_ns = account.limits.updated_time_ns
            if limits.updated_time_ns not in (0, newest_ns):
                raise _outdated(limits, newest_ns)
            changed_ns = max(self._clock.now_ns(), newest_ns + 1)
            stamped = replace(check_limits(limits), account=account.record.id, updated_time_ns=changed_ns)
            await self._store.set_limits(stamped, Audit(actor, changed_ns))
            account.limits = stamped
        return stamped

    async def set_trading_state(self, account: Account, state: TradingState, actor: str, reason: str) -> None:
        """Turn the kill switch; it holds at once, and durably when this returns."""
        if len(reason) > _LONGEST_REASON:
            raise InvalidArgument(f"Expected a reason of at most {_LONGEST_REASON} characters.", field="reason")
        account.record = replace(account.record, trading_state=state)
        await self._store.set_trading_state(account.record.id, state, Audit(actor, self._clock.now_ns(), reason))

    async def _take_in(self, word: VenueAccount, charges_after_ns: int) -> None:
        self._refreshed_ns = self._clock.monotonic_ns()
        for name in self.names:
            if name not in self._accounts:
                await self._open(name, word, charges_after_ns)
            account = self._accounts[name]
            account.multiplier = word.multiplier
            account.buying_power_nanos = word.buying_power_nanos if name == self.primary else 0

    async def _open(self, name: AccountId, word: VenueAccount, charges_after_ns: int) -> None:
        # What was adopted before has been paid for already: the venue's cash is what is left.
        cash = word.cash_nanos - self._holdings[name].cash_flow_value // ONE if name == self.primary else 0
        record = AccountRecord(name, self._venue, word.currency, cash, charges_after_ns=charges_after_ns)
        await self._store.add_account(record)
        limits = replace(self._defaults, account=name, updated_time_ns=self._clock.now_ns())
        await self._store.set_limits(limits, Audit("defaults", limits.updated_time_ns))
        self._accounts[name] = Account(record, limits)


def _outdated(limits: RiskLimits, newest_ns: int) -> FailedPrecondition:
    return FailedPrecondition(
        "The limits have changed since they were read: read them again.",
        reason="LIMITS_CHANGED",
        account=limits.account,
        updated_time_ns=limits.updated_time_ns,
        newest_time_ns=newest_ns,
    )


_LONGEST_REASON = 1_000
