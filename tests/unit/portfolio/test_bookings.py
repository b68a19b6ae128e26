"""What callers book by hand, and the curve that is kept around it, over a real SQLite file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from builders.portfolio import a_charge, a_fill, a_quote, some_terms
from fakes.portfolio import FakeExecution, FakeMarketData, run_here

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.adapters.sql_curves import SqlCurves
from services.portfolio.domain.bookings import Bought, ImportRequest, Question, TransferRequest
from services.portfolio.domain.equity import UNIT
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from services.portfolio.ports import Horizons
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.catch_up import Freshen
from services.portfolio.usecases.import_positions import ImportPositions
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.price_positions import PricePositions
from services.portfolio.usecases.read_book import ReadBook
from services.portfolio.usecases.read_performance import ReadPerformance
from services.portfolio.usecases.record_curve import RecordCurve, ThinCurve
from services.portfolio.usecases.record_transfer import RecordTransfer
from trading.clock import DAY_NS, MINUTE_NS, ManualClock
from trading.errors import IdempotencyConflict, InvalidArgument, NotFound, UnknownSymbol
from trading.instruments import Instruments, crypto, equity
from trading.money import ONE, Money
from trading.order import Side

LOG = structlog.get_logger()
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


class Office:
    """The use cases of what is booked by hand."""

    def __init__(self, book: SqlBook, database: Database, clock: ManualClock) -> None:
        self.book, self.clock, self.curves = book, clock, SqlCurves(database)
        accounts = SqlAccounts(database)
        self.execution = FakeExecution(accounts=[some_terms(opening="1000")])
        self.market_data = FakeMarketData([a_quote(), a_quote("BTC-USDT", "59999", "60001")])
        self.market_data.known_instruments = Instruments([equity("AAPL"), equity("GONE"), crypto("BTC")])
        self.marks = Marks()
        rates = Rates(self.marks, {"USDT"})
        self.changed = asyncio.Event()
        self.apply = ApplyFills(book, self.changed)
        know = KnowAccounts(self.execution, accounts, ("main",), LOG, timeout_s=1)
        self.know = know
        freshen = Freshen(self.execution, book, self.apply, LOG, page=100, timeout_s=1)
        self.read = ReadBook(book, freshen, know, accounts, rates, clock)
        self.price = PricePositions(book, accounts, self.market_data, self.marks, rates, LOG)
        self.record = RecordCurve(book, self.curves, know, self.marks, rates, clock)
        self.thin = ThinCurve(self.curves, Horizons(7, 90, 365), clock)
        self.transfer = RecordTransfer(book, know, self.record, clock)
        self.bring = ImportPositions(
            self.apply, know, self.market_data, self.price, self.record, self.read, rates, clock, most=3
        )
        self.performance = ReadPerformance(self.curves, self.record, freshen, know, run_here, clock)

    async def pass_minutes(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(MINUTE_NS)
            await self.record()

    def quote(self, price: str) -> None:
        self.marks.see(a_quote(bid=price, ask=price, receive_time_ns=self.clock.now_ns()))


@pytest.fixture
def words(tmp_path: Path) -> dict[str, Any]:
    return {"service": "portfolio", "data_dir": tmp_path, "migrations": "services.portfolio.migrations"}


@pytest.fixture
async def office(words: dict[str, Any]) -> AsyncIterator[Office]:
    async with open_database("", **words) as database, open_book(database) as book:
        yield Office(book, database, ManualClock(NOON_NS))


def a_request(amount: str = "500", currency: str = "USD", **changes: Any) -> TransferRequest:
    units, _, part = amount.partition(".")
    nanos = int(units) * ONE + int(part.ljust(9, "0") or 0)
    named = {"account": "", "transfer_id": "t-1", "amount": Money(currency, nanos), "note": "", "time_ns": 0}
    return TransferRequest(**(named | changes))


def some_positions(*lines: Bought, **changes: Any) -> ImportRequest:
    return ImportRequest(**({"account": "", "import_id": "i-1", "positions": lines, "takes_cash": False} | changes))


APPLES = Bought("aapl", 10 * ONE, 20 * ONE, "")


async def test_a_transfer_is_cash_and_the_same_one_again_is_not(office: Office) -> None:
    assert await office.transfer(a_request("500.25")) == (False, Money("USD", 1_500_250_000_000))
    office.clock.advance(5)
    assert await office.transfer(a_request("500.25")) == (True, Money("USD", 1_500_250_000_000))
    with pytest.raises(IdempotencyConflict):
        await office.transfer(a_request("500.26"))
    with pytest.raises(IdempotencyConflict):
        await office.transfer(a_request("500.25", note="another"))
    assert await office.transfer(a_request("-7", "EUR", transfer_id="t-2")) == (False, Money("EUR", -7 * ONE))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (a_request(transfer_id=""), "transfer_id"),
        (a_request(transfer_id="a b"), "transfer_id"),
        (a_request(currency="usd"), "amount.currency"),
        (a_request("0"), "amount"),
        (a_request(note="x" * 501), "note"),
        (a_request(time_ns=-1), "time_ns"),
    ],
)
async def test_a_transfer_that_can_never_be_booked_is_refused(
    office: Office, request_: TransferRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await office.transfer(request_)
    assert refused.value.metadata["field"] == field


async def test_nobodys_account_takes_no_transfer(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.transfer(a_request(account="nobody"))
    assert await office.book.accounts() == ()


async def test_an_account_is_worth_what_its_currencies_are_worth(office: Office) -> None:
    await office.know.learn()
    await office.transfer(a_request("2", "BTC"))
    await office.transfer(a_request("9", "JPY", transfer_id="t-2"))
    before = (await office.read.account("main")).worth
    assert (before.equity_nanos, before.unpriced) == (1000 * ONE, ("BTC", "JPY"))
    await office.price()
    after = (await office.read.account("main")).worth
    assert (after.equity_nanos, after.unpriced) == (121_000 * ONE, ("JPY",))
    assert after.balances == (Money("BTC", 2 * ONE), Money("JPY", 9 * ONE), Money("USD", 1000 * ONE))


async def test_an_import_is_priced_booked_once_and_told(office: Office) -> None:
    imported = await office.bring(some_positions(APPLES))
    assert not imported.repeated
    (value,) = imported.holdings.positions
    assert (value.position.symbol, value.position.avg_price_nanos, value.market_value_nanos) == (
        "AAPL",
        20 * ONE,
        1110 * ONE,
    )
    assert office.changed.is_set()
    office.changed.clear()
    assert (await office.bring(some_positions(APPLES._replace(symbol="AAPL", currency="USD")))).repeated
    assert not office.changed.is_set()
    with pytest.raises(IdempotencyConflict):
        await office.bring(some_positions(APPLES, takes_cash=True))


async def test_the_cost_of_an_import_is_taken_from_the_cash_when_asked(office: Office) -> None:
    await office.bring(some_positions(APPLES, takes_cash=True))
    assert (await office.read.account("main")).cash_nanos == 800 * ONE


async def test_what_has_no_price_is_brought_in_at_its_cost(office: Office) -> None:
    await office.bring(some_positions(Bought("GONE", -ONE, 30 * ONE, "")))
    assert (await office.book.read("main")).cash["USD"].paid_in_nanos == -30 * ONE


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (some_positions(), "positions"),
        (some_positions(*[APPLES] * 4), "positions"),
        (some_positions(APPLES, APPLES), "positions.1.symbol"),
        (some_positions(APPLES._replace(quantity_nanos=0)), "positions.0.quantity"),
        (some_positions(APPLES._replace(price_nanos=-1)), "positions.0.avg_price"),
        (some_positions(APPLES._replace(currency="dollar")), "positions.0.currency"),
        (some_positions(APPLES, import_id="/"), "import_id"),
    ],
)
async def test_an_import_that_can_never_be_booked_is_refused_whole(
    office: Office, request_: ImportRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await office.bring(request_)
    assert refused.value.metadata["field"] == field
    assert await office.book.accounts() == ()


async def test_a_symbol_that_nobody_knows_is_not_imported(office: Office) -> None:
    with pytest.raises(UnknownSymbol):
        await office.bring(some_positions(APPLES, Bought("NOPE", ONE, ONE, "")))
    assert await office.book.accounts() == ()


async def test_a_point_is_kept_each_time_while_something_is_held_or_changes(office: Office) -> None:
    await office.pass_minutes(3)
    assert len(await office.curves.between("main", 0, office.clock.now_ns())) == 1
    await office.apply([a_fill(1, quantity="2")])
    await office.pass_minutes(3)
    assert len(await office.curves.between("main", 0, office.clock.now_ns())) == 4


async def test_performance_is_what_was_earned_up_to_now(office: Office) -> None:
    office.quote("100")
    await office.record()
    await office.apply([a_fill(1, quantity="5", price="100", fee="1")])
    await office.pass_minutes(1)
    office.quote("120")
    await office.transfer(a_request("9000"))
    await office.apply([a_fill(2, Side.SELL, "5", "120")])
    await office.apply.charges([a_charge(1, "2")])
    office.clock.advance(5)
    found = await office.performance(Question("", 0, 0, 0))
    growth = 999 / 1000 * 1099 / 999 * 10097 / 10099
    assert found.performance.total_return == pytest.approx(growth - 1, abs=1e-12)
    assert (found.performance.realized_nanos, found.performance.fees_nanos) == (100 * ONE, 3 * ONE)
    assert [point.equity_nanos // ONE for point in found.curve] == [1000, 999, 1099, 10099, 10097]
    assert found.curve[-1].paid_in_nanos == 10_000 * ONE
    (day,) = found.performance.days
    assert (day.start_time_ns, day.pnl_nanos) == (20_000 * DAY_NS, 97 * ONE)


async def test_a_stretch_begins_as_the_account_stood_then(office: Office) -> None:
    await office.apply([a_fill(1, quantity="5", price="100")])
    office.quote("100")
    await office.pass_minutes(1)
    office.quote("110")
    await office.pass_minutes(1)
    office.quote("121")
    await office.pass_minutes(2)
    start = NOON_NS + MINUTE_NS + 5
    found = await office.performance(Question("main", start, NOON_NS + 3 * MINUTE_NS, 2))
    assert [(point.time_ns, point.equity_nanos // ONE) for point in found.curve] == [
        (start, 1000),
        (NOON_NS + 3 * MINUTE_NS, 1105),
    ]
    assert found.performance.total_return == pytest.approx(0.105)


async def test_a_stretch_before_the_first_point_is_what_there_is_now(office: Office) -> None:
    office.clock.advance(DAY_NS)
    found = await office.performance(Question("main", 0, NOON_NS, 0))
    assert [(point.time_ns, point.equity_nanos) for point in found.curve] == [(NOON_NS, 1000 * ONE)]


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (Question("", 0, 0, 1), "points"),
        (Question("", 0, 0, 10_001), "points"),
        (Question("", -1, 0, 0), "start_time_ns"),
        (Question("", 5, 5, 0), "start_time_ns"),
        (Question("", NOON_NS + 1, 0, 0), "start_time_ns"),
    ],
)
async def test_a_wrong_question_is_refused(office: Office, question: Question, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await office.performance(question)
    assert refused.value.metadata["field"] == field


async def test_nobody_has_no_performance(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.performance(Question("nobody", 0, 0, 0))


async def test_a_curve_goes_on_after_a_restart_from_the_prices_it_had(words: dict[str, Any]) -> None:
    clock = ManualClock(NOON_NS)
    for price in ("100", "130"):
        async with open_database("", **words) as database, open_book(database) as book:
            office = Office(book, database, clock)
            for mark in await office.curves.marks():
                office.marks.remember(*mark)
            await office.apply([a_fill(1, quantity="5", price="100")])
            await office.pass_minutes(1)  # at the price of the life before
            office.quote(price)
            await office.pass_minutes(1)
            points = await office.curves.between("main", 0, clock.now_ns())
    assert [point.growth for point in points] == [UNIT, UNIT, UNIT, UNIT * 1150 // 1000]


async def test_old_points_lose_their_detail_and_no_return_is_lost(office: Office) -> None:
    await office.apply([a_fill(1, quantity="5", price="100")])
    for minute in range(10 * 24):
        office.quote(str(100 + minute % 9))
        office.clock.advance(60 * MINUTE_NS // 2)
        await office.record()
    whole = await office.curves.between("main", 0, office.clock.now_ns())
    office.clock.advance(10 * DAY_NS)
    await office.thin()
    hourly = await office.curves.between("main", 0, office.clock.now_ns())
    office.clock.advance(90 * DAY_NS)
    await office.thin()
    daily = await office.curves.between("main", 0, office.clock.now_ns())
    assert (len(whole), len(hourly), len(daily)) == (240, 121, 7)
    assert whole[0] == hourly[0] == daily[0]
    assert whole[-1] == hourly[-1] == daily[-1]
    office.clock.advance(400 * DAY_NS)
    await office.thin()
    assert await office.curves.between("main", 0, office.clock.now_ns()) == daily[:1]
