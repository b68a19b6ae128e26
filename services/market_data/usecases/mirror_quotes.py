"""Copies the newest quotes to the cache, many at a time."""

import asyncio

import structlog

from services.market_data.domain.quotes import QuoteBoard
from services.market_data.ports import QuoteCache
from trading.errors import Unavailable


class MirrorQuotes:
    """A loop that writes what has changed every `interval_s`; a tick costs the cache nothing."""

    def __init__(self, board: QuoteBoard, cache: QuoteCache, interval_s: float) -> None:
        self._board, self._cache, self._interval_s = board, cache, interval_s
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Run until cancelled; a cache that is away is tried again with the newest quotes."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.once()

    async def once(self) -> None:
        """Write what has changed since the last time."""
        changed = self._board.take_changed()
        if not changed:
            return
        try:
            await self._cache.put(changed)
        except Unavailable as error:
            self._log.warning("newest quotes not mirrored", reason=error.message)
            self._board.give_back(changed)
