"""Folds fills into the book, each once, and wakes whoever publishes the changes."""

import asyncio
from collections.abc import Sequence

from services.portfolio.domain.ledger import Fill
from services.portfolio.ports import Book, Posting


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
        if posting.applied:
            self._changed.set()
        return posting
