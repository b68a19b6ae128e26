"""Keeps a venue's connections alive, and stops where trying again is no use."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from services.market_data.domain.feed import FeedRefused
from services.market_data.ports import MarketFeed
from services.market_data.usecases.publish_ticks import PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from services.market_data.usecases.run_feed import FeedPolicy, RunFeed, wait_s
from trading.clock import Clock
from trading.errors import ResourceExhausted, Unavailable
from trading.instruments import AssetClass, Instrument


class RunVenue:
    """The loop of one venue: learn its instruments, then run its connections side by side."""

    def __init__(
        self,
        feeds: Sequence[MarketFeed],
        carried: Callable[[AssetClass], Sequence[Instrument]],
        load: Callable[[], Awaitable[None]],
        run_feed: RunFeed,
        publish: PublishTicks,
        report: ReportVenue,
        clock: Clock,
        policy: FeedPolicy,
        random: Random,
    ) -> None:
        self._feeds, self._carried, self._load, self._run_feed = feeds, carried, load, run_feed
        self._publish, self._report = publish, report
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
                await asyncio.sleep(wait_s(error, back_off, self._random))

    async def _run(self, feed: MarketFeed) -> None:
        """Run a connection; one without any symbol is refused before it is opened."""
        if instruments := self._carried(feed.asset_class):
            await self._run_feed(feed, instruments)
        else:
            await self._report.refused(feed.channel, "the venue lists none of the symbols asked for")

    async def _watch(self) -> None:
        """Notice silence: stale connections, and bars that no further tick will close."""
        while True:
            await asyncio.sleep(self._policy.watch_s)
            await self._report.check()
            await self._publish.close_bars(self._clock.now_ns())
