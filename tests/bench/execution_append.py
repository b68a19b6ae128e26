"""The durable append of one order's intent to the order log, beside the disk alone."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fleet.database import open_database
from services.execution.adapters.sql_orders import open_order_log
from services.execution.domain.chain import seal
from services.execution.domain.order import INITIALIZED, EventKind, Order, OrderEvent, OrderTerms, apply
from services.execution.ports.log import Append, Entry, OutboxRow
from services.execution.translate import events
from tests import servers
from tests.bench.fleet import fdatasync_us
from tests.bench.result import Result, beside, of_samples
from trading.ids import AccountId, ClientOrderId, EventId, OrderId, new_id
from trading.money import ONE
from trading.order import OrderEventKind, OrderType, Side, TimeInForce

APPENDS = 1_000
WARM_UP = 100


def append_sqlite() -> Iterator[Result]:
    """The journal's own way: a hop to the writer's thread, a transaction, an fsync, the hop back."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        samples = asyncio.run(_appends("", Path(folder)))
    yield _beside_the_disk("execution.append_sqlite", samples)


def append_postgres() -> Iterator[Result]:
    """One statement and one commit over a local connection."""
    binaries = servers.postgres_binaries()
    if binaries is None:
        print("    execution.append_postgres: skipped, no Postgres is installed here")
        return
    with tempfile.TemporaryDirectory(dir=".") as folder, servers.postgres_server(Path(folder), binaries) as url:
        samples = asyncio.run(_appends(url, Path(folder)))
    yield _beside_the_disk("execution.append_postgres", samples)


async def _appends(url: str, folder: Path) -> list[float]:
    samples = []
    migrations = "services.execution.migrations"
    async with (
        open_database(url, service="execution", data_dir=folder, migrations=migrations) as database,
        open_order_log(database) as log,
    ):
        for at in range(WARM_UP + APPENDS):
            append = Append(an_intent(2 * at + 1))
            began_ns = time.perf_counter_ns()
            await log.append(append)
            samples.append((time.perf_counter_ns() - began_ns) / 1e3)
    return samples[WARM_UP:]


def _beside_the_disk(name: str, samples: list[float]) -> Result:
    return beside(
        of_samples(name, "µs", samples), "fdatasync, 512 bytes", "floor", fdatasync_us(), ratio_of="ours/floor"
    )


def an_intent(first: int) -> list[Entry]:
    """The creation of an order and the verdict that it is sent, at their places in the log."""
    order_id = OrderId(new_id())
    terms = OrderTerms(
        order_id,
        ClientOrderId(order_id),
        AccountId("main"),
        "paper",
        "AAPL",
        Side.BUY,
        OrderType.MARKET,
        TimeInForce.DAY,
        ONE,
        fingerprint="f" * 64,
    )
    created = an_event(None, INITIALIZED, terms)
    order = apply(None, created)
    sent = an_event(order, OrderEventKind.SUBMITTED)
    after = apply(order, sent)
    payload = events.order_event_bytes(first + 1, sent, after)
    row = OutboxRow(first + 1, sent.event_id, sent.kind, terms.account, payload, sent.receive_time_ns)
    return [Entry(first, created, order, None), Entry(first + 1, sent, after, row)]


def an_event(order: Order | None, kind: EventKind, terms: OrderTerms | None = None) -> OrderEvent:
    """The next event of an order."""
    now_ns = time.time_ns()
    named = order.terms if order else terms
    assert named is not None
    event = OrderEvent(
        EventId(new_id()), named.order_id, kind, order.version + 1 if order else 1, now_ns, now_ns, terms=terms
    )
    return seal(event, order.hash if order else "")
