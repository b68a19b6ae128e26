"""Keeps the equity curve of every account: in the background, and right around what is booked by hand."""

import asyncio
from collections.abc import Iterable, Sequence

from services.portfolio.domain.account import AccountTerms
from services.portfolio.domain.equity import Point, is_news, point_of, symbols_of
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from services.portfolio.ports import Book, Curves, Horizons, Mark
from services.portfolio.usecases.know_accounts import KnowAccounts
from trading.clock import Clock


class RecordCurve:
    """A point for each account at every call while something is held or has changed."""

    def __init__(
        self, book: Book, curves: Curves, know: KnowAccounts, marks: Marks, rates: Rates, clock: Clock
    ) -> None:
        self._book = book
        self._curves = curves
        self._know = know
        self._marks = marks
        self._rates = rates
        self._clock = clock
        self._newest: dict[str, Point] = {}
        self._turn = asyncio.Lock()

    async def __call__(self) -> int:
        """Add the points of this moment and give back how many; raises Unavailable."""
        return await self._add(await self._know.all())

    async def note(self, terms: AccountTerms) -> None:
        """Add a point of one account now; raises Unavailable."""
        await self._add([terms])

    async def now(self, terms: AccountTerms) -> Point:
        """The point of this moment, which is not kept."""
        before = await self._before(terms.id)
        return point_of(before, terms, await self._book.read(terms.id), self._rates, self._clock.now_ns())

    async def _add(self, accounts: Sequence[AccountTerms]) -> int:
        async with self._turn:
            points, priced = {}, set()
            for terms in accounts:
                before, book = await self._before(terms.id), await self._book.read(terms.id)
                point = point_of(before, terms, book, self._rates, self._clock.now_ns())
                if is_news(before, point, book):
                    points[terms.id] = point
                    priced |= symbols_of(terms, book, self._rates)
            if points:
                await self._curves.add(points, self._prices(priced))
                self._newest.update(points)
        return len(points)

    def _prices(self, symbols: Iterable[str]) -> list[Mark]:
        return [Mark(name, self._marks[name], self._marks.time_of(name)) for name in sorted(symbols)]

    async def _before(self, account: str) -> Point | None:
        if account not in self._newest:
            found = await self._curves.newest(account)
            if found is None:
                return None
            self._newest[account] = found
        return self._newest[account]


class ThinCurve:
    """Keeps the curves within their bounds: every point, then one an hour, then one a day, then none."""

    def __init__(self, curves: Curves, horizons: Horizons, clock: Clock) -> None:
        self._curves = curves
        self._horizons = horizons
        self._clock = clock

    async def __call__(self) -> None:
        """Take away what has become too old for its detail; raises Unavailable."""
        await self._curves.thin(self._clock.now_ns(), self._horizons)
