"""Recall everything from the log at the start: keys, holdings, open orders, counters."""

from services.execution.domain.chain import verify
from services.execution.domain.order import fold
from services.execution.ports import OrderStore, StoredOrder
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.journal import Journal

_PAGE = 10_000


async def recall(store: OrderStore, blotter: Blotter, journal: Journal) -> int:
    """Fold the log into memory; returns how many orders are open. Raises FailedPrecondition for a broken chain."""
    journal.start_from(await store.head())
    async for account, client_order_id in store.client_ids():
        blotter.learn_key(account, client_order_id)
    blotter.statuses |= dict(await store.count_by_status())
    await _recall_fills(store, blotter)
    open_orders = await store.open_orders()
    for stored in open_orders:
        events = [logged.event for logged in await store.events(stored.order.order_id)]
        verify(events)
        executions = [event.execution.execution_id for event in events if event.execution]
        blotter.restore(StoredOrder(fold(events), stored.timings), executions)
    return len(open_orders)


async def _recall_fills(store: OrderStore, blotter: Blotter) -> None:
    after = 0
    while fills := await store.fills(after, _PAGE):
        for fill in fills:
            blotter.restore_fill(fill)
        after = fills[-1].log_sequence
