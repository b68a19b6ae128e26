"""An account's book over one SQLite file, with stand-ins for the rest of the fleet."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from builders.portfolio import a_fill, a_quote, some_terms
from fakes.portfolio import FakeExecution, FakeMarketData

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.domain.estimation.history import Closes
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.catch_up import Freshen
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.read_book import ReadBook
from trading.clock import DAY_NS, ManualClock
from trading.money import parse_nanos
from trading.order import Side

TODAY = 20_000
LOG = structlog.get_logger()


class BookDesk:
    """A book that is read with the newest fills of execution."""

    def __init__(self, database: Database, book: SqlBook, closes: Mapping[str, Closes] | None = None) -> None:
        self.database = database
        self.book, self.accounts = book, SqlAccounts(database)
        self.execution = FakeExecution(accounts=[some_terms()])
        self.market_data = FakeMarketData(closes=closes)
        self.clock = ManualClock(TODAY * DAY_NS + 5)
        self.marks = Marks()
        apply = ApplyFills(self.book, asyncio.Event())
        know = KnowAccounts(self.execution, self.accounts, ("main",), LOG, timeout_s=1)
        freshen = Freshen(self.execution, self.book, apply, LOG, page=100, timeout_s=1)
        self.rates = Rates(self.marks, {"USDT", "USDC"})
        self.read = ReadBook(self.book, freshen, know, self.accounts, self.rates, self.clock)

    def trade(self, symbol: str, quantity: str, price: str, currency: str = "USD") -> None:
        """Let execution tell of a fill: a negative quantity sells."""
        number = len(self.execution.log) + 1
        side = Side.SELL if quantity.startswith("-") else Side.BUY
        size = abs(parse_nanos(quantity))
        self.execution.log.append(
            a_fill(number, side, price=price, symbol=symbol, currency=currency, quantity_nanos=size)
        )

    def mark(self, symbol: str, price: str) -> None:
        """Let a symbol be quoted at a price."""
        quote = a_quote(symbol, price, price, receive_time_ns=len(self.marks) + 1)
        self.market_data.quotes[symbol] = quote
        self.marks.see(quote)


@asynccontextmanager
async def book_desk(directory: Path, closes: Mapping[str, Closes] | None = None) -> AsyncIterator[BookDesk]:
    """A desk over an empty SQLite file."""
    words = {"service": "portfolio", "data_dir": directory, "migrations": "services.portfolio.migrations"}
    async with open_database("", **words) as database, open_book(database) as book:  # type: ignore[arg-type]
        yield BookDesk(database, book, closes)
