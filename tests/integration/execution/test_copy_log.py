"""An order log moves between databases: `python -m services.execution copy-log`."""

import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders.charges import a_charge
from builders.orders import MAIN, event, execution, life
from sqlalchemy import select, text

from fleet.database import Database, open_database
from services.execution.adapters import schema, sql_copy
from services.execution.adapters.sql_charges import SqlCharges
from services.execution.adapters.sql_controls import SqlControls
from services.execution.adapters.sql_lease import SqlLease
from services.execution.adapters.sql_orders import open_order_log
from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import INITIALIZED, Order, OrderEvent, apply
from services.execution.domain.submission import Timings
from services.execution.ports.controls import AccountRecord, Audit
from services.execution.ports.log import Append, Entry, OutboxRow
from trading.clock import SystemClock
from trading.ids import OrderId, new_id
from trading.money import ONE
from trading.order import OrderEventKind as Kind
from trading.order import TradingState


def opened(url: str) -> Any:
    return open_database(url, service="execution", data_dir=Path(), migrations="services.execution.migrations")


def entries(events: list[OrderEvent], first: int) -> list[Entry]:
    order: Order | None = None
    found = []
    for place, each in enumerate(events, first):
        order = apply(order, each)
        row = OutboxRow(place, each.event_id, each.kind, order.account, b"\x00payload", each.receive_time_ns, "trace")
        found.append(Entry(place, each, order, None if each.kind == INITIALIZED else row))
    return found


def a_life(number: int) -> list[OrderEvent]:
    """An order of its own: filled, canceled or held."""
    kinds = [(Kind.SUBMITTED, Kind.ACCEPTED), (Kind.SUBMITTED, Kind.ACCEPTED, Kind.CANCELED), (Kind.EMULATED,)]
    name = OrderId(new_id())
    events = life(*kinds[number % 3], order_id=name, client_order_id=f"order-{number}", symbol="BRK.B")
    if number % 3:
        return events
    order: Order | None = None
    for each in events:
        order = apply(order, each)
    assert order is not None
    fill = event(order, Kind.FILL, execution=replace(execution(order.terms.quantity_nanos // ONE), execution_id=name))
    return [*events, fill]


async def fill_log(url: str, orders: int) -> None:
    """A log with orders, timings, stops, accounts, limits, an audit trail and charges."""
    async with opened(url) as database, open_order_log(database) as log:
        controls = SqlControls(database)
        await controls.add_account(AccountRecord(MAIN, "paper", "USD", 7 * ONE, TradingState.ACTIVE))
        await controls.set_limits(RiskLimits(MAIN, max_open_orders=3, price_collar=0.1), Audit("me", 5, "because"))
        place = 1
        for number in range(orders):
            found = entries(a_life(number), place)
            name = found[-1].order.order_id
            stops = {name: 5 * ONE} if number % 3 == 2 else {}
            await log.append(Append(found, timings={name: Timings(3, 2, 1)}, stops=stops))
            place += len(found)
        await SqlCharges(database).record([a_charge(1)], None)


async def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the lease."""
    found = {}
    async with database.read() as connection:
        for table in schema.metadata.sorted_tables:
            rows = (await connection.execute(select(table).order_by(*table.primary_key))).all()
            found[table.name] = [tuple(row) for row in rows]
    del found[schema.leases.name]
    return found


def run(*urls: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "services.execution", "copy-log", *urls]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("way", ["into postgres", "out of postgres"])
async def test_a_copied_log_is_the_same_to_the_last_row(way: str, postgres_url: str, tmp_path: Path) -> None:
    """Whatever the databases; and it can be written on."""
    file = f"sqlite:///{tmp_path / 'log.db'}"
    source, target = (file, postgres_url) if way == "into postgres" else (postgres_url, file)
    await fill_log(source, orders=12)
    said = run(source, target)
    assert (said.returncode, "orders: 12" in said.stderr) == (0, True), said
    assert "12 orders and 4 fills copied and verified" in said.stdout
    async with AsyncExitStack() as stack:
        ours, theirs = [await stack.enter_async_context(opened(url)) for url in (source, target)]
        assert await contents(theirs) == await contents(ours)
        await SqlControls(theirs).set_limits(RiskLimits(MAIN), Audit("me", 6, ""))


async def test_a_long_log_goes_over_in_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An order whose events lie in two batches is one order."""
    monkeypatch.setattr(sql_copy, "BATCH", 4)
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a.db", "b.db")]
    await fill_log(urls[0], orders=9)
    heard: list[tuple[str, int]] = []
    async with AsyncExitStack() as stack:
        source, target = [await stack.enter_async_context(opened(url)) for url in urls]
        copied = await sql_copy.copy_log(source, target, lambda *told: heard.append(told))
        assert await contents(target) == await contents(source)
    assert (copied.orders, copied.fills) == (9, 3)
    assert [rows for table, rows in heard if table == "order_events"][:2] == [4, 8]


async def test_a_log_that_is_in_use_is_not_copied(tmp_path: Path) -> None:
    """Nor is anything copied over another log, or from nowhere; each said in one line."""
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a.db", "b.db")]
    await fill_log(urls[0], orders=1)
    await fill_log(urls[1], orders=1)
    over = run(*urls)
    assert (over.returncode, over.stderr.count("\n")) == (2, 1)
    assert "holds an order log already" in over.stderr
    async with opened(urls[0]) as database:
        lease = SqlLease(database, SystemClock())
        assert await lease.take(60) is not None
        assert "running on this database" in run(urls[0], f"sqlite:///{tmp_path / 'c.db'}").stderr
    assert "Expected the URL" in run("", urls[0]).stderr
    assert "is no URL" in run("nonsense", urls[0]).stderr


async def test_a_broken_chain_is_not_copied(tmp_path: Path) -> None:
    """And nothing of it is left in the target, which can be tried again."""
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a.db", "b.db")]
    await fill_log(urls[0], orders=3)
    async with opened(urls[0]) as database, database.begin() as connection:
        await connection.execute(text("UPDATE order_events SET reason = 'forged' WHERE log_sequence = 2"))
    said = run(*urls)
    assert said.returncode == 2
    assert "hash chain of an order is broken" in said.stderr
    async with opened(urls[1]) as target:
        assert not any((await contents(target)).values())
