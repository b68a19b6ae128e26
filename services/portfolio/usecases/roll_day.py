"""Notes the equity that each UTC day begins with, so that a day's P&L has something to start from."""

from collections.abc import Mapping

from services.portfolio.domain.account import AccountTerms, DayOpening, is_marked, paid_in_of, utc_day
from services.portfolio.ports import Accounts, Book
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.read_book import ReadBook
from trading.clock import Clock


class RollDay:
    """Opens the day of every account, once, at its first moment with a price for everything that is held.

    The very first day of an account begins with its opening cash. A service that was down at midnight opens
    the day when it is back.
    """

    def __init__(
        self,
        book: Book,
        know: KnowAccounts,
        accounts: Accounts,
        read: ReadBook,
        marks: Mapping[str, int],
        clock: Clock,
    ) -> None:
        self._book = book
        self._know = know
        self._accounts = accounts
        self._read = read
        self._marks = marks
        self._clock = clock

    async def __call__(self) -> None:
        """Open the current day of every account that has none yet."""
        today = utc_day(self._clock.now_ns())
        for terms in await self._know.all():
            if await self._accounts.day_opening(terms.id, today) is None:
                await self._open(terms, today)

    async def _open(self, terms: AccountTerms, today: int) -> None:
        if not await self._accounts.has_days(terms.id):
            await self._accounts.open_day(terms.id, today, DayOpening(terms.opening_cash_nanos, {}))
            return
        book = await self._book.read(terms.id)
        if is_marked(book.positions, self._marks):
            equity = self._read.worth(terms, book).equity_nanos
            await self._accounts.open_day(terms.id, today, DayOpening(equity, paid_in_of(book.cash)))
