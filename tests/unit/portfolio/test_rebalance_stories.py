"""Rebalances from wish to end: proposed, executed once, ended, watched, told and scheduled, over a real SQLite file."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from builders.portfolio_desk import BookDesk, book_desk
from builders.rebalances import a_report
from fakes.portfolio import FakeOrders, FakeRebalanceEvents
from waiting import until

from services.portfolio.adapters.sql_rebalances import SqlRebalances
from services.portfolio.adapters.sql_schedules import SqlSchedules
from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance, Rules, State
from services.portfolio.domain.rebalance_schedule import Schedule
from services.portfolio.listeners import Errand
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.execute_rebalance import CancelRebalance, ExecuteRebalance, FindRebalance
from services.portfolio.usecases.forget_rebalances import ForgetRebalances
from services.portfolio.usecases.propose_rebalance import ProposeRebalance
from services.portfolio.usecases.run_rebalances import RunRebalances
from services.portfolio.usecases.run_schedules import KeepSchedules, RunSchedules
from services.portfolio.usecases.survey import Survey
from services.portfolio.usecases.tell_rebalances import TellRebalances
from services.portfolio.usecases.watch_rebalance import WatchRebalance
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import (
    FailedPrecondition,
    InvalidArgument,
    Kind,
    NotFound,
    TradingError,
    Unavailable,
    UnknownSymbol,
)
from trading.money import ONE

LOG = structlog.get_logger()
RULES = Rules("main", {"MSFT": 0.5})


class Desk(BookDesk):
    """A book, its rebalances, and an execution that fills at once."""

    def __init__(self, book: BookDesk) -> None:
        super().__init__(book.database, book.book)
        database = book.database
        self.rebalances, self.schedules = SqlRebalances(database), SqlSchedules(database)
        self.orders, self.events = FakeOrders(), FakeRebalanceEvents()
        self.called, self.untold = asyncio.Event(), asyncio.Event()
        self.changes = Changes(self.called, self.untold)
        self.found_targets: Mapping[str, float] = {"AAPL": 0.25}
        self.asked_targets: list[bytes] = []
        self.numbers = itertools.count(1)
        survey = Survey(self.read, self.market_data, cushion_bps=0)
        self.propose = ProposeRebalance(
            survey,
            self.market_data,
            self.targets,
            self.rebalances,
            self.changes,
            self.clock,
            self.new_id,
            orders_max=3,
        )
        self.execute = ExecuteRebalance(self.rebalances, survey, self.changes, self.clock, drift_most=0.1)
        self.cancel = CancelRebalance(self.rebalances, self.changes, self.clock)
        self.find = FindRebalance(self.rebalances)
        self.run = RunRebalances(self.rebalances, self.orders, self.changes, self.clock, LOG, concurrent=2)
        self.keep = KeepSchedules(self.schedules, self.read, self.clock)
        self.timetable = RunSchedules(self.schedules, self.rebalances, self.propose, self.execute, self.clock, LOG)

    def new_id(self) -> str:
        return f"01990000-0000-7000-8000-{next(self.numbers):012d}"

    async def targets(self, optimize: bytes) -> Mapping[str, float]:
        self.asked_targets.append(optimize)
        return self.found_targets

    async def executed(self, rules: Rules = RULES) -> Rebalance:
        """A proposal that was started and run as far as it goes."""
        made = await self.propose(rules)
        await self.execute(made.id)
        await self.run()
        return await self.find(made.id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A hundred AAPL at 100 and 50 TSLA at 200, in an account of 100,000."""
    async with book_desk(tmp_path) as opened:
        found = Desk(opened)
        found.trade("AAPL", "100", "100")
        found.trade("TSLA", "50", "200")
        for symbol, price in (("AAPL", "100"), ("TSLA", "200"), ("MSFT", "400"), ("SPY", "500")):
            found.mark(symbol, price)
        yield found


def states(rebalance: Rebalance) -> list[tuple[str, str]]:
    return [(order.symbol, order.status) for order in rebalance.orders]


async def test_a_proposal_is_stored_and_sends_nothing(desk: Desk) -> None:
    made = await desk.propose(RULES)
    assert await desk.find(made.id) == made
    assert [(order.symbol, order.quantity_nanos / ONE) for order in made.orders] == [
        ("AAPL", -100),
        ("TSLA", -50),
        ("MSFT", 125),
    ]
    assert (made.state, made.equity_nanos, made.weights) == (State.PROPOSED, 100_000 * ONE, {"AAPL": 0.1, "TSLA": 0.1})
    assert not await desk.run()
    assert desk.orders.submits == []


async def test_any_spelling_is_understood_and_no_symbol_is_named_twice(desk: Desk) -> None:
    desk.mark("BTC-USDT", "50000")
    made = await desk.propose(Rules("", {"BTC/USD": 0.1}, keep_others=True))
    assert [(order.symbol, order.is_always_open) for order in made.orders] == [("BTC-USDT", True)]
    assert (made.account, made.rules.targets) == ("main", {"BTC-USDT": 0.1})
    with pytest.raises(InvalidArgument) as refused:
        await desk.propose(Rules("main", {"BTC/USD": 0.1, "BTCUSDT": 0.1}))
    assert refused.value.reason == "DUPLICATE_SYMBOL"


async def test_what_cannot_be_proposed_is_refused_and_stored_nowhere(desk: Desk) -> None:
    many = dict.fromkeys(("MSFT", "SPY"), 0.1)
    for rules, error in (
        (Rules("main", {"NOPE": 0.1}), UnknownSymbol),
        (Rules("main", {}), InvalidArgument),
        (Rules("other", {"AAPL": 0.1}), NotFound),
        (Rules("main", many), InvalidArgument),  # two sells and two buys are more than three orders
    ):
        with pytest.raises(error):
            await desk.propose(rules)
    assert await desk.rebalances.page("", 10, "") == ()


async def test_a_symbol_that_nobody_quotes_is_left_alone(desk: Desk) -> None:
    del desk.market_data.quotes["MSFT"]
    made = await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))
    assert made.left_alone == {"MSFT": "no_price"}


async def test_targets_may_be_found_by_the_optimiser(desk: Desk) -> None:
    made = await desk.propose(Rules("main", keep_others=True), b"problem")
    assert (desk.asked_targets, made.rules.targets) == ([b"problem"], {"AAPL": 0.25})
    with pytest.raises(InvalidArgument):
        await desk.propose(RULES, b"problem")
    desk.found_targets = {}
    with pytest.raises(InvalidArgument):
        await desk.propose(Rules("main"), b"problem")


async def test_an_execution_sells_first_and_ends_done(desk: Desk) -> None:
    done = await desk.executed()
    assert desk.orders.submits == ["AAPL", "TSLA", "MSFT"]
    assert (done.state, states(done)) == (
        State.DONE,
        [("AAPL", "FILLED"), ("TSLA", "FILLED"), ("MSFT", "FILLED")],
    )
    assert not await desk.run()


async def test_executing_twice_places_nothing_twice(desk: Desk) -> None:
    done = await desk.executed()
    again = await desk.execute(done.id)
    await desk.run()
    assert again == done
    assert len(desk.orders.placed) == 3


async def test_two_starts_at_once_are_one(desk: Desk) -> None:
    made = await desk.propose(RULES)
    first, second = await asyncio.gather(desk.execute(made.id), desk.execute(made.id))
    assert (first.state, second.state) == (State.EXECUTING, State.EXECUTING)
    await asyncio.gather(desk.run(), desk.run())  # and so are two runners
    while await desk.run():
        pass
    assert len(desk.orders.placed) == 3
    assert (await desk.find(made.id)).state is State.DONE


async def test_a_life_that_ended_between_submit_and_answer_places_nothing_twice(desk: Desk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    for order in made.sendable:
        await desk.orders.submit("main", order)  # the answer never reached the table
    while await desk.run():
        pass
    assert (await desk.find(made.id)).state is State.DONE
    assert (len(desk.orders.placed), len(desk.orders.submits)) == (3, 5)


async def test_buys_wait_for_a_sell_that_still_works(desk: Desk) -> None:
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    working = await desk.executed()
    assert states(working) == [("AAPL", "FILLED"), ("TSLA", "ACCEPTED"), ("MSFT", "")]
    desk.orders.reports["slow"] = a_report("ACCEPTED", order_id="slow")
    assert await desk.run()
    desk.orders.reports["slow"] = a_report("FILLED", filled="50", order_id="slow")
    assert await desk.run()
    assert not await desk.run()
    assert (await desk.find(working.id)).state is State.DONE


async def test_an_execution_that_is_away_is_asked_again(desk: Desk) -> None:
    desk.orders.is_away = True
    waiting = await desk.executed()
    assert (waiting.state, waiting.version) == (State.EXECUTING, 2)
    desk.orders.is_away = False
    assert not await desk.run()
    assert (await desk.find(waiting.id)).state is State.DONE


async def test_a_denied_order_fails_it_with_the_reason_and_leaves_the_rest_stated(desk: Desk) -> None:
    desk.orders.answers["AAPL"] = a_report("DENIED", problem="TRADING_HALTED: the account is halted")
    failed = await desk.executed()
    assert (failed.state, failed.error) == (State.FAILED, "AAPL was denied: TRADING_HALTED: the account is halted")
    assert states(failed) == [("AAPL", "DENIED"), ("TSLA", "FILLED"), ("MSFT", "")]
    assert failed.orders[0].problem == "TRADING_HALTED: the account is halted"
    assert await desk.execute(failed.id) == failed


async def test_a_submit_that_can_never_work_is_a_denial(desk: Desk) -> None:
    desk.orders.answers["TSLA"] = InvalidArgument("Expected a positive quantity.", reason="BAD_QUANTITY")
    failed = await desk.executed()
    assert failed.error == "TSLA was denied: BAD_QUANTITY: Expected a positive quantity."


async def test_a_failure_cancels_what_still_works(desk: Desk) -> None:
    desk.orders.answers["AAPL"] = a_report("DENIED", problem="no")
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    desk.orders.reports["slow"] = a_report("ACCEPTED", order_id="slow")
    failed = await desk.executed()
    assert desk.orders.cancels == ["slow"]
    assert (failed.state, states(failed)) == (
        State.FAILED,
        [("AAPL", "DENIED"), ("TSLA", "CANCELED"), ("MSFT", "")],
    )


async def test_a_cancel_sends_nothing_more_and_cancels_what_works(desk: Desk) -> None:
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    working = await desk.executed()
    desk.orders.reports["slow"] = a_report("FILLED", filled="50", order_id="slow")  # it fills before the cancel comes
    ending = await desk.cancel(working.id)
    assert (ending.state, ending.ending) == (State.EXECUTING, State.CANCELED)
    assert not await desk.run()
    ended = await desk.find(working.id)
    assert (ended.state, states(ended)[2]) == (State.CANCELED, ("MSFT", ""))
    with pytest.raises(FailedPrecondition):
        await desk.cancel(working.id)
    assert (await desk.cancel((await desk.propose(RULES)).id)).state is State.CANCELED


async def test_an_order_that_was_placed_without_an_answer_is_found_before_the_end(desk: Desk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    desk.orders.answers["AAPL"] = a_report("ACCEPTED", order_id="slow")
    await desk.orders.submit("main", made.orders[0])  # the answer never reached the table
    await desk.cancel(made.id)
    desk.orders.is_away = True
    assert await desk.run()
    assert (await desk.find(made.id)).state is State.EXECUTING  # nobody knows yet what became of the orders
    desk.orders.is_away = False
    assert not await desk.run()
    ended = await desk.find(made.id)
    assert (ended.state, states(ended)) == (State.CANCELED, [("AAPL", "CANCELED"), ("TSLA", ""), ("MSFT", "")])
    assert desk.orders.cancels == ["slow"]


async def test_a_cancel_in_the_middle_of_a_submit_loses_no_answer(desk: Desk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    submit = desk.orders.submit

    async def canceled_meanwhile(account: str, order: Order) -> OrderReport:
        if order.symbol == "AAPL":
            await desk.cancel(made.id)
        return await submit(account, order)

    desk.orders.submit = canceled_meanwhile  # type: ignore[method-assign]
    while await desk.run():
        pass
    ended = await desk.find(made.id)
    assert (ended.state, states(ended)) == (State.CANCELED, [("AAPL", "FILLED"), ("TSLA", "FILLED"), ("MSFT", "")])


async def test_a_canceled_proposal_is_not_executed(desk: Desk) -> None:
    made = await desk.propose(RULES)
    await desk.cancel(made.id)
    with pytest.raises(FailedPrecondition) as refused:
        await desk.execute(made.id)
    assert refused.value.reason == "REBALANCE_CLOSED"


async def test_an_account_executes_one_at_a_time(desk: Desk) -> None:
    first, second = await desk.propose(RULES), await desk.propose(RULES)
    await desk.execute(first.id)
    with pytest.raises(FailedPrecondition) as refused:
        await desk.execute(second.id)
    assert refused.value.reason == "REBALANCE_UNDER_WAY"
    await desk.run()
    assert (await desk.execute(second.id)).state is State.EXECUTING


async def test_a_book_that_moved_too_far_since_the_proposal_is_refused_by_name(desk: Desk) -> None:
    made = await desk.propose(RULES)
    desk.trade("SPY", "25", "500")  # an eighth of the equity
    desk.mark("SPY", "500")
    with pytest.raises(TradingError) as refused:
        await desk.execute(made.id)
    assert (refused.value.kind, refused.value.reason) == (Kind.ABORTED, "BOOK_MOVED")
    assert refused.value.metadata["moved"] == pytest.approx(0.125)
    assert (await desk.find(made.id)).state is State.PROPOSED


async def test_a_market_that_moved_too_far_is_refused_too(desk: Desk) -> None:
    made = await desk.propose(RULES)
    desk.mark("MSFT", "445")
    with pytest.raises(TradingError) as refused:
        await desk.execute(made.id)
    assert refused.value.reason == "BOOK_MOVED"
    desk.mark("MSFT", "430")
    assert (await desk.execute(made.id)).state is State.EXECUTING


async def test_an_empty_side_of_the_market_is_taken_for_its_middle(desk: Desk) -> None:
    desk.market_data.quotes["MSFT"] = desk.market_data.quotes["MSFT"]._replace(bid_nanos=0)
    made = await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))
    assert [(order.symbol, order.price_nanos) for order in made.orders] == [("MSFT", 400 * ONE)]
    desk.market_data.quotes["MSFT"] = desk.market_data.quotes["MSFT"]._replace(ask_nanos=0)
    assert (await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))).left_alone == {"MSFT": "no_price"}


async def test_what_does_not_exist_is_not_found(desk: Desk) -> None:
    for ask in (desk.find, desk.execute, desk.cancel):
        with pytest.raises(NotFound):
            await ask("nothing")


async def test_a_watcher_sees_the_proposal_and_its_end(desk: Desk) -> None:
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


async def test_the_newest_version_of_each_is_told_once_the_stream_is_there(desk: Desk) -> None:
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


async def test_what_ended_long_ago_is_forgotten(desk: Desk) -> None:
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


async def only(desk: Desk) -> Schedule:
    (schedule,) = await desk.keep.all()
    return schedule


async def test_a_schedule_proposes_at_its_time_and_executes_when_told_to(desk: Desk) -> None:
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


async def test_a_schedule_only_proposes_unless_it_may_execute(desk: Desk) -> None:
    await desk.keep.put(a_schedule(rules=Rules("", keep_others=True), optimize=b"problem"))
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    (made,) = await desk.rebalances.page("main", 10, "")
    assert (made.state, desk.asked_targets) == (State.PROPOSED, [b"problem"])


async def test_a_run_with_nothing_to_do_leaves_no_proposal(desk: Desk) -> None:
    await desk.keep.put(a_schedule(rules=Rules("main", {"AAPL": 0.1, "TSLA": 0.1})))
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    assert await desk.rebalances.page("", 10, "") == ()
    assert ((await only(desk)).last_run_ns, (await only(desk)).last_rebalance_id) == (desk.clock.now_ns(), "")


async def test_missed_runs_are_not_made_up(desk: Desk) -> None:
    await desk.keep.put(a_schedule())
    desk.clock.advance(1000 * SECOND_NS)  # a long night
    await desk.timetable()
    assert await desk.rebalances.page("", 10, "") == ()
    assert (await only(desk)).last_run_ns == 0
    desk.clock.advance(20 * SECOND_NS)  # the next time of the grid: 1020 s
    await desk.timetable()
    assert len(await desk.rebalances.page("", 10, "")) == 1


async def test_a_run_waits_for_no_other_and_says_what_was_in_its_way(desk: Desk) -> None:
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


async def test_a_new_wish_keeps_what_is_known_of_the_last_run(desk: Desk) -> None:
    await desk.keep.put(a_schedule())
    desk.clock.advance(60 * SECOND_NS)
    await desk.timetable()
    ran = await only(desk)
    kept = await desk.keep.put(a_schedule(every_ns=600 * SECOND_NS, enabled=False))
    assert (kept.last_rebalance_id, kept.every_ns) == (ran.last_rebalance_id, 600 * SECOND_NS)
    desk.clock.advance(600 * SECOND_NS)
    await desk.timetable()
    assert (await only(desk)).last_run_ns == ran.last_run_ns


async def test_a_schedule_that_can_never_be_right_is_refused(desk: Desk) -> None:
    for wrong, error in (
        (a_schedule(every_ns=SECOND_NS), InvalidArgument),
        (a_schedule(rules=Rules("main")), InvalidArgument),
        (a_schedule(optimize=b"problem"), InvalidArgument),
        (a_schedule(rules=Rules("other", {"AAPL": 0.1})), NotFound),
    ):
        with pytest.raises(error):
            await desk.keep.put(wrong)
    assert await desk.keep.all() == ()


async def test_a_schedule_is_removed_once(desk: Desk) -> None:
    await desk.keep.put(a_schedule())
    await desk.keep.remove("")
    with pytest.raises(NotFound) as refused:
        await desk.keep.remove("main")
    assert refused.value.reason == "UNKNOWN_SCHEDULE"
