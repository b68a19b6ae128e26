"""Memory that closed orders leave behind in everything that execution keeps of orders."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

from services.execution.domain.order import INITIALIZED, Execution, Fact, Order, OrderTerms
from services.execution.ports.log import Append, OrderStore
from services.execution.settings import Settings
from services.execution.usecases.blotter import Blotter, LiveOrder
from services.execution.usecases.journal import Journal
from tests.bench.execution_orders import nautilus
from tests.bench.peers import PeerMissing
from tests.bench.result import Result, beside
from trading.clock import SystemClock
from trading.ids import AccountId, ClientOrderId, OrderId, new_id
from trading.money import ONE
from trading.order import OrderEventKind, OrderType, Side, TimeInForce

ORDERS = 200_000
MAIN = AccountId("main")


class _Nowhere:
    """A store that forgets."""

    async def append(self, append: Append) -> None: ...


def memory_per_order() -> Iterator[Result]:
    """Resident bytes for each order that was submitted, filled and written, the newest closed ones included."""
    growth, kept = asyncio.run(_trade())
    extra = {"closed_orders_in_memory": kept, "rss_mb_grown": round(growth / 2**20, 1)}
    result = Result("execution.memory_per_order", "bytes", round(growth / ORDERS), ORDERS, extra=extra)
    try:
        peer = nautilus()
    except PeerMissing as reason:
        print(f"    without nautilus_trader: {reason}")
        yield result
        return
    yield beside(result, "nautilus_trader", peer["version"], peer["bytes_per_order"], ratio_of="peer/ours")


async def _trade() -> tuple[int, int]:
    kept = cast(int, Settings.model_fields["closed_orders_in_memory"].default)
    blotter, clock = Blotter([MAIN], kept), SystemClock()
    journal = Journal(cast(OrderStore, _Nowhere()), blotter, clock, lambda *_: b"")
    gc.collect()
    before = _rss()
    async for live in _orders(journal, clock):
        trade = Execution(live.order.order_id, 100 * ONE, ONE)
        journal.record(live, Fact(OrderEventKind.ACCEPTED, clock.now_ns()))
        journal.record(live, Fact(OrderEventKind.FILL, clock.now_ns(), execution=trade))
    await journal.flush()
    gc.collect()
    return _rss() - before, kept


async def _orders(journal: Journal, clock: Any) -> AsyncIterator[LiveOrder]:
    for at in range(ORDERS):
        name = OrderId(new_id())
        side = Side.BUY if at % 2 else Side.SELL
        terms = OrderTerms(
            name, ClientOrderId(name), MAIN, "paper", "AAPL", side, OrderType.MARKET, TimeInForce.DAY, ONE
        )
        live = LiveOrder(Order(terms))
        now_ns = clock.now_ns()
        await journal.open(live, (Fact(INITIALIZED, now_ns, terms=terms), Fact(OrderEventKind.SUBMITTED, now_ns)))
        yield live


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
