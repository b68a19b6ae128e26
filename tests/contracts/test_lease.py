"""What every lease must do: SQLite, Postgres, and the fake that the unit tests trust; and what it fences off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from builders.order_log import a_database
from builders.orders import life
from contracts.test_order_store import entries
from fakes.orders import FakeLease

from fleet.database import Database
from services.execution.adapters import sql_lease
from services.execution.adapters.sql_lease import SqlLease, is_dead
from services.execution.adapters.sql_orders import open_order_log
from services.execution.ports.log import AnotherWriter, Append, Lease
from trading.clock import SystemClock
from trading.order import OrderEventKind as Kind


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with a_database(url, tmp_path) as opened:
        yield opened


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
def kept_in(request: pytest.FixtureRequest) -> str | None:
    """None in memory, "" in a SQLite file, else a Postgres URL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return None if request.param == "fake" else ""


@pytest.fixture
async def lease(kept_in: str | None, tmp_path: Path) -> AsyncIterator[Lease]:
    if kept_in is None:
        yield FakeLease()
        return
    async with a_database(kept_in, tmp_path) as opened:
        yield SqlLease(opened, SystemClock())


async def test_a_free_lease_is_taken_and_kept(lease: Lease) -> None:
    epoch = await lease.take(60)
    assert epoch is not None
    assert await lease.renew(epoch, 60)


async def test_a_lease_that_is_held_is_nobody_elses(lease: Lease) -> None:
    assert await lease.take(60) is not None
    assert await lease.take(60) is None


async def test_a_lease_given_back_goes_to_the_next_with_a_larger_epoch(lease: Lease) -> None:
    first = await lease.take(60)
    assert first is not None
    await lease.give_back(first)
    second = await lease.take(60)
    assert second is not None
    assert second > first
    assert not await lease.renew(first, 60)


async def test_a_late_give_back_takes_nothing_from_the_next(lease: Lease) -> None:
    first = await lease.take(60)
    await lease.give_back(first or 0)
    second = await lease.take(60)
    await lease.give_back(first or 0)
    assert await lease.renew(second or 0, 60)
    assert await lease.take(60) is None


async def test_a_lease_ends_by_itself(database: Database) -> None:
    lease = SqlLease(database, SystemClock())
    first = await lease.take(0.05)
    await asyncio.sleep(0.1)  # the end of a lease is a matter of time
    assert await lease.take(60) == (first or 0) + 1


async def test_a_lease_that_ended_unnoticed_can_still_be_renewed(database: Database) -> None:
    lease = SqlLease(database, SystemClock())
    epoch = await lease.take(0.01)
    await asyncio.sleep(0.05)  # the end of a lease is a matter of time
    assert await lease.renew(epoch or 0, 60)
    assert await lease.take(60) is None


async def test_of_many_who_come_at_once_one_gets_it(database: Database) -> None:
    leases = [SqlLease(database, SystemClock()) for _ in range(4)]
    outcomes = await asyncio.gather(*(each.take(60) for each in leases))
    assert sorted(each for each in outcomes if each is not None) == [1]


async def test_the_lease_of_a_dead_process_is_free(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart after kill -9 waits for nothing."""
    host, number, _ = sql_lease.holder_name().split("/")
    monkeypatch.setattr(sql_lease, "holder_name", lambda: f"{host}/{number}/1.00")
    assert await SqlLease(database, SystemClock()).take(60) == 1
    monkeypatch.undo()
    assert await SqlLease(database, SystemClock()).take(60) == 2


def test_only_processes_of_this_machine_are_known_to_be_dead() -> None:
    mine = sql_lease.holder_name()
    host, number, started = mine.split("/")
    gone = max(psutil.pids()) + 1_000_000
    assert not is_dead(mine)
    assert is_dead(f"{host}/{gone}/{started}")
    assert is_dead(f"{host}/{number}/1.00")
    assert not is_dead(f"another-{host}/{gone}/{started}")
    assert not is_dead("no holder's name")


async def test_only_the_newest_lease_may_write(database: Database) -> None:
    """Whoever was overtaken writes nothing: no event, no order, nothing out of the outbox."""
    async with AsyncExitStack() as stack:
        lease = SqlLease(database, SystemClock())
        store = await stack.enter_async_context(open_order_log(database))
        first = await lease.take(60)
        await store.append(Append(entries(life(Kind.SUBMITTED)), epoch=first))
        await lease.give_back(first or 0)
        second = await lease.take(60)
        with pytest.raises(AnotherWriter, match="lease"):
            await store.append(Append(entries(life(Kind.SUBMITTED), 3), published_through=2, epoch=first))
        assert (await store.head(), await store.outbox_depth()) == (2, 1)
        await store.append(Append(entries(life(Kind.SUBMITTED), 3), epoch=second))
        assert await store.head() == 4
