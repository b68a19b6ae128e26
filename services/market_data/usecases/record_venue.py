"""Lets a venue run for a while, and says how it is going."""

import asyncio
from collections.abc import Awaitable, Callable

from services.market_data.domain.feed import FeedRefused, FeedState, Venue
from trading.errors import Unavailable

_LOOK_S = 0.1


class RecordVenue:
    """Runs a venue's loop until the time is over, until told to stop, or until the venue refuses for good."""

    def __init__(self, run: Callable[[], Awaitable[None]], venue: Venue, say: Callable[[float], None]) -> None:
        self._run, self._venue, self._say = run, venue, say

    async def __call__(self, seconds: float, stop: asyncio.Event) -> str:
        """Record; `say` hears the seconds that have passed. What was wrong with some of the connections, if anything.

        Raises FeedRefused when every connection was refused, Unavailable when none has ever been there.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.ensure_future(self._run())
        try:
            while not stop.is_set() and (passed_s := loop.time() - began) < seconds and not running.done():
                self._say(passed_s)
                self._check_refused()
                await asyncio.wait([running], timeout=min(_LOOK_S, seconds - passed_s))
        finally:
            running.cancel()
            await asyncio.wait([running])
        if not running.cancelled():
            running.result()  # it never ends by itself: this raises what ended it
        complaint = self._venue.complaint() or ""
        if not any(self._venue[channel].was_up for channel in self._venue.channels):
            raise Unavailable(complaint)
        return complaint

    def _check_refused(self) -> None:
        channels = self._venue.channels
        if not channels:
            raise FeedRefused(f"{self._venue.name} carries nothing like these symbols.")
        if all(self._venue[channel].state is FeedState.FAILED for channel in channels):
            raise FeedRefused(f"{self._venue.name} {self._venue.reason}")
