"""Look up orders, their lives, their trades, and the counters of the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.execution.domain.charge import LoggedCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import Order, apply
from services.execution.ports.charges import ChargeStore
from services.execution.ports.log import LoggedEvent, OrderQuery, StoredOrder
from services.execution.ports.market import Catalogue
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.observe import Observer, Tally
from services.execution.usecases.orders import Orders
from services.execution.usecases.relay_outbox import RelayOutbox
from trading.clock import SECOND_NS, Clock
from trading.errors import InvalidArgument
from trading.ids import ClientOrderId, OrderId, parse_order_id
from trading.order import OrderStatus

_ORDERS_PAGE, _MOST_ORDERS = 100, 1_000
_FILLS_PAGE, _MOST_FILLS = 1_000, 10_000
_CHARGES_PAGE, _MOST_CHARGES = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, newest first; `next_cursor` is empty on the last page."""

    orders: Sequence[StoredOrder]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class FillPage:
    """Trades in the order of the log."""

    fills: Sequence[LoggedFill]
    has_more: bool


@dataclass(frozen=True, slots=True)
class ChargePage:
    """Charges in the order of their recording."""

    charges: Sequence[LoggedCharge]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the start, and how full the busiest queue is, 0..1."""

    tally: Tally
    orders_by_status: Mapping[OrderStatus, int]
    buffer_utilization: float
    uptime_s: float
    outbox_depth: int


class LookUp:
    """Reading, which changes nothing."""

    def __init__(
        self,
        orders: Orders,
        charges: ChargeStore,
        accounts: Accounts,
        catalogue: Catalogue,
        observer: Observer,
        background: Background,
        relay: RelayOutbox,
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._charges = charges
        self._accounts = accounts
        self._catalogue = catalogue
        self._observer = observer
        self._background = background
        self._relay = relay
        self._clock = clock
        self._started_ns = clock.monotonic_ns()

    async def order(self, order_id: OrderId) -> LiveOrder:
        """One order; raises UnknownOrder."""
        return await self._orders.need(order_id)

    async def order_by_client_id(self, account: str, client_order_id: str) -> LiveOrder:
        """One order by the caller's id; raises UnknownOrder, NotFound (account)."""
        owner = self._accounts.get(account).record.id
        return await self._orders.need_by_client_id(owner, ClientOrderId(client_order_id))

    async def orders(
        self, *, account: str, symbol: str, statuses: frozenset[OrderStatus], page_size: int, cursor: str
    ) -> OrderPage:
        """A page of orders; raises InvalidArgument, NotFound (account), UnknownSymbol."""
        limit = _page_size(page_size, _ORDERS_PAGE, _MOST_ORDERS)
        query = OrderQuery(
            limit + 1,
            account=self._accounts.get(account).record.id if account else None,
            symbol=(await self._catalogue.get(symbol)).symbol if symbol else None,
            statuses=statuses,
            before=_place(cursor),
        )
        await self._orders.journal.flush()
        found = await self._orders.store.list(query)
        more = len(found) > limit
        page = [self._newest(stored) for stored in found[:limit]]
        return OrderPage(page, page[-1].order.order_id if more else "")

    async def life(self, order_id: OrderId) -> list[tuple[LoggedEvent, Order]]:
        """Every event of an order with the order after it; raises UnknownOrder."""
        await self._orders.need(order_id)
        await self._orders.journal.flush()
        order: Order | None = None
        life = []
        for logged in await self._orders.store.events(order_id):
            order = apply(order, logged.event)
            life.append((logged, order))
        return life

    async def symbol(self, spelling: str) -> str:
        """The canonical symbol of any spelling; raises UnknownSymbol, Unavailable."""
        return (await self._catalogue.get(spelling)).symbol

    async def fills(self, account: str, after: int, page_size: int) -> FillPage:
        """A page of trades; raises InvalidArgument, NotFound (account)."""
        if after < 0:
            raise InvalidArgument("Expected a place in the log.", field="after_log_sequence", value=after)
        limit = _page_size(page_size, _FILLS_PAGE, _MOST_FILLS)
        owner = self._accounts.get(account).record.id if account else None
        found = await self._orders.store.fills(after, limit + 1, owner)
        return FillPage(found[:limit], len(found) > limit)

    async def charges(self, account: str, after: int, page_size: int) -> ChargePage:
        """A page of charges; raises InvalidArgument, NotFound (account)."""
        if after < 0:
            raise InvalidArgument("Expected a place among the charges.", field="after_sequence", value=after)
        limit = _page_size(page_size, _CHARGES_PAGE, _MOST_CHARGES)
        owner = self._accounts.get(account).record.id if account else None
        found = await self._charges.list(after, limit + 1, owner)
        return ChargePage(found[:limit], len(found) > limit)

    def stats(self) -> Stats:
        """The counters."""
        utilization = max(self._orders.journal.utilization, self._background.utilization)
        return Stats(
            tally=self._observer.tally,
            orders_by_status={status: count for status, count in self._orders.blotter.statuses.items() if count},
            buffer_utilization=utilization,
            uptime_s=(self._clock.monotonic_ns() - self._started_ns) / SECOND_NS,
            outbox_depth=self._relay.depth,
        )

    def _newest(self, stored: StoredOrder) -> StoredOrder:
        live = self._orders.blotter.get(stored.order.order_id)
        return StoredOrder(live.order, live.timings) if live else stored


def _place(cursor: str) -> OrderId | None:
    """Behind which order a page begins: any other word would begin anywhere, and hide orders."""
    if not cursor:
        return None
    try:
        return parse_order_id(cursor)
    except InvalidArgument as error:
        raise InvalidArgument("Expected the cursor of a page before.", field="cursor", value=cursor[:64]) from error


def _page_size(asked: int, usual: int, most: int) -> int:
    if not 0 <= asked <= most:
        raise InvalidArgument(f"Expected a page size of 0..{most}.", field="page_size", value=asked)
    return asked or usual
