"""A venue's loop with everything but NATS, its streams behind a proxy, and what went out compared with the venue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from builders.live_venue import LiveVenue
from builders.market import CRYPTO, a_coin
from builders.venue_adapters import Adapters, adapters
from fakes.market_data import FakePublisher
from faults import FaultyProxy, faulty_proxy

from fleet.metrics import Metrics
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.adapters.venue_socket import StreamLimits
from services.market_data.domain.bars import BarBook
from services.market_data.domain.coverage import Coverage
from services.market_data.domain.feed import FeedState, Venue
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.registry import Registry
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.trade_line import LineRules, Mark
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.usecases.load_instruments import LoadInstruments
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from services.market_data.usecases.run_feed import FeedPolicy, RunFeed
from services.market_data.usecases.run_venue import RunVenue
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.clock import SECOND_NS, SystemClock
from trading.market import Interval

LONG_S = 60.0
"""No busy machine keeps a living feed quiet for so long."""
SYMBOLS = ("BTC-USDT", "ETH-USDT")
PATIENCE_S = 60.0
CLOCK = SystemClock()


class Desk:
    """A venue's loop with everything but NATS, behind the proxy; it begins with a market that flows."""

    def __init__(self, offer: Adapters, proxy: FaultyProxy, stale_s: float) -> None:
        self.offer, self.proxy = offer, proxy
        self.publisher, self.counts = FakePublisher(), VenueCounts()
        name = offer.protocol
        registry, coverage, venue = Registry(SYMBOLS), Coverage([name]), Venue(name, ["crypto"])
        board, gaps = QuoteBoard(), GapWatch(name)
        state = MarketState(board, LiveBars(10), QuoteStreams(board, streams_most=1, blocks_most=1))
        lines = TradeLines(name, LineRules(), numbered=name == "binance")
        meter = MeteredCounts(name, self.counts, Metrics())
        bars, guard = BarBook(name, [Interval.ONE_MINUTE], 0), FutureGuard(10 * SECOND_NS, 64)
        publish = PublishTicks(state, bars, gaps, lines, guard, self.publisher, meter)
        report = ReportVenue(venue, self.publisher, CLOCK, stale_ns={"crypto": round(stale_s * SECOND_NS)})
        load = LoadInstruments(name, registry, coverage, offer.assets)
        policy, random = FeedPolicy(), Random(1)
        run_feed = RunFeed(publish, lines, gaps, offer.trades, report, meter, CLOCK, policy, random)
        feeds = [offer.feed(CRYPTO)]
        self.run = RunVenue(feeds, load.carried, load, run_feed, publish, report, CLOCK, policy, random)

    @property
    def states(self) -> list[FeedState]:
        return [status.state for status in self.publisher.statuses]

    def ids(self, symbol: str) -> list[str]:
        """Every trade of a symbol that went out, in order."""
        blocks = [block for block, _ in self.publisher.trade_blocks if block.symbol == symbol]
        return [name for block in blocks for name in block.trade_ids]

    @property
    def ticks(self) -> int:
        return sum(len(block) for block, _ in (*self.publisher.quote_blocks, *self.publisher.trade_blocks))

    async def flows(self, trades: int = 20) -> None:
        """Wait until so many more trades of every symbol have gone out."""
        wanted = {symbol: len(self.ids(symbol)) + trades for symbol in SYMBOLS}
        await until(lambda: all(len(self.ids(symbol)) >= count for symbol, count in wanted.items()))

    async def check(self) -> None:
        """What went out is what the venue remembers: nothing lost, nothing twice, in its order."""
        for symbol in SYMBOLS:
            ids = self.ids(symbol)
            since = Mark(symbol, "", self.first_ns(symbol) - SECOND_NS)
            remembered = await self.offer.trades.trades(a_coin(symbol.partition("-")[0]), since, 10_000)
            assert remembered is not None
            told = remembered.trade_ids
            assert ids == list(told[told.index(ids[0]) : told.index(ids[-1]) + 1])
        assert [gap.reason for gap in self.publisher.gaps if "trades" in gap.reason] == []
        assert self.counts.dropped == 0

    def first_ns(self, symbol: str) -> int:
        return min(int(block.event_time_ns[0]) for block, _ in self.publisher.trade_blocks if block.symbol == symbol)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  the venue makes it true
            await asyncio.sleep(0.005)


@asynccontextmanager
async def desk(
    protocol: str, venue: LiveVenue, *, mute_s: float = LONG_S, stale_s: float = LONG_S
) -> AsyncIterator[Desk]:
    """A desk whose streams go through a proxy; its REST questions do not, so that the two fail apart.

    It calls a socket mute or a feed stale after so many seconds.
    """
    port = urlsplit(venue.line["binance"]["rest"]).port
    assert port is not None
    async with faulty_proxy(port) as proxy:
        line = {name: through(proxy, where) for name, where in venue.line.items() if isinstance(where, dict)}
        async with adapters(protocol, line, limits=StreamLimits(mute_s=mute_s, open_timeout_s=LONG_S)) as offer:
            made = Desk(offer, proxy, stale_s)
            task = asyncio.create_task(made.run())
            try:
                await made.flows()
                yield made
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.wait([task])


def through(proxy: FaultyProxy, where: dict[str, Any]) -> dict[str, Any]:
    """The same addresses with the streams behind the proxy."""
    return {name: _behind(proxy, text) if "stream" in name else text for name, text in where.items()}


def _behind(proxy: FaultyProxy, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{proxy.port}"))
