"""Everything that a venue lists, asked for at once: ten thousand symbols are one question instead of ten thousand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from trading.clock import MINUTE_NS, Clock

T = TypeVar("T")


class VenueListing(Generic[T]):
    """What `ask` says by the venue's spelling, kept for a minute."""

    def __init__(self, ask: Callable[[], Awaitable[Mapping[str, T]]], clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._turn = asyncio.Lock()
        self._listed: Mapping[str, T] = {}
        self._asked_ns: int | None = None

    async def get(self, spelling: str) -> T | None:
        """The entry of a symbol, or None; raises what `ask` raises."""
        async with self._turn:  # many look at once, one question is enough
            now_ns = self._clock.monotonic_ns()
            if self._asked_ns is None or now_ns - self._asked_ns > MINUTE_NS:
                self._listed, self._asked_ns = await self._ask(), now_ns
        return self._listed.get(spelling)
