"""Answers what an account holds and what it is worth now."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar, cast

from services.portfolio.domain.account import (
    AccountBook,
    AccountTerms,
    AccountValue,
    PositionValue,
    Worth,
    balances_of,
    convert_all,
    less,
    paid_in_of,
    utc_day,
    value_position,
    worth_of,
)
from services.portfolio.domain.rates import Rates
from services.portfolio.ports import Accounts, Book
from services.portfolio.usecases.catch_up import Freshen
from services.portfolio.usecases.know_accounts import KnowAccounts
from trading.clock import Clock

DEFAULT_ACCOUNT = "main"
Result = TypeVar("Result")


class Holdings(NamedTuple):
    """Positions of an account, by symbol, at one moment."""

    positions: tuple[PositionValue, ...]
    as_of_ns: int


class ReadBook:
    """Values the book at the newest marks."""

    def __init__(
        self,
        book: Book,
        freshen: Freshen,
        know: KnowAccounts,
        accounts: Accounts,
        rates: Rates,
        clock: Clock,
    ) -> None:
        self._book = book
        self._freshen = freshen
        self._know = know
        self._accounts = accounts
        self._rates = rates
        self._clock = clock

    async def positions(self, account: str, *, include_flat: bool = False) -> Holdings:
        """What an account holds; raises NotFound for one that neither execution nor the book knows."""
        account = account or DEFAULT_ACCOUNT
        await self._freshen.quietly()
        book = await self._book.read(account)
        if not book.positions and not self._know.is_configured(account):
            await self._require(account)
        shown = (position for position in book.positions if include_flat or position.quantity_nanos)
        values = tuple(value_position(position, self._rates.marks) for position in sorted(shown))
        return Holdings(values, self._clock.now_ns())

    async def account(self, account: str) -> AccountValue:
        """What an account is worth; raises NotFound, or Unavailable before execution ever told of it."""
        terms = await self._beside_fresh_fills(self._know.one(account or DEFAULT_ACCOUNT))
        return await self._value(terms)

    async def accounts(self) -> tuple[AccountValue, ...]:
        """What every account is worth, by id."""
        known = await self._beside_fresh_fills(self._know.all())
        return tuple([await self._value(terms) for terms in known])

    async def _beside_fresh_fills(self, question: Coroutine[Any, Any, Result]) -> Result:
        """Ask while the newest fills come in; both have ended when it returns or raises."""
        fresh, found = await asyncio.gather(self._freshen.quietly(), question, return_exceptions=True)
        for outcome in (fresh, found):
            if isinstance(outcome, BaseException):
                raise outcome
        return cast(Result, found)

    async def _require(self, account: str) -> None:
        if account not in await self._book.accounts():
            await self._know.one(account)

    async def _value(self, terms: AccountTerms) -> AccountValue:
        book = await self._book.read(terms.id)
        worth = self.worth(terms, book)
        cash = balances_of(terms, book.cash)[terms.currency]
        return AccountValue(terms, book.totals, cash, worth, await self._day_pnl(terms, book, worth))

    async def _day_pnl(self, terms: AccountTerms, book: AccountBook, worth: Worth) -> int:
        """What the day has earned: not what was paid in, at the newest rates."""
        opening = await self._accounts.day_opening(terms.id, utc_day(self._clock.now_ns()))
        if opening is None:
            return 0
        paid = less(paid_in_of(book.cash), opening.paid_in)
        return worth.equity_nanos - opening.equity_nanos - convert_all(paid, terms.currency, self._rates)

    def worth(self, terms: AccountTerms, book: AccountBook) -> Worth:
        """What an account is worth at the newest marks and rates."""
        return worth_of(terms, book, self._rates)
