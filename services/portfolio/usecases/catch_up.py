"""Asks execution's own log for fills that the stream did not bring: a lost NATS store must not lose a fill."""

from services.portfolio.ports import Book, Execution
from services.portfolio.usecases.apply_fills import ApplyFills


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


class Freshen:
    """Brings the newest fills into the book before it is read, so that a reader sees its own trades.

    A reader never waits longer than the timeout, and never fails because execution is away: the book then
    answers as it is.
    """

    def __init__(self, execution: Execution, book: Book, apply: ApplyFills, *, page: int, timeout_s: float) -> None:
        self._execution = execution
        self._book = book
        self._apply = apply
        self._page = page
        self._timeout_s = timeout_s

    async def __call__(self) -> None:
        """Fold in what execution has beyond the book's newest fill; raises TradingError when it is away."""
        newest = await self._book.newest_log_sequence()
        page = await self._execution.fills_after(newest, self._page, self._timeout_s)
        if page.fills:
            await self._apply(page.fills)
