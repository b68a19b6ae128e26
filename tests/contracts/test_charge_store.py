"""What every record of charges must do: SQLite, Postgres, and the fake that the unit tests trust."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from builders.charges import NOON_NS, a_charge
from builders.orders import life
from contracts.test_order_store import entries
from fakes.order_stores import FakeChargeStore, FakeOrderStore

from fleet.database import Database, open_database
from services.execution.adapters.sql_charges import SqlCharges
from services.execution.adapters.sql_lease import SqlLease
from services.execution.adapters.sql_orders import open_order_log
from services.execution.domain.charge import ChargeKind
from services.execution.ports.charges import ChargeStore
from services.execution.ports.log import AnotherWriter, Append, OrderStore
from trading.clock import SystemClock
from trading.ids import AccountId, OrderId
from trading.money import ONE
from trading.order import OrderEventKind as Kind

Stores = tuple[OrderStore, ChargeStore]


@asynccontextmanager
async def a_database(url: str, directory: Path) -> AsyncIterator[Database]:
    """An order log's database with its schema."""
    async with open_database(
        url, service="execution", data_dir=directory, migrations="services.execution.migrations"
    ) as database:
        yield database


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
def kept_in(request: pytest.FixtureRequest) -> str | None:
    """Where the record is kept: None in memory, "" in a SQLite file, else a Postgres URL."""
    if request.param == "fake":
        return None
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def stores(kept_in: str | None, tmp_path: Path) -> AsyncIterator[Stores]:
    if kept_in is None:
        log = FakeOrderStore()
        yield log, FakeChargeStore(log)
        return
    async with a_database(kept_in, tmp_path) as database, open_order_log(database) as orders:
        yield orders, SqlCharges(database)


@pytest.fixture
def charges(stores: Stores) -> ChargeStore:
    return stores[1]


async def test_an_empty_record_has_nothing(charges: ChargeStore) -> None:
    assert (await charges.head(), await charges.newest_ns()) == (0, 0)
    assert list(await charges.list(0, 10)) == list(await charges.untold(10)) == []
    assert await charges.known([a_charge().charge_id]) == frozenset()


async def test_a_charge_comes_back_as_it_was_written(charges: ChargeStore) -> None:
    whole = a_charge(
        kind=ChargeKind.FUNDING,
        symbol="BTC-USDT",
        amount_nanos=-(2**62),
        quantity_nanos=250,
        order_id=OrderId("018f0000-0000-7000-8000-000000000001"),
    )
    await charges.record([whole], None)
    (found,) = await charges.list(0, 10)
    assert (found.sequence, found.charge) == (1, whole)
    assert await charges.known([whole.charge_id, a_charge(2).charge_id]) == {whole.charge_id}


async def test_a_charge_is_recorded_once_however_often_it_is_told(charges: ChargeStore) -> None:
    await charges.record([a_charge(1), a_charge(2)], None)
    await charges.record([a_charge(2), a_charge(3)], None)
    assert [(each.sequence, each.charge.venue_id) for each in await charges.list(0, 10)] == [
        (1, "venue-1"),
        (2, "venue-2"),
        (3, "venue-3"),
    ]
    assert await charges.head() == 3


async def test_what_was_paid_before_the_opening_is_known_and_nothing_more(charges: ChargeStore) -> None:
    await charges.record([a_charge(1)], None, paid=True)
    await charges.record([a_charge(1), a_charge(2, event_time_ns=NOON_NS - ONE)], None)
    assert [each.charge.venue_id for each in await charges.list(0, 10)] == ["venue-2"]
    assert [each.charge.venue_id for each in await charges.untold(10)] == ["venue-2"]
    assert await charges.newest_ns() == NOON_NS


async def test_a_charge_counts_after_the_events_that_were_there(stores: Stores) -> None:
    log, charges = stores
    await charges.record([a_charge(1)], None)
    await log.append(Append(entries(life(Kind.SUBMITTED, Kind.FILL))))
    await charges.record([a_charge(2)], None)
    assert [each.log_sequence for each in await charges.list(0, 10)] == [0, 3]


async def test_charges_are_listed_by_account_and_page(charges: ChargeStore) -> None:
    other = AccountId("other")
    await charges.record([a_charge(1), a_charge(2, account=other), a_charge(3)], None)
    assert [each.sequence for each in await charges.list(0, 2)] == [1, 2]
    assert [each.sequence for each in await charges.list(2, 2)] == [3]
    assert [each.sequence for each in await charges.list(0, 10, "other")] == [2]


async def test_what_was_told_waits_no_longer(charges: ChargeStore) -> None:
    await charges.record([a_charge(1), a_charge(2), a_charge(3)], None)
    waiting = await charges.untold(2)
    assert [each.sequence for each in waiting] == [1, 2]
    await charges.note_told(waiting)
    assert [each.sequence for each in await charges.untold(10)] == [3]
    assert len(await charges.list(0, 10)) == 3


async def test_who_lost_the_lease_records_no_charge(database_url: str, tmp_path: Path) -> None:
    async with a_database(database_url, tmp_path) as database:
        lease, charges = SqlLease(database, SystemClock()), SqlCharges(database)
        first = await lease.take(60)
        await charges.record([a_charge(1)], first)
        await lease.give_back(first or 0)
        second = await lease.take(60)
        with pytest.raises(AnotherWriter):
            await charges.record([a_charge(2)], first)
        await charges.record([a_charge(3)], second)
        assert [each.charge.venue_id for each in await charges.list(0, 10)] == ["venue-1", "venue-3"]
