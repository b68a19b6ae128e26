"""Every order that may still move, and what each account holds: the memory that the log is folded into."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from services.execution.domain.charge import Charge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Order, OrderEvent
from services.execution.domain.submission import NO_TIMINGS, Timings
from services.execution.ports.log import StoredOrder
from trading.ids import AccountId, ClientOrderId, OrderId, VenueOrderId
from trading.order import OrderStatus


@dataclass(slots=True, eq=False)
class LiveOrder:
    """An order in memory; times are monotonic ns. `durable` is done once its creation is committed.

    `stop_nanos` is where the trailing stop of a held order stands.
    """

    order: Order
    durable: "asyncio.Future[None] | None" = None
    timings: Timings = NO_TIMINGS
    received_ns: int | None = None
    sent_ns: int | None = None
    tick_receive_time_ns: int | None = None
    correlation_id: str = ""
    traceparent: str | None = None
    executions: set[str] = field(default_factory=set)
    watchers: "list[tuple[Callable[[Order], bool], asyncio.Future[None]]]" = field(default_factory=list)
    moved_ns: int = 0
    misses: int = 0
    missed_ns: int = 0
    stop_nanos: int = 0

    async def until(self, condition: Callable[[Order], bool], timeout_s: float) -> bool:
        """Wait until the order meets a condition; False when it does not in time."""
        if condition(self.order):
            return True
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        while not condition(self.order) and loop.time() < ends_at:
            watcher = loop.create_future()
            self.watchers.append((condition, watcher))
            timer = loop.call_at(ends_at, _wake, watcher)
            try:
                await watcher
            finally:
                timer.cancel()
        return condition(self.order)

    def wake(self) -> None:
        """Wake those who have waited for what the order is now."""
        if not self.watchers:
            return
        order, waiting = self.order, []
        for watching in self.watchers:
            condition, watcher = watching
            if watcher.done():
                continue
            if condition(order):
                watcher.set_result(None)
            else:
                waiting.append(watching)
        self.watchers = waiting


class Blotter:
    """Orders by id, holdings by account, and every idempotency key ever used (as a hash: eight bytes of truth).

    `held` are the orders by symbol that wait for their trigger here. `on_move` hears of every order that moved.
    Closed orders stay in memory until `closed_capacity` newer ones have closed.
    """

    def __init__(self, accounts: Iterable[AccountId], closed_capacity: int) -> None:
        self.holdings: dict[AccountId, Holdings] = {account: Holdings() for account in accounts}
        self.statuses: dict[OrderStatus, int] = {}
        self.held: dict[str, dict[OrderId, LiveOrder]] = {}
        self.on_move: Callable[[LiveOrder], None] = _ignore
        self._orders: dict[OrderId, LiveOrder] = {}
        self._by_client_id: dict[tuple[AccountId, ClientOrderId], LiveOrder] = {}
        self._closed: OrderedDict[OrderId, None] = OrderedDict()
        self._closed_capacity = closed_capacity
        self._keys: set[int] = set()
        self._open: dict[AccountId, dict[str, dict[OrderId, LiveOrder]]] = {}

    def get(self, order_id: OrderId) -> LiveOrder | None:
        """An order that is in memory."""
        return self._orders.get(order_id)

    def by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> LiveOrder | None:
        """An order in memory by the caller's id."""
        return self._by_client_id.get((account, client_order_id))

    def may_know(self, account: AccountId, client_order_id: ClientOrderId) -> bool:
        """False proves that the id was never used; True asks for a look into the store."""
        return hash((account, client_order_id)) in self._keys

    def learn_key(self, account: AccountId, client_order_id: ClientOrderId) -> None:
        """Remember that an id was used."""
        self._keys.add(hash((account, client_order_id)))

    def open_orders(self, account: AccountId | None = None) -> list[LiveOrder]:
        """Every order that is not closed."""
        accounts = self._open if account is None else (account,)
        return [live for each in accounts for orders in self._open.get(each, {}).values() for live in orders.values()]

    def open_in(self, account: AccountId, symbol: str) -> list[LiveOrder]:
        """The account's orders in one symbol that are not closed."""
        return list(self._open.get(account, {}).get(symbol, {}).values())

    def is_moving(self, symbol: str, since_ns: int) -> bool:
        """An order in the symbol has moved after a monotonic time: what it trades may be on its way."""
        return any(live.order.terms.symbol == symbol and live.moved_ns > since_ns for live in self._orders.values())

    def venue_symbols(self) -> set[str]:
        """The venue's spelling of every symbol that an order in memory is of."""
        return {live.order.terms.venue_symbol for live in self._orders.values() if live.order.terms.venue_symbol}

    def adopt(self, stored: StoredOrder, executions: Iterable[str] = ()) -> LiveOrder:
        """Take an order of the log into memory, as it stands."""
        known = self._orders.get(stored.order.order_id)
        if known is not None:
            return known
        live = LiveOrder(stored.order, timings=stored.timings, executions=set(executions))
        self._hold(live)
        return live

    def restore(self, stored: StoredOrder, executions: Iterable[str]) -> None:
        """Take in an open order at the start: it counts towards what its account may still trade."""
        self.adopt(stored, executions)
        self._holdings(stored.order).replace(None, stored.order)

    def restore_stop(self, order_id: OrderId, stop_nanos: int) -> None:
        """Let a held order's trailing stop stand where it stood."""
        self._orders[order_id].stop_nanos = stop_nanos

    def restore_fill(self, fill: LoggedFill) -> None:
        """Take in a trade of the log at the start."""
        holdings = self.holdings.setdefault(fill.account, Holdings())
        holdings.fill(fill.symbol, fill.side, fill.execution, fill.event_time_ns)

    def charge(self, charge: Charge) -> None:
        """Take in a charge of the record."""
        self.holdings.setdefault(charge.account, Holdings()).charge(charge)

    def by_venue_ids(self, venue_order_ids: Collection[VenueOrderId]) -> dict[VenueOrderId, LiveOrder]:
        """Those of the orders in memory that the venue calls so now."""
        found = ((live.order.venue_order_id, live) for live in self._orders.values() if venue_order_ids)
        return {name: live for name, live in found if name is not None and name in venue_order_ids}

    def begin(self, live: LiveOrder) -> None:
        """Register a new order before anybody else can hear of it."""
        self._hold(live)
        self._holdings(live.order).replace(None, live.order)
        self._count(None, live.order)

    def move(self, live: LiveOrder, after: Order, event: OrderEvent) -> None:
        """Take in an event of an order: holdings, counters and whoever waits for it follow."""
        before, live.order = live.order, after
        holdings = self._holdings(after)
        holdings.replace(before, after)
        if event.execution is not None:
            live.executions.add(event.execution.execution_id)
            holdings.fill(after.terms.symbol, after.terms.side, event.execution, event.event_time_ns)
        self._count(before, after)
        self._keep_held(live)
        if after.status.is_closed:
            self._close(live)
            self._retire(after.order_id)
        live.wake()
        self.on_move(live)

    def withdraw(self, live: LiveOrder) -> None:
        """Forget an order whose intent never became durable."""
        order = live.order
        nothing_left = replace(order, status=OrderStatus.DENIED)
        self._holdings(order).replace(order, nothing_left)
        self._count(order, None)
        self._drop(order.order_id)
        self._keys.discard(hash((order.account, order.terms.client_order_id)))
        live.order = nothing_left
        live.wake()
        self.on_move(live)

    def _hold(self, live: LiveOrder) -> None:
        terms = live.order.terms
        self._orders[terms.order_id] = live
        self._by_client_id[terms.account, terms.client_order_id] = live
        self.learn_key(terms.account, terms.client_order_id)
        if live.order.status.is_closed:
            self._retire(terms.order_id)
        else:
            self._open.setdefault(terms.account, {}).setdefault(terms.symbol, {})[terms.order_id] = live
        self._keep_held(live)

    def _keep_held(self, live: LiveOrder) -> None:
        terms = live.order.terms
        if live.order.status is OrderStatus.EMULATED:
            self.held.setdefault(terms.symbol, {})[terms.order_id] = live
        elif terms.symbol in self.held:
            self.held[terms.symbol].pop(terms.order_id, None)
            if not self.held[terms.symbol]:
                del self.held[terms.symbol]

    def _close(self, live: LiveOrder) -> None:
        terms = live.order.terms
        in_account = self._open.get(terms.account, {})
        in_symbol = in_account.get(terms.symbol, {})
        in_symbol.pop(terms.order_id, None)
        if not in_symbol:
            in_account.pop(terms.symbol, None)

    def _retire(self, order_id: OrderId) -> None:
        self._closed[order_id] = None
        self._closed.move_to_end(order_id)
        while len(self._closed) > self._closed_capacity:
            oldest, _ = self._closed.popitem(last=False)
            self._drop(oldest)

    def _drop(self, order_id: OrderId) -> None:
        live = self._orders.pop(order_id, None)
        self._closed.pop(order_id, None)
        if live is not None:
            self._close(live)
            self._by_client_id.pop((live.order.account, live.order.terms.client_order_id), None)

    def _holdings(self, order: Order) -> Holdings:
        account = order.terms.account
        return self.holdings.get(account) or self.holdings.setdefault(account, Holdings())

    def _count(self, before: Order | None, after: Order | None) -> None:
        for order, step in ((before, -1), (after, 1)):
            if order is not None:
                self.statuses[order.status] = self.statuses.get(order.status, 0) + step


def _wake(watcher: "asyncio.Future[None]") -> None:
    if not watcher.done():
        watcher.set_result(None)


def _ignore(_live: LiveOrder) -> None:
    """Nobody listens to moves yet."""
