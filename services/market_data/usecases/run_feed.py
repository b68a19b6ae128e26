"""One connection of a venue, kept alive: opened again after a loss, with what was missed filled in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from services.market_data.domain.backoff import BackOff
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.ticks import Ticks
from services.market_data.domain.trade_line import Passed
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.ports import FeedMeter, FeedSession, MarketFeed, TradeSource
from services.market_data.usecases.carry_session import CarrySession
from services.market_data.usecases.fill_holes import FillHoles, FillPolicy
from services.market_data.usecases.publish_ticks import PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from trading.clock import Clock
from trading.errors import TradingError
from trading.instruments import AssetClass, Instrument


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Bounds of a connection: ticks per symbol and wait of a flush, waits between tries, silence, rhythm of the watch.

    A connection of a class in `silence_s` that has given no tick for so long is opened again.
    """

    block_ticks: int = 256
    pending_ticks_most: int = 32_768
    flush_ns: int = 10_000_000
    first_retry_s: float = 0.25
    retry_base_s: float = 1.0
    retry_cap_s: float = 30.0
    watch_s: float = 0.25
    silence_s: Mapping[AssetClass, float] = field(default_factory=dict)
    fill: FillPolicy = field(default_factory=FillPolicy)

    def full_ticks(self, symbols: int) -> int:
        """Ticks at which a connection with so many symbols hands over."""
        return min(self.block_ticks * symbols, self.pending_ticks_most)

    def back_off(self) -> BackOff:
        """Fresh waits for one connection."""
        return BackOff(self.first_retry_s, self.retry_base_s, self.retry_cap_s)


def wait_s(error: TradingError, back_off: BackOff, random: Random) -> float:
    """How long to wait after an error: the next wait, or longer when the venue says so."""
    asked = error.metadata.get("retry_after_s", 0.0)
    return max(back_off.next_s(random.random()), float(asked) if isinstance(asked, int | float) else 0.0)


class RunFeed:
    """Connects again and again until the venue refuses for good."""

    def __init__(
        self,
        publish: PublishTicks,
        lines: TradeLines,
        gaps: GapWatch,
        source: TradeSource,
        report: ReportVenue,
        meter: FeedMeter,
        clock: Clock,
        policy: FeedPolicy,
        random: Random,
    ) -> None:
        self._publish, self._lines, self._gaps, self._source = publish, lines, gaps, source
        self._report, self._meter = report, meter
        self._clock, self._policy, self._random = clock, policy, random

    async def __call__(self, feed: MarketFeed, instruments: Sequence[Instrument]) -> None:
        """Run one connection for these instruments; ends when it is refused."""
        back_off = self._policy.back_off()
        while True:
            try:
                reason = await self._connect(feed, instruments, back_off)
            except (FeedLost, FeedRefused) as failure:
                reason = failure
            if isinstance(reason, FeedRefused):
                return await self._refused(feed, instruments, reason.message)
            await self._lost(feed, instruments, reason.message)
            await asyncio.sleep(wait_s(reason, back_off, self._random))

    async def _connect(
        self, feed: MarketFeed, instruments: Sequence[Instrument], back_off: BackOff
    ) -> FeedLost | FeedRefused:
        turn = asyncio.Lock()  # live trades and remembered ones take turns, or they would overtake each other

        async def pass_on(symbol: str, passed: Passed) -> None:
            async with turn:
                await self._publish.filled(symbol, passed)

        fill = FillHoles(self._lines, self._source, pass_on, self._clock, self._policy.fill)

        async def publish(ticks: Ticks) -> None:
            async with turn:
                await self._publish(ticks)
            if ticks.count:
                back_off.reset()  # only real data proves that the connection is worth an immediate retry
                if not patience.expired():
                    patience.reschedule(self._silence_ends(feed))
                await self._report.heard(feed.channel)
            if self._lines.any_open:
                fill.wake()

        async with feed.open(instruments) as session, asyncio.TaskGroup() as group:
            await self._subscribed(feed, instruments)
            session.hand_over(self._publish.at_once)
            filling = group.create_task(fill(instruments))
            try:
                async with asyncio.timeout_at(self._silence_ends(feed)) as patience:
                    return await self._carried(session, publish, len(instruments))()
            except TimeoutError:
                return FeedLost(f"No tick for {self._policy.silence_s[feed.asset_class]:g} s.")
            finally:
                filling.cancel()

    def _carried(self, session: FeedSession, publish: Callable[[Ticks], Awaitable[None]], symbols: int) -> CarrySession:
        full_ticks = self._policy.full_ticks(symbols)
        return CarrySession(session, publish, self._clock, full_ticks=full_ticks, flush_ns=self._policy.flush_ns)

    def _silence_ends(self, feed: MarketFeed) -> float | None:
        limit_s = self._policy.silence_s.get(feed.asset_class)
        return None if limit_s is None else asyncio.get_running_loop().time() + limit_s

    async def _subscribed(self, feed: MarketFeed, instruments: Sequence[Instrument]) -> None:
        self._lines.begin((instrument.symbol for instrument in instruments), self._clock.now_ns())
        if await self._report.subscribed(feed.channel):
            self._meter.reconnected()

    async def _lost(self, feed: MarketFeed, instruments: Sequence[Instrument], reason: str) -> None:
        symbols = frozenset(instrument.symbol for instrument in instruments)
        self._gaps.lost(symbols, f"quotes missed: {reason}")
        self._lines.hold(symbols, reason)
        await self._report.lost(feed.channel, reason)

    async def _refused(self, feed: MarketFeed, instruments: Sequence[Instrument], reason: str) -> None:
        """Nothing will be filled any more: what was held back goes on."""
        for symbol in self._lines.open_among([instrument.symbol for instrument in instruments]):
            await self._publish.filled(symbol, self._lines.give_up(symbol))
        await self._report.refused(feed.channel, reason)
