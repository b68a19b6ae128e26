"""Answers what an account holds and what it is worth now."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from services.portfolio.domain.account import (
    AccountTerms,
    AccountValue,
    PositionValue,
    equity_nanos,
    utc_day,
    value_position,
)
from services.portfolio.ports import AccountBook, Accounts, Book
from services.portfolio.usecases.catch_up import Freshen
from services.portfolio.usecases.know_accounts import KnowAccounts
from trading.clock import DAY_NS, Clock
from trading.errors import TradingError

DEFAULT_ACCOUNT = "main"


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
        marks: Mapping[str, int],
        clock: Clock,
        log: Any,
    ) -> None:
        self._book = book
        self._freshen = freshen
        self._know = know
        self._accounts = accounts
        self._marks = marks
        self._clock = clock
        self._log = log

    async def positions(self, account: str, *, include_flat: bool = False) -> Holdings:
        """What an account holds; raises NotFound for one that neither execution nor the book knows."""
        account = account or DEFAULT_ACCOUNT
        await self._freshen_quietly()
        book = await self._book.read(account)
        if not book.positions and not self._know.is_configured(account):
            await self._require(account)
        shown = (position for position in book.positions if include_flat or position.quantity_nanos)
        values = tuple(value_position(position, self._marks) for position in sorted(shown))
        return Holdings(values, self._clock.now_ns())

    async def account(self, account: str) -> AccountValue:
        """What an account is worth; raises NotFound, or Unavailable before execution ever told of it."""
        _, terms = await asyncio.gather(self._freshen_quietly(), self._know.one(account or DEFAULT_ACCOUNT))
        return await self._value(terms)

    async def accounts(self) -> tuple[AccountValue, ...]:
        """What every account is worth, by id."""
        _, known = await asyncio.gather(self._freshen_quietly(), self._know.all())
        return tuple([await self._value(terms) for terms in known])

    async def _require(self, account: str) -> None:
        if account not in await self._book.accounts():
            await self._know.one(account)

    async def _value(self, terms: AccountTerms) -> AccountValue:
        book = await self._book.read(terms.id)
        equity = self.equity(terms, book)
        cash = terms.opening_cash_nanos + book.flows.get(terms.currency, 0)
        return AccountValue(terms, book.totals, cash, equity, await self._day_pnl(terms, equity))

    async def _day_pnl(self, terms: AccountTerms, equity: int) -> int:
        """What the day has earned: not what was paid in."""
        today = utc_day(self._clock.now_ns())
        opening = await self._accounts.day_opening(terms.id, today)
        if opening is None:
            return 0
        return equity - opening - await self._book.transferred_since(terms.id, today * DAY_NS)

    def equity(self, terms: AccountTerms, book: AccountBook) -> int:
        """Equity at the newest marks, in nanos of the account's currency."""
        values = (value_position(position, self._marks) for position in book.positions)
        return equity_nanos(terms, book.flows.get(terms.currency, 0), values)

    async def _freshen_quietly(self) -> None:
        try:
            await self._freshen()
        except TradingError as error:
            self._log.debug("book.as_it_is", reason=error.reason)
