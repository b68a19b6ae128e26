"""Lets a venue run for a while, and says how it is going."""

import asyncio
from collections.abc import Awaitable, Callable

from services.market_data.domain.feed import FeedRefused, FeedState, Venue

_LOOK_S = 0.1


class RecordVenue:
    """Runs a venue's loop until the time is over, until told to stop, or until the venue refuses for good."""

    def __init__(self, run: Callable[[], Awaitable[None]], venue: Venue, say: Callable[[float], None]) -> None:
        self._run, self._venue, self._say = run, venue, say

    async def __call__(self, seconds: float, stop: asyncio.Event) -> None:
        """Record; `say` hears the seconds that have passed. Raises FeedRefused when every connection was refused."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.ensure_future(self._run())
        try:
            while not stop.is_set() and (passed_s := loop.time() - began) < seconds and not running.done():
                self._say(passed_s)
                if all(self._venue[channel].state is FeedState.FAILED for channel in self._venue.channels):
                    raise FeedRefused(f"{self._venue.name} {self._venue.reason}")
                await asyncio.wait([running], timeout=min(_LOOK_S, seconds - passed_s))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
