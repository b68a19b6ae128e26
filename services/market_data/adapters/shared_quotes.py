"""Newest quotes in the fleet's cache, one protobuf `Quote` per symbol."""

from collections.abc import Sequence

from fleet.cache import Cache
from services.market_data import translate
from services.market_data.domain.quotes import NewestQuote

KEY_PREFIX = "market_data.v1.quote."


class SharedQuotes:
    """Writes many quotes at a time; each lives for `ttl_s`."""

    def __init__(self, cache: Cache, ttl_s: float) -> None:
        self._cache, self._ttl_s = cache, ttl_s

    async def put(self, quotes: Sequence[NewestQuote]) -> None:
        """Replace the quotes of these symbols; raises Unavailable."""
        values = {
            KEY_PREFIX + newest.quote.symbol: translate.quote(newest, stale=False).SerializeToString()
            for newest in quotes
        }
        await self._cache.put_many(values, self._ttl_s)
