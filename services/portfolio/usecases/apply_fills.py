"""Folds fills and charges into the book, each once, and wakes whoever publishes the changes."""

import asyncio
from collections.abc import Sequence

from services.portfolio.domain.entries import Charge, Fill
from services.portfolio.ports import Book, Import, Posting


class ApplyFills:
    """The one way into the book, for the stream and for the catch-up alike."""

    def __init__(self, book: Book, changed: asyncio.Event) -> None:
        self._book = book
        self._changed = changed
        self._turn = asyncio.Lock()

    async def __call__(self, fills: Sequence[Fill], *, scanned_to: int | None = None) -> Posting:
        """Fold in what is new; raises Unavailable when the database is gone and nothing was folded."""
        async with self._turn:  # the database would order them too, at the price of waiting on its locks
            posting = await self._book.apply(fills, scanned_to=scanned_to)
        return self._told(posting)

    async def charges(self, charges: Sequence[Charge], *, scanned_to: int | None = None) -> Posting:
        """Fold in the charges that are new; raises Unavailable in the same way."""
        async with self._turn:
            posting = await self._book.apply_charges(charges, scanned_to=scanned_to)
        return self._told(posting)

    async def acquire(self, order: Import) -> bool:
        """Book an import; False when it was booked before. Raises IdempotencyConflict, Unavailable."""
        is_new = await self._book.acquire(order)
        if is_new:
            self._changed.set()
        return is_new

    def _told(self, posting: Posting) -> Posting:
        if posting.applied:
            self._changed.set()
        return posting
