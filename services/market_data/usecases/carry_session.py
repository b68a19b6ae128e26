"""One session from the socket to the fleet: what is at hand is published in blocks, and nothing is lost."""

from collections.abc import Awaitable, Callable

from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import FeedSession
from trading.clock import Clock


class CarrySession:
    """Reads a session until it ends and publishes what it gave.

    Ticks leave as soon as the reader has caught up with the venue. A reader that never does hands over at
    `full_ticks` ticks, or after `flush_ns`, or, when publishing the last lot took longer than that, after as long:
    the busier the market, the bigger the blocks. While a publish waits nothing is read, so the socket's own flow
    control holds the venue back: that is the whole back-pressure.
    """

    def __init__(
        self,
        session: FeedSession,
        publish: Callable[[Ticks], Awaitable[None]],
        clock: Clock,
        *,
        full_ticks: int,
        flush_ns: int,
    ) -> None:
        self._session, self._publish, self._clock = session, publish, clock
        self._full_ticks, self._flush_ns = full_ticks, flush_ns
        self._publish_ns = 0

    async def __call__(self) -> FeedLost | FeedRefused:
        """Carry everything until the session ends; why it ended."""
        while True:
            reason = await self._read()
            began_ns = self._clock.monotonic_ns()
            await self._publish(self._session.drain())
            self._publish_ns = self._clock.monotonic_ns() - began_ns
            if reason is not None:
                return reason

    async def _read(self) -> FeedLost | FeedRefused | None:
        """Read one lot; why the session has ended, if it has."""
        try:
            while not (ticks := await self._session.read()):
                continue
            if not self._session.has_more:
                return None  # the usual case
            began_ns = self._clock.monotonic_ns()
            while ticks < self._full_ticks and self._session.has_more:
                if self._clock.monotonic_ns() - began_ns >= max(self._flush_ns, self._publish_ns):
                    break
                ticks = await self._session.read()
        except (FeedLost, FeedRefused) as reason:
            return reason
        return None
