"""Recall everything from the log at the start: keys, holdings, open orders, counters."""

from services.execution.domain.chain import verify
from services.execution.domain.fill import LoggedFill
from services.execution.domain.order import fold
from services.execution.ports.charges import ChargeStore
from services.execution.ports.log import OrderStore, StoredOrder
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.journal import Journal
from services.execution.usecases.read_ledger import read_ledger


async def recall(store: OrderStore, charges: ChargeStore, blotter: Blotter, journal: Journal) -> int:
    """Fold the log into memory; returns how many orders are open. Raises FailedPrecondition for a broken chain."""
    journal.start_from(await store.head())
    async for account, client_order_id in store.client_ids():
        blotter.learn_key(account, client_order_id)
    blotter.statuses |= dict(await store.count_by_status())
    await _recall_holdings(store, charges, blotter)
    open_orders, stops = await store.open_orders(), await store.stops()
    for stored in open_orders:
        events = [logged.event for logged in await store.events(stored.order.order_id)]
        verify(events)
        executions = [event.execution.execution_id for event in events if event.execution]
        blotter.restore(StoredOrder(fold(events), stored.timings), executions)
        blotter.restore_stop(stored.order.order_id, stops.get(stored.order.order_id, 0))
    return len(open_orders)


async def _recall_holdings(store: OrderStore, charges: ChargeStore, blotter: Blotter) -> None:
    async for page in read_ledger(store, charges):
        for entry in page:
            if isinstance(entry, LoggedFill):
                blotter.restore_fill(entry)
            else:
                blotter.charge(entry.charge)
