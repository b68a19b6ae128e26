"""The stories of the book, over a real SQLite file and stand-ins for the rest of the fleet."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from builders.portfolio import a_charge, a_fill, a_quote, some_terms
from fakes.portfolio import FakeExecution, FakeMarketData, FakePositionEvents, run_here

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.adapters.sql_curves import SqlCurves
from services.portfolio.domain.account import DayOpening
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from services.portfolio.ports import Horizons
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.catch_up import CatchUp, CatchUpCharges, Freshen
from services.portfolio.usecases.import_positions import ImportPositions
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.price_positions import PricePositions
from services.portfolio.usecases.read_book import ReadBook
from services.portfolio.usecases.read_performance import ReadPerformance
from services.portfolio.usecases.record_curve import RecordCurve, ThinCurve
from services.portfolio.usecases.record_transfer import RecordTransfer
from services.portfolio.usecases.roll_day import RollDay
from services.portfolio.usecases.tell_changes import TellChanges
from trading.clock import DAY_NS, ManualClock
from trading.errors import NotFound, Unavailable
from trading.money import ONE
from trading.order import Side

LOG = structlog.get_logger()


class Desk:
    """The use cases of the book, wired over one SQLite file."""

    def __init__(self, book: SqlBook, database: Database) -> None:
        self.book, self.accounts, self.curves = book, SqlAccounts(database), SqlCurves(database)
        accounts = self.accounts
        self.execution = FakeExecution(accounts=[some_terms()])
        self.events = FakePositionEvents()
        self.market_data = FakeMarketData([a_quote()])
        self.clock = ManualClock(20_000 * DAY_NS + 5)
        self.marks = Marks()
        self.changed = asyncio.Event()
        self.apply = ApplyFills(book, self.changed)
        self.know = KnowAccounts(self.execution, accounts, ("main",), LOG, timeout_s=1)
        rates = Rates(self.marks, {"USDT", "USDC"})
        freshen = Freshen(self.execution, book, self.apply, LOG, page=100, timeout_s=1)
        self.read = ReadBook(book, freshen, self.know, accounts, rates, self.clock)
        self.catch_up = CatchUp(self.execution, book, self.apply, page=2, overlap=6, timeout_s=1)
        self.catch_up_charges = CatchUpCharges(self.execution, book, self.apply, page=2, timeout_s=1)
        self.tell = TellChanges(book, self.know, self.events, self.marks, batch=2)
        self.price = PricePositions(book, accounts, self.market_data, self.marks, rates, LOG)
        self.record = RecordCurve(book, self.curves, self.know, self.marks, rates, self.clock)
        self.thin = ThinCurve(self.curves, Horizons(7, 90, 3660), self.clock)
        self.transfer = RecordTransfer(book, self.know, self.record, self.clock)
        self.bring = ImportPositions(
            self.apply, self.know, self.market_data, self.price, self.record, self.read, rates, self.clock, most=3
        )
        self.performance = ReadPerformance(self.curves, self.record, freshen, self.know, run_here, self.clock)
        self.roll = RollDay(book, self.know, accounts, self.read, self.marks, self.clock)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    words = {"service": "portfolio", "data_dir": tmp_path, "migrations": "services.portfolio.migrations"}
    async with open_database("", **words) as database, open_book(database) as book:  # type: ignore[arg-type]
        yield Desk(book, database)


async def test_new_fills_wake_the_relay_and_old_ones_do_not(desk: Desk) -> None:
    await desk.apply([a_fill(1)])
    assert desk.changed.is_set()
    desk.changed.clear()
    await desk.apply([a_fill(1)])
    assert not desk.changed.is_set()


async def test_catching_up_pages_through_the_whole_log(desk: Desk) -> None:
    desk.execution.log = [a_fill(number) for number in range(1, 6)]
    assert await desk.catch_up() == 5
    assert desk.execution.asked_after == [0, 6, 12]
    assert await desk.book.scanned_to() == 15


async def test_catching_up_again_looks_back_and_finds_a_fill_that_was_committed_late(desk: Desk) -> None:
    log = [a_fill(number) for number in range(1, 6)]
    desk.execution.log = log[:3] + log[4:]
    assert await desk.catch_up() == 4
    desk.execution.log = log
    assert await desk.catch_up() == 1
    assert (await desk.book.read("main")).totals.fill_count == 5


async def test_catching_up_with_nothing_new_writes_nothing(desk: Desk) -> None:
    desk.execution.log = [a_fill(1)]
    await desk.catch_up()
    desk.changed.clear()
    assert await desk.catch_up() == 0
    assert not desk.changed.is_set()


async def test_catching_up_fails_by_name_while_execution_is_away(desk: Desk) -> None:
    desk.execution.is_away = True
    with pytest.raises(Unavailable):
        await desk.catch_up()


async def test_a_reader_sees_fills_that_the_stream_has_not_brought_yet(desk: Desk) -> None:
    desk.execution.log = [a_fill(1)]
    (value,) = (await desk.read.positions("main")).positions
    assert value.position.quantity_nanos == 10 * ONE


async def test_a_reader_gets_the_book_as_it_is_while_execution_is_away(desk: Desk) -> None:
    await desk.apply([a_fill(1)])
    desk.execution.is_away = True
    assert len((await desk.read.positions("")).positions) == 1


async def test_flat_positions_are_shown_when_asked_for(desk: Desk) -> None:
    await desk.apply([a_fill(1), a_fill(2, Side.SELL, price="120"), a_fill(3, symbol="TSLA")])
    assert [value.position.symbol for value in (await desk.read.positions("main")).positions] == ["TSLA"]
    both = (await desk.read.positions("main", include_flat=True)).positions
    assert [(value.position.symbol, value.position.realized_nanos) for value in both] == [
        ("AAPL", 200 * ONE),
        ("TSLA", 0),
    ]


async def test_an_account_that_nobody_knows_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.read.positions("other")
    with pytest.raises(NotFound):
        await desk.read.account("other")


async def test_an_account_that_was_booked_on_has_positions_even_when_execution_forgot_it(desk: Desk) -> None:
    await desk.apply([a_fill(1, account="old"), a_fill(2, Side.SELL, account="old")])
    assert (await desk.read.positions("old")).positions == ()


async def test_a_configured_account_is_unavailable_until_execution_spoke(desk: Desk) -> None:
    desk.execution.is_away = True
    assert (await desk.read.positions("main")).positions == ()
    with pytest.raises(Unavailable):
        await desk.read.account("main")


async def test_an_account_is_worth_its_cash_and_its_positions_at_the_marks(desk: Desk) -> None:
    desk.execution.log = [a_fill(1, quantity="10", price="100", fee="1")]
    desk.marks.see(a_quote(bid="110", ask="112"))
    value = await desk.read.account("")
    assert value.cash_nanos == (100_000 - 1001) * ONE
    assert value.worth.equity_nanos == (100_000 - 1001 + 1110) * ONE
    assert (value.totals.fill_count, value.totals.log_sequence) == (1, 3)


async def test_accounts_are_remembered_across_a_life_without_execution(desk: Desk) -> None:
    await desk.know.learn()
    desk.execution.is_away = True
    know = KnowAccounts(desk.execution, desk.accounts, ("main",), LOG, timeout_s=1)
    assert await know.all() == (some_terms(),)


async def test_the_kill_switch_shows_at_once(desk: Desk) -> None:
    await desk.know.learn()
    desk.execution.terms = [some_terms(trading_state="HALTED")]
    assert (await desk.read.account("main")).terms.trading_state == "HALTED"


async def test_every_account_is_listed_by_id(desk: Desk) -> None:
    desk.execution.terms = [some_terms("second"), some_terms("main")]
    assert [value.terms.id for value in await desk.read.accounts()] == ["main", "second"]


async def test_the_first_day_begins_with_the_opening_cash(desk: Desk) -> None:
    desk.execution.log = [a_fill(1, quantity="10", price="100")]
    desk.marks.see(a_quote(bid="110", ask="112"))
    await desk.read.positions("main")
    await desk.roll()
    assert (await desk.read.account("main")).day_pnl_nanos == 110 * ONE


async def test_a_new_day_begins_with_the_equity_at_its_first_moment(desk: Desk) -> None:
    await desk.apply([a_fill(1, quantity="10", price="100")])
    desk.marks.see(a_quote(bid="110", ask="112", receive_time_ns=1))
    await desk.roll()
    desk.clock.advance(DAY_NS)
    await desk.roll()
    desk.marks.see(a_quote(bid="120", ask="122", receive_time_ns=2))
    assert (await desk.read.account("main")).day_pnl_nanos == 100 * ONE


async def test_a_new_day_waits_for_the_price_of_everything_that_is_held(desk: Desk) -> None:
    await desk.apply([a_fill(1)])
    await desk.roll()
    desk.clock.advance(DAY_NS)
    await desk.roll()
    assert await desk.accounts.day_opening("main", 20_001) is None
    assert (await desk.read.account("main")).day_pnl_nanos == 0
    await desk.price()
    await desk.roll()
    assert await desk.accounts.day_opening("main", 20_001) == DayOpening(100_110 * ONE, {"USD": 0})


async def test_held_symbols_without_a_mark_are_asked_for_and_flat_ones_are_not(desk: Desk) -> None:
    await desk.apply(
        [a_fill(1), a_fill(2, symbol="GONE"), a_fill(3, symbol="MSFT"), a_fill(4, Side.SELL, symbol="MSFT")]
    )
    desk.market_data.quotes["MSFT"] = a_quote("MSFT")
    await desk.price()
    assert dict(desk.marks) == {"AAPL": 111 * ONE}


async def test_changes_are_told_in_order_with_the_cash_after_each(desk: Desk) -> None:
    await desk.know.learn()
    await desk.apply([a_fill(1), a_fill(2), a_fill(3, Side.SELL, "5", "120")])
    assert await desk.tell() == 3
    told = [(change.event_id, cash) for change, _, cash in desk.events.told]
    assert told == [("event-1", 99_000 * ONE), ("event-2", 98_000 * ONE), ("event-3", 98_600 * ONE)]
    assert await desk.tell() == 0


async def test_changes_wait_while_the_stream_is_away(desk: Desk) -> None:
    await desk.apply([a_fill(1)])
    desk.events.is_away = True
    with pytest.raises(Unavailable):
        await desk.tell()
    desk.events.is_away = False
    assert await desk.tell() == 1


async def test_charges_that_the_stream_lost_are_found_in_executions_record(desk: Desk) -> None:
    desk.execution.charges = [a_charge(number) for number in (1, 2, 4, 5, 6)]
    await desk.apply.charges([a_charge(2)])
    assert await desk.catch_up_charges() == 4
    assert await desk.catch_up_charges() == 0
    assert await desk.book.charges_scanned_to() == 6
    assert (await desk.read.account("main")).cash_nanos == (100_000 - 10) * ONE


async def test_a_book_that_was_lost_is_built_again_from_execution(desk: Desk) -> None:
    desk.execution.log = [a_fill(1, Side.BUY, "10", "100"), a_fill(2, Side.SELL, "4", "110")]
    desk.execution.charges = [a_charge(1, "0", symbol="AAPL", quantity_nanos=ONE), a_charge(2, "7")]
    await desk.catch_up_charges()
    await desk.catch_up()
    (value,) = (await desk.read.positions("main")).positions
    assert (value.position.quantity_nanos, value.position.fees_nanos) == (5 * ONE, 100 * ONE)
    assert value.position.realized_nanos == 40 * ONE
    assert (await desk.read.account("main")).cash_nanos == (100_000 - 1_000 + 440 - 7) * ONE


async def test_a_deposit_is_equity_and_not_what_the_day_earned(desk: Desk) -> None:
    await desk.know.learn()
    await desk.roll()
    now_ns = desk.clock.now_ns()
    await desk.apply.charges([a_charge(1, "-500", kind="TRANSFER", receive_time_ns=now_ns), a_charge(2, "3")])
    value = await desk.read.account("main")
    assert (value.worth.equity_nanos, value.day_pnl_nanos) == (100_497 * ONE, -3 * ONE)
