"""Find an order wherever it is: in memory while it may move, in the store for ever."""

from collections.abc import Callable, Sequence

from services.execution.domain.order import Order
from services.execution.ports.log import OrderQuery, OrderStore, StoredOrder
from services.execution.usecases.blotter import Blotter, LiveOrder
from services.execution.usecases.journal import Journal
from trading.errors import Unavailable, UnknownOrder
from trading.ids import AccountId, ClientOrderId, OrderId
from trading.order import OrderStatus


class Orders:
    """Every order there is.

    Before the log is recalled there are none: what a replica that stands by read now would be stale in its memory
    by the time it leads.
    """

    def __init__(self, store: OrderStore, blotter: Blotter, journal: Journal) -> None:
        self.store = store
        self.blotter = blotter
        self.journal = journal
        self.are_recalled = False

    def check_recalled(self) -> None:
        """Raise Unavailable until the log is in memory."""
        if not self.are_recalled:
            raise Unavailable("This replica does not lead: it has not recalled the order log.", retry_after_s=1)

    async def find(self, order_id: OrderId) -> LiveOrder | None:
        """An order by our id; None when there is none."""
        return self.blotter.get(order_id) or (await self.find_each([order_id])).get(order_id)

    async def find_each(self, order_ids: Sequence[OrderId]) -> dict[OrderId, LiveOrder]:
        """Those of the orders that there are; the store is asked once for all that memory lacks."""
        self.check_recalled()
        known = {order_id: live for order_id in order_ids if (live := self.blotter.get(order_id)) is not None}
        missing = [order_id for order_id in order_ids if order_id not in known]
        return known | await self._adopt(await self._read(missing) if missing else ())

    async def find_by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> LiveOrder | None:
        """An order by the caller's id; asks the store only about ids that were used before."""
        self.check_recalled()
        live = self.blotter.by_client_id(account, client_order_id)
        if live is not None or not self.blotter.may_know(account, client_order_id):
            return live
        await self.journal.flush()
        stored = await self.store.get_by_client_id(account, client_order_id)
        return (await self._adopt([stored]))[stored.order.order_id] if stored else None

    async def newest(
        self, statuses: frozenset[OrderStatus], limit: int, wanted: Callable[[Order], bool]
    ) -> list[LiveOrder]:
        """Of the newest orders that stand so, those that are wanted."""
        self.check_recalled()
        await self.journal.flush()
        found = await self.store.list(OrderQuery(limit, statuses=statuses))
        return list((await self._adopt([stored for stored in found if wanted(stored.order)])).values())

    async def need(self, order_id: OrderId) -> LiveOrder:
        """An order by our id, durable; raises UnknownOrder."""
        return await self._durable(await self.find(order_id), order_id)

    async def need_by_client_id(self, account: AccountId, client_order_id: ClientOrderId) -> LiveOrder:
        """An order by the caller's id, durable; raises UnknownOrder."""
        return await self._durable(await self.find_by_client_id(account, client_order_id), client_order_id)

    async def _read(self, order_ids: Sequence[OrderId]) -> Sequence[StoredOrder]:
        """Orders of the store; memory may have let go of one whose last events are not written yet."""
        await self.journal.flush()
        return await self.store.get(order_ids)

    async def _adopt(self, found: Sequence[StoredOrder]) -> dict[OrderId, LiveOrder]:
        if not found:
            return {}
        executions = await self.store.execution_ids([stored.order.order_id for stored in found])
        return {
            stored.order.order_id: self.blotter.adopt(stored, executions.get(stored.order.order_id, ()))
            for stored in found
        }

    async def _durable(self, live: LiveOrder | None, name: str) -> LiveOrder:
        if live is None:
            raise UnknownOrder(f"No order is called {name[:64]!r}.", order=name[:64])
        await self.journal.until_durable(live)
        return live
