"""Asks for the price of everything that is held, so that the book has values before the first tick arrives."""

from collections.abc import Collection
from typing import Any

from services.portfolio.domain.account import currencies_of
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates, symbols_for
from services.portfolio.ports import Accounts, Book, MarketData
from trading.errors import TradingError


class PricePositions:
    """Fills the marks that the stream of quotes has not brought yet: of positions, and of currencies that are held."""

    def __init__(
        self, book: Book, accounts: Accounts, market_data: MarketData, marks: Marks, rates: Rates, log: Any
    ) -> None:
        self._book = book
        self._accounts = accounts
        self._market_data = market_data
        self._marks = marks
        self._rates = rates
        self._log = log

    async def __call__(self) -> None:
        """Ask for each held symbol without a mark; one that market_data cannot price yet stays without."""
        currency = {terms.id: terms.currency for terms in await self._accounts.recall()}
        books = [await self._book.read(account) for account in await self._book.accounts()]
        held = {position.symbol for book in books for position in book.positions if position.quantity_nanos}
        pairs: set[str] = set()
        for book in books:
            home = currency.get(book.totals.account)
            pairs |= {name for source in currencies_of(book) if home for name in self._wanted(source, home)}
        await self.symbols(held)
        if pairs:
            await self.symbols(pairs & {each.symbol for each in await self._market_data.instruments()})

    def _wanted(self, source: str, home: str) -> tuple[str, ...]:
        return symbols_for(source, home, self._rates.pegged) if self._rates.rate(source, home) is None else ()

    async def symbols(self, symbols: Collection[str]) -> None:
        """Ask for each of these that has no mark."""
        for symbol in sorted(set(symbols) - set(self._marks)):
            try:
                self._marks.see(await self._market_data.quote(symbol))
            except TradingError as error:
                self._log.debug("mark.missing", symbol=symbol, reason=error.reason)
