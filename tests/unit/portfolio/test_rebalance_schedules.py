"""Rebalances that are watched, told, forgotten and scheduled, over a real SQLite file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from builders.rebalance_desk import LOG, RULES, RebalanceDesk, rebalance_desk
from waiting import until

from services.portfolio.domain.rebalance import Rebalance, Rules, State
from services.portfolio.domain.rebalance_schedule import Schedule
from services.portfolio.listeners import Errand
from services.portfolio.usecases.forget_rebalances import ForgetRebalances
from services.portfolio.usecases.tell_rebalances import TellRebalances
from services.portfolio.usecases.watch_rebalance import WatchRebalance
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import (
    InvalidArgument,
    NotFound,
    TradingError,
    Unavailable,
)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[RebalanceDesk]:
    """A hundred AAPL at 100 and 50 TSLA at 200, in an account of 100,000."""
    async with rebalance_desk(tmp_path) as opened:
        yield opened


async def test_a_watcher_sees_the_proposal_and_its_end(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    watch = WatchRebalance(desk.rebalances, desk.changes, look_again_s=0.01)
    seen: list[Rebalance] = []

    async def follow() -> None:
        async for found in watch(made.id):
            seen.append(found)  # noqa: PERF401 - it is looked at while it grows

    following = asyncio.create_task(follow())
    await until(lambda: bool(seen), "the proposal")
    await desk.execute(made.id)
    await desk.run()
    await asyncio.wait_for(following, 60)
    assert (seen[0].state, seen[-1].state) == (State.PROPOSED, State.DONE)
    versions = [found.version for found in seen]
    assert versions == sorted(set(versions))


async def test_the_newest_version_of_each_is_told_once_the_stream_is_there(desk: RebalanceDesk) -> None:
    tell = TellRebalances(desk.rebalances, desk.events, batch=1)
    desk.events.is_away = True
    done = await desk.executed()
    other = await desk.propose(RULES)
    with pytest.raises(Unavailable):
        await tell()
    desk.events.is_away = False
    assert await tell() == 2
    assert desk.events.told == [done, other]
    assert await tell() == 0
    assert desk.untold.is_set()


async def test_an_errand_goes_on_while_the_work_is_not_done_or_a_part_is_away() -> None:
    answers: list[bool | TradingError] = [Unavailable("away"), True, False]

    async def work() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, TradingError):
            raise answer
        return answer

    errand = Errand("test", work, asyncio.Event(), LOG, again_s=0)
    running = asyncio.create_task(errand.run())
    await until(lambda: not answers, "the end of the work")
    running.cancel()
    assert answers == []


async def test_what_ended_long_ago_is_forgotten(desk: RebalanceDesk) -> None:
    done = await desk.executed()
    await TellRebalances(desk.rebalances, desk.events, batch=10)()
    forget = ForgetRebalances(desk.rebalances, desk.clock, keep_days=30)
    assert await forget() == 0
    desk.clock.advance(40_000 * DAY_NS)  # its id says 2025
    assert await forget() == 1
    with pytest.raises(NotFound):
        await desk.find(done.id)


def a_schedule(**words: Any) -> Schedule:
    return Schedule(**({"rules": RULES, "every_ns": 60 * SECOND_NS, "enabled": True} | words))


async def only(desk: RebalanceDesk) -> Schedule:
    (schedule,) = await desk.keep.all()
    return schedule


async def test_a_schedule_proposes_at_its_time_and_executes_when_told_to(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule(execute=True))
    await desk.timetable()
    assert await desk.rebalances.page("", 10, "") == ()
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    (made,) = await desk.rebalances.page("main", 10, "")
    assert (made.scheduled, made.state) == (True, State.EXECUTING)
    ran = await only(desk)
    assert (ran.last_rebalance_id, ran.last_run_ns, ran.last_error) == (made.id, desk.clock.now_ns(), "")
    await desk.timetable()
    assert len(await desk.rebalances.page("main", 10, "")) == 1


async def test_a_schedule_only_proposes_unless_it_may_execute(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule(rules=Rules("", keep_others=True), optimize=b"problem"))
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    (made,) = await desk.rebalances.page("main", 10, "")
    assert (made.state, desk.asked_targets) == (State.PROPOSED, [b"problem"])


async def test_a_run_with_nothing_to_do_leaves_no_proposal(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule(rules=Rules("main", {"AAPL": 0.1, "TSLA": 0.1})))
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    assert await desk.rebalances.page("", 10, "") == ()
    assert ((await only(desk)).last_run_ns, (await only(desk)).last_rebalance_id) == (desk.clock.now_ns(), "")


async def test_missed_runs_are_not_made_up(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule())
    desk.clock.advance(1000 * SECOND_NS)  # a long night
    await desk.timetable()
    assert await desk.rebalances.page("", 10, "") == ()
    assert (await only(desk)).last_run_ns == 0
    desk.clock.advance(20 * SECOND_NS)  # the next time of the grid: 1020 s
    await desk.timetable()
    assert len(await desk.rebalances.page("", 10, "")) == 1


async def test_a_run_waits_for_no_other_and_says_what_was_in_its_way(desk: RebalanceDesk) -> None:
    desk.orders.is_away = True
    await desk.executed()
    await desk.keep.put(a_schedule(execute=True))
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    ran = await only(desk)
    assert ran.last_error == "REBALANCE_UNDER_WAY: The rebalance before is still under way."
    assert len(await desk.rebalances.page("", 10, "")) == 1
    desk.orders.is_away = False
    await desk.run()
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    assert (await only(desk)).last_error == ""


async def test_a_new_wish_keeps_what_is_known_of_the_last_run(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule())
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    ran = await only(desk)
    kept = await desk.keep.put(a_schedule(every_ns=600 * SECOND_NS, enabled=False))
    assert (kept.last_rebalance_id, kept.every_ns) == (ran.last_rebalance_id, 600 * SECOND_NS)
    desk.clock.advance(600 * SECOND_NS)
    await desk.timetable()
    assert (await only(desk)).last_run_ns == ran.last_run_ns


async def test_a_schedule_that_can_never_be_right_is_refused(desk: RebalanceDesk) -> None:
    for wrong, error in (
        (a_schedule(every_ns=SECOND_NS), InvalidArgument),
        (a_schedule(rules=Rules("main")), InvalidArgument),
        (a_schedule(optimize=b"problem"), InvalidArgument),
        (a_schedule(rules=Rules("other", {"AAPL": 0.1})), NotFound),
    ):
        with pytest.raises(error):
            await desk.keep.put(wrong)
    assert await desk.keep.all() == ()


async def test_a_schedule_is_removed_once(desk: RebalanceDesk) -> None:
    await desk.keep.put(a_schedule())
    await desk.keep.remove("")
    with pytest.raises(NotFound) as refused:
        await desk.keep.remove("main")
    assert refused.value.reason == "UNKNOWN_SCHEDULE"
