"""Asks execution itself for fills and charges that the stream did not bring: a lost NATS store must lose neither."""

from typing import Any

from services.portfolio.ports import Book, Execution
from services.portfolio.usecases.apply_fills import ApplyFills
from trading.errors import TradingError


class CatchUp:
    """Scans the log from where it stopped last, and a little before: a writer may commit out of order."""

    def __init__(
        self, execution: Execution, book: Book, apply: ApplyFills, *, page: int, overlap: int, timeout_s: float
    ) -> None:
        self._execution = execution
        self._book = book
        self._apply = apply
        self._page = page
        self._overlap = overlap
        self._timeout_s = timeout_s

    async def __call__(self) -> int:
        """Fold in every fill that was missed and give back how many; raises TradingError when execution is away."""
        cursor = max(await self._book.scanned_to() - self._overlap, 0)
        found, has_more = 0, True
        while has_more:
            page = await self._execution.fills_after(cursor, self._page, self._timeout_s)
            has_more = page.has_more and bool(page.fills)
            if page.fills:
                cursor = page.fills[-1].log_sequence
                found += (await self._apply(page.fills, scanned_to=cursor)).applied
        return found


class CatchUpCharges:
    """Scans the record of charges from where it stopped last: one writer numbers them as it commits them."""

    def __init__(self, execution: Execution, book: Book, apply: ApplyFills, *, page: int, timeout_s: float) -> None:
        self._execution = execution
        self._book = book
        self._apply = apply
        self._page = page
        self._timeout_s = timeout_s

    async def __call__(self) -> int:
        """Fold in every charge that was missed and give back how many; raises TradingError when execution is away."""
        cursor, found, has_more = await self._book.charges_scanned_to(), 0, True
        while has_more:
            page = await self._execution.charges_after(cursor, self._page, self._timeout_s)
            has_more = page.has_more and bool(page.charges)
            if page.charges:
                cursor = page.charges[-1].sequence
                found += (await self._apply.charges(page.charges, scanned_to=cursor)).applied
        return found


class Freshen:
    """Brings the newest fills into the book before it is read, so that a reader sees its own trades.

    A reader never waits longer than the timeout, and never fails because execution is away: the book then
    answers as it is.
    """

    def __init__(
        self, execution: Execution, book: Book, apply: ApplyFills, log: Any, *, page: int, timeout_s: float
    ) -> None:
        self._execution = execution
        self._book = book
        self._apply = apply
        self._log = log
        self._page = page
        self._timeout_s = timeout_s

    async def quietly(self) -> None:
        """The same, or the book as it is while execution is away."""
        try:
            await self()
        except TradingError as error:
            self._log.debug("book.as_it_is", reason=error.reason)

    async def __call__(self) -> None:
        """Fold in what execution has beyond the book's newest fill; raises TradingError when it is away."""
        newest = await self._book.newest_log_sequence()
        page = await self._execution.fills_after(newest, self._page, self._timeout_s)
        if page.fills:
            await self._apply(page.fills)
