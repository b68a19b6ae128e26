"""One session from the socket to the fleet: read ahead a little, publish in blocks, lose nothing."""

import asyncio
from collections.abc import Awaitable, Callable

from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import FeedSession
from trading.clock import Clock


class CarrySession:
    """Reads a session until it ends and publishes what it gave.

    Ticks leave as soon as the reader has caught up with the venue. A reader that never does hands over at
    `full_ticks` ticks, or after `flush_ns`, or, when publishing the last lot took longer than that, after as long:
    the busier the market, the bigger the blocks. While a publish waits, the reader fills one more lot and then
    stops reading, so the socket's own flow control holds the venue back: that is the whole back-pressure.
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
        self._waiting, self._drained = asyncio.Event(), asyncio.Event()
        self._waiting_since_ns = 0
        self._publish_ns = 0
        self._ended = False

    async def __call__(self) -> FeedLost | FeedRefused:
        """Carry everything until the session ends; why it ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_all())
            reason = await self._read_all()
            self._ended = True
            self._waiting.set()
        return reason

    async def _read_all(self) -> FeedLost | FeedRefused:
        try:
            while True:
                await self._read()
        except (FeedLost, FeedRefused) as reason:
            return reason

    async def _read(self) -> None:
        ticks = await self._session.read()
        if not ticks:
            return
        if not self._waiting.is_set():
            self._waiting_since_ns = self._clock.monotonic_ns()
            self._waiting.set()
        waited_ns = self._clock.monotonic_ns() - self._waiting_since_ns
        if ticks >= self._full_ticks or waited_ns >= max(self._flush_ns, self._publish_ns):
            self._drained.clear()
            await self._drained.wait()

    async def _publish_all(self) -> None:
        while not self._ended:
            await self._waiting.wait()
            self._waiting.clear()
            ticks = self._session.drain()
            self._drained.set()
            began_ns = self._clock.monotonic_ns()
            await self._publish(ticks)
            self._publish_ns = self._clock.monotonic_ns() - began_ns
        await self._publish(self._session.drain())
