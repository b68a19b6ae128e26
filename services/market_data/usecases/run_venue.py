"""Keeps a venue's connections alive, and stops where trying again is no use."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from services.market_data.domain.backoff import BackOff
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.registry import Registry
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import FeedMeter, MarketFeed
from services.market_data.usecases.carry_session import CarrySession
from services.market_data.usecases.publish_ticks import PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from trading.clock import Clock
from trading.errors import ResourceExhausted, Unavailable
from trading.instruments import Instrument


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Bounds of a connection: ticks per symbol and wait of a flush, waits between tries, rhythm of the watch."""

    block_ticks: int = 256
    pending_ticks_most: int = 32_768
    flush_ns: int = 10_000_000
    first_retry_s: float = 0.25
    retry_base_s: float = 1.0
    retry_cap_s: float = 30.0
    watch_s: float = 0.25

    def full_ticks(self, symbols: int) -> int:
        """Ticks at which a connection with so many symbols hands over."""
        return min(self.block_ticks * symbols, self.pending_ticks_most)

    def back_off(self) -> BackOff:
        """Fresh waits for one connection."""
        return BackOff(self.first_retry_s, self.retry_base_s, self.retry_cap_s)


class RunVenue:
    """The loop of one venue: learn its instruments, then run its connections side by side."""

    def __init__(
        self,
        feeds: Sequence[MarketFeed],
        registry: Registry,
        load: Callable[[], Awaitable[None]],
        publish: PublishTicks,
        gaps: GapWatch,
        report: ReportVenue,
        meter: FeedMeter,
        clock: Clock,
        policy: FeedPolicy,
        random: Random,
    ) -> None:
        self._feeds, self._registry, self._load = feeds, registry, load
        self._publish, self._gaps, self._report, self._meter = publish, gaps, report, meter
        self._clock, self._policy, self._random = clock, policy, random

    async def __call__(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            await self._learn()
            for feed in self._feeds:
                group.create_task(self._run(feed))

    async def _learn(self) -> None:
        """Try until the venue has answered; a refusal fails every connection."""
        back_off = self._policy.back_off()
        while True:
            try:
                return await self._load()
            except FeedRefused as refusal:
                for feed in self._feeds:
                    await self._report.refused(feed.channel, refusal.message)
                await asyncio.Event().wait()
            except (Unavailable, ResourceExhausted) as error:
                for feed in self._feeds:
                    await self._report.lost(feed.channel, error.message)
                await asyncio.sleep(back_off.next_s(self._random.random()))

    async def _run(self, feed: MarketFeed) -> None:
        """Connect again and again; ends when the venue refuses for good."""
        instruments = self._registry.listed(feed.asset_class)
        if not instruments:
            return await self._report.refused(feed.channel, "the venue lists none of the symbols asked for")
        back_off = self._policy.back_off()
        while True:
            try:
                reason = await self._connect(feed, instruments, back_off)
            except (FeedLost, FeedRefused) as failure:
                reason = failure
            if isinstance(reason, FeedRefused):
                return await self._report.refused(feed.channel, reason.message)
            await self._lost(feed, instruments, reason.message)
            await asyncio.sleep(back_off.next_s(self._random.random()))

    async def _connect(
        self, feed: MarketFeed, instruments: Sequence[Instrument], back_off: BackOff
    ) -> FeedLost | FeedRefused:
        async def publish(ticks: Ticks) -> None:
            if ticks.count:
                back_off.reset()  # only real data proves that the connection is worth an immediate retry
                await self._report.heard(feed.channel)
            await self._publish(ticks)

        async with feed.open(instruments) as session:
            if await self._report.subscribed(feed.channel):
                self._meter.reconnected()
            full_ticks = self._policy.full_ticks(len(instruments))
            carry = CarrySession(session, publish, self._clock, full_ticks=full_ticks, flush_ns=self._policy.flush_ns)
            return await carry()

    async def _lost(self, feed: MarketFeed, instruments: Sequence[Instrument], reason: str) -> None:
        self._gaps.lost(frozenset(instrument.symbol for instrument in instruments), reason)
        await self._report.lost(feed.channel, reason)

    async def _watch(self) -> None:
        """Notice silence: stale connections, and bars that no further tick will close."""
        while True:
            await asyncio.sleep(self._policy.watch_s)
            await self._report.check()
            await self._publish.close_bars(self._clock.now_ns())
