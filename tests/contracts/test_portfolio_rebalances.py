"""What every Rebalances and Schedules must do, on SQLite and on Postgres."""

import asyncio
from dataclasses import replace

import pytest
from builders.rebalances import a_rebalance, a_report, an_order

from fleet.database import Database
from services.portfolio.adapters.sql_rebalances import SqlRebalances
from services.portfolio.adapters.sql_schedules import SqlSchedules
from services.portfolio.domain.rebalance import Rules, State
from services.portfolio.domain.rebalance_schedule import Schedule
from trading.errors import FailedPrecondition
from trading.money import MAX_NANOS


@pytest.fixture
def rebalances(portfolio_database: Database) -> SqlRebalances:
    return SqlRebalances(portfolio_database)


@pytest.fixture
def schedules(portfolio_database: Database) -> SqlSchedules:
    return SqlSchedules(portfolio_database)


async def test_a_rebalance_comes_back_as_it_was_kept(rebalances: SqlRebalances) -> None:
    kept = a_rebalance(
        an_order(quantity_nanos=-MAX_NANOS, weight_before=0.1 + 0.2),
        an_order("BTC-USDT", "0.5", is_always_open=True).reported(a_report("DENIED", "0.25", "no")),
        rules=Rules("main", {"AAPL": 1 / 3}, 0.01, 5, 0.5, True),
        ending=State.FAILED,
        error="€",
        scheduled=True,
        equity_nanos=10**25,
    )
    await rebalances.add(kept)
    assert await rebalances.get(kept.id) == kept
    assert await rebalances.get("other") is None


async def test_a_change_is_kept_only_over_the_version_it_was_made_from(rebalances: SqlRebalances) -> None:
    kept = a_rebalance()
    await rebalances.add(kept)
    started = kept.started(2)
    outcomes = await asyncio.gather(rebalances.put(started, was=1), rebalances.put(kept.canceled(3), was=1))
    assert sorted(outcomes) == [False, True]
    assert not await rebalances.put(started, was=1)
    found = await rebalances.get(kept.id)
    assert found is not None
    assert found.version == 2


async def test_an_account_executes_one_at_a_time(rebalances: SqlRebalances) -> None:
    first, second = a_rebalance(), a_rebalance(id="second")
    other = a_rebalance(id="third", account="other")
    for kept in (first, second, other):
        await rebalances.add(kept)
    assert await rebalances.put(first.started(2), was=1)
    assert await rebalances.put(other.started(2), was=1)
    with pytest.raises(FailedPrecondition) as refused:
        await rebalances.put(second.started(2), was=1)
    assert refused.value.reason == "REBALANCE_UNDER_WAY"
    assert [found.id for found in await rebalances.executing()] == [first.id, "third"]
    assert await rebalances.put(replace(first, state=State.DONE, version=3), was=2)
    assert await rebalances.put(second.started(2), was=1)


async def test_pages_are_newest_first_and_of_one_account_or_all(rebalances: SqlRebalances) -> None:
    for number in range(5):
        await rebalances.add(a_rebalance(id=f"id-{number}", account="main" if number % 2 == 0 else "other"))

    async def ids(account: str, limit: int, before: str = "") -> list[str]:
        return [found.id for found in await rebalances.page(account, limit, before)]

    assert await ids("", 3) == ["id-4", "id-3", "id-2"]
    assert await ids("", 3, "id-2") == ["id-1", "id-0"]
    assert await ids("main", 10) == ["id-4", "id-2", "id-0"]
    assert await ids("nobody", 10) == []


async def test_a_version_is_told_once_and_a_newer_one_again(rebalances: SqlRebalances) -> None:
    kept, other = a_rebalance(), a_rebalance(id="other")
    await rebalances.add(kept)
    await rebalances.add(other)
    assert await rebalances.untold(1) == (kept,)
    await rebalances.told(kept)
    assert await rebalances.untold(10) == (other,)
    started = kept.started(2)
    await rebalances.put(started, was=1)
    await rebalances.told(kept)  # late: the newer version still is to be told
    assert await rebalances.untold(10) == (started, other)


async def test_old_ones_are_forgotten_unless_they_are_under_way_or_untold(rebalances: SqlRebalances) -> None:
    old, working, untold, young = (f"{number:08x}-0000-7000-8000-000000000000" for number in range(1, 5))
    for name in (old, working, untold, young):
        await rebalances.add(a_rebalance(id=name, account=name))
    await rebalances.told(a_rebalance(id=old))
    await rebalances.put(a_rebalance(id=working, account=working).started(2), was=1)
    await rebalances.told(a_rebalance(id=working, version=2))
    await rebalances.told(a_rebalance(id=young))
    assert await rebalances.forget(0x00000004_0000 * 1_000_000) == 1
    assert [found.id for found in await rebalances.page("", 10, "")] == [young, untold, working]
    assert await rebalances.forget(0x00000004_0000 * 1_000_000 + 1_000_000) == 1


A_SCHEDULE = Schedule(Rules("main", {"AAPL": 0.5}), 60 * 10**9, b"\x00\xff", execute=True, enabled=True, next_run_ns=7)


async def test_a_schedule_comes_back_as_it_was_kept(schedules: SqlSchedules) -> None:
    assert await schedules.put(A_SCHEDULE) == A_SCHEDULE
    other = replace(A_SCHEDULE, rules=Rules("a"))
    await schedules.put(other)
    assert await schedules.all() == (other, A_SCHEDULE)


async def test_a_new_wish_leaves_the_last_run_and_a_run_leaves_the_wish(schedules: SqlSchedules) -> None:
    await schedules.put(A_SCHEDULE)
    await schedules.note_run(replace(A_SCHEDULE, next_run_ns=99, last_run_ns=8, last_rebalance_id="r", last_error="e"))
    ran = replace(A_SCHEDULE, last_run_ns=8, last_rebalance_id="r", last_error="e")
    assert await schedules.all() == (ran,)
    wish = replace(A_SCHEDULE, every_ns=1, enabled=False, next_run_ns=20)
    kept = await schedules.put(wish)
    assert kept == replace(ran, every_ns=1, enabled=False, next_run_ns=20)
    await schedules.note_run(replace(A_SCHEDULE, last_error="late"))
    (found,) = await schedules.all()
    assert (found.enabled, found.every_ns, found.next_run_ns, found.last_error) == (False, 1, 20, "late")


async def test_a_run_is_claimed_by_one_hand(schedules: SqlSchedules) -> None:
    await schedules.put(A_SCHEDULE)
    assert sorted(await asyncio.gather(*(schedules.claim(A_SCHEDULE, 17) for _ in range(3)))) == [False, False, True]
    (found,) = await schedules.all()
    assert found == replace(A_SCHEDULE, next_run_ns=17)
    await schedules.put(replace(A_SCHEDULE, next_run_ns=30))
    assert not await schedules.claim(found, 27)


async def test_a_schedule_is_removed_once_and_no_run_brings_it_back(schedules: SqlSchedules) -> None:
    await schedules.put(A_SCHEDULE)
    assert await schedules.remove("main")
    assert not await schedules.remove("main")
    await schedules.note_run(A_SCHEDULE)
    assert await schedules.all() == ()
