"""The state of a venue, told to the fleet when it changes."""

from collections.abc import Mapping

import structlog

from services.market_data.domain.feed import Feed, Venue
from services.market_data.ports import MarketPublisher
from trading.clock import Clock
from trading.errors import Unavailable


class ReportVenue:
    """Takes the news of each connection; publishes what they change for the venue. `stale_ns` by channel."""

    def __init__(self, venue: Venue, publisher: MarketPublisher, clock: Clock, *, stale_ns: Mapping[str, int]) -> None:
        self._venue, self._publisher, self._clock = venue, publisher, clock
        self._stale_ns = stale_ns
        self._log = structlog.get_logger(__name__)

    async def subscribed(self, channel: str) -> bool:
        """The connection is up; whether it had been before."""
        again = self._venue[channel].was_up
        await self._put(channel, self._venue[channel].subscribed(self._clock.monotonic_ns()))
        return again

    async def heard(self, channel: str) -> None:
        """Ticks came."""
        await self._put(channel, self._venue[channel].heard(self._clock.monotonic_ns()))

    async def lost(self, channel: str, reason: str) -> None:
        """The connection is gone, and will be tried again."""
        await self._put(channel, self._venue[channel].lost(reason))

    async def refused(self, channel: str, reason: str) -> None:
        """The connection is gone for good."""
        await self._put(channel, self._venue[channel].refused(reason))

    async def check(self) -> None:
        """Find the connections that have been silent for too long."""
        now_ns = self._clock.monotonic_ns()
        for channel in self._venue.channels:
            await self._put(channel, self._venue[channel].checked(now_ns, self._stale_ns[channel]))

    async def _put(self, channel: str, feed: Feed) -> None:
        status = self._venue.put(channel, feed, self._clock.now_ns())
        if status is None:
            return
        self._log.info("venue changed", venue=status.venue, state=status.state.name, reason=status.reason)
        try:
            await self._publisher.status(status)
        except Unavailable:
            self._log.warning("venue's state could not be published", venue=status.venue, state=status.state.name)
