"""Asks for the price of everything that is held, so that the book has values before the first tick arrives."""

from typing import Any

from services.portfolio.domain.marks import Marks
from services.portfolio.ports import Book, MarketData
from trading.errors import TradingError


class PricePositions:
    """Fills the marks that the stream of quotes has not brought yet."""

    def __init__(self, book: Book, market_data: MarketData, marks: Marks, log: Any) -> None:
        self._book = book
        self._market_data = market_data
        self._marks = marks
        self._log = log

    async def __call__(self) -> None:
        """Ask for each held symbol without a mark; one that market_data cannot price yet stays without."""
        for symbol in sorted(await self._unmarked()):
            try:
                self._marks.see(await self._market_data.quote(symbol))
            except TradingError as error:
                self._log.debug("mark.missing", symbol=symbol, reason=error.reason)

    async def _unmarked(self) -> set[str]:
        books = [await self._book.read(account) for account in await self._book.accounts()]
        held = {position.symbol for book in books for position in book.positions if position.quantity_nanos}
        return held - set(self._marks)
