"""A venue's connections come back after a loss, stop at a refusal, and say how they are."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import numpy as np
import structlog
from builders.market import CRYPTO, EQUITY, NOON_NS, a_quote_block, a_trade_block
from fakes.market_data import FakeFeed, FakeInstruments, FakePublisher, FakeSession, FakeTrades, eventually
from structlog.testing import capture_logs

from fleet.metrics import Metrics
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.domain.bars import BarBook
from services.market_data.domain.blocks import picked
from services.market_data.domain.coverage import Coverage
from services.market_data.domain.feed import FeedLost, FeedRefused, FeedState, Venue
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.registry import Registry
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.ticks import Ticks
from services.market_data.domain.trade_line import LineRules
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.usecases.load_instruments import LoadInstruments
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from services.market_data.usecases.run_feed import FeedPolicy, RunFeed
from services.market_data.usecases.run_venue import RunVenue
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.clock import MINUTE_NS, ManualClock
from trading.errors import ResourceExhausted, Unavailable
from trading.market import Interval

SOON = FeedPolicy(first_retry_s=0.0, retry_base_s=0.001, retry_cap_s=0.002, watch_s=0.001)


class World:
    """A running venue with its surroundings in reach."""

    def __init__(
        self,
        feeds: Sequence[FakeFeed],
        source: FakeInstruments,
        symbols: Sequence[str] = ("AAPL",),
        policy: FeedPolicy = SOON,
        memory: FakeTrades | None = None,
    ) -> None:
        self.clock, self.publisher, self.counts = ManualClock(NOON_NS), FakePublisher(), VenueCounts()
        self.registry, self.metrics = Registry(symbols), Metrics()
        self.venue = Venue("paper", [feed.channel for feed in feeds])
        self.source = memory or FakeTrades()
        gaps, lines = GapWatch("paper"), TradeLines("paper", LineRules())
        board = QuoteBoard()
        state = MarketState(board, LiveBars(10), QuoteStreams(board, streams_most=1, blocks_most=1))
        meter = MeteredCounts("paper", self.counts, self.metrics)
        bars, guard = BarBook("paper", [Interval.ONE_MINUTE], 0), FutureGuard(MINUTE_NS, 3)
        publish = PublishTicks(state, bars, gaps, lines, guard, self.publisher, meter)
        stale_ns = dict.fromkeys(self.venue.channels, 1_000)
        report = ReportVenue(self.venue, self.publisher, self.clock, stale_ns=stale_ns)
        load = LoadInstruments("paper", self.registry, Coverage(["paper"]), source)
        random = Random(1)
        run_feed = RunFeed(publish, lines, gaps, self.source, report, meter, self.clock, policy, random)
        self.run = RunVenue(feeds, load.carried, load, run_feed, publish, report, self.clock, policy, random)

    @property
    def states(self) -> list[FeedState]:
        return [status.state for status in self.publisher.statuses]


@asynccontextmanager
async def running(
    *feeds: FakeFeed,
    source: FakeInstruments | None = None,
    symbols: Sequence[str] = ("AAPL",),
    policy: FeedPolicy = SOON,
    memory: FakeTrades | None = None,
) -> AsyncIterator[World]:
    world = World(feeds, source or FakeInstruments("AAPL", "BTC-USDT"), symbols, policy, memory)
    task = asyncio.create_task(world.run())
    try:
        yield world
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


def ticks(at_ns: int = NOON_NS) -> Ticks:
    return Ticks((a_quote_block((1, 2), times_ns=[at_ns]),))


async def test_a_subscribed_venue_is_up_and_its_ticks_flow() -> None:
    async with running(FakeFeed([FakeSession().say(ticks())])) as world:
        await eventually(lambda: world.counts.blocks == 1)

    assert world.states == [FeedState.UP]
    assert (
        world.metrics.registry.get_sample_value(
            "nt_ticks_total", {"venue": "paper", "kind": "quote", "asset_class": "equity"}
        )
        == 1
    )


async def test_after_a_loss_it_connects_again_and_tells_the_gap() -> None:
    first = FakeSession().say(ticks()).end(FeedLost("reset"))
    second = FakeSession().say(ticks(NOON_NS + 50))
    async with running(FakeFeed([first, second])) as world:
        await eventually(lambda: world.counts.blocks == 2)

    assert world.states == [FeedState.UP, FeedState.DOWN, FeedState.UP]
    assert [(gap.from_time_ns, gap.to_time_ns, gap.reason) for gap in world.publisher.gaps] == [
        (NOON_NS, NOON_NS + 50, "quotes missed: reset")
    ]
    assert world.counts.reconnects == 1


async def test_trades_that_a_loss_left_out_are_filled_in_before_the_next_live_ones() -> None:
    times = [NOON_NS + at for at in range(4)]
    whole = a_trade_block((10, 1), (11, 1), (12, 1), (13, 1), times_ns=times)
    before, after = picked(whole, np.array([0])), picked(whole, np.array([3]))
    first = FakeSession().say(Ticks(trades=(before,))).end(FeedLost("reset"))
    second = FakeSession().say(Ticks(trades=(after,)))
    async with running(FakeFeed([first, second]), memory=FakeTrades({"AAPL": whole})) as world:
        await eventually(lambda: sum(len(block) for block, _ in world.publisher.trade_blocks) == 4)

    blocks = world.publisher.trade_blocks
    assert [name for block, _ in blocks for name in block.trade_ids] == ["0", "1", "2", "3"]
    assert ([first for _, first in blocks], world.publisher.gaps) == ([0, 1], [])


async def test_a_refusal_lets_go_what_was_held_back_and_tells_the_gap() -> None:
    whole = a_trade_block((10, 1), (11, 1), times_ns=[NOON_NS, NOON_NS + 9])
    first = FakeSession().say(Ticks(trades=(picked(whole, np.array([0])),))).end(FeedLost("reset"))
    second = FakeSession().say(Ticks(trades=(picked(whole, np.array([1])),))).end(FeedRefused("409"))
    async with running(FakeFeed([first, second])) as world:
        await eventually(lambda: world.venue.state is FeedState.FAILED)

    assert [name for block, _ in world.publisher.trade_blocks for name in block.trade_ids] == ["0", "1"]
    assert [gap.reason for gap in world.publisher.gaps] == ["trades missed: reset"]


async def test_a_feed_of_coins_that_says_nothing_for_too_long_is_opened_again() -> None:
    feed = FakeFeed([FakeSession(), FakeSession().say(ticks())], asset_class=CRYPTO, channel="crypto")
    policy = replace(SOON, silence_s={CRYPTO: 0.05})
    async with running(feed, symbols=("BTC-USDT",), policy=policy) as world:
        await eventually(lambda: world.counts.blocks == 1)

    assert "No tick for 0.05 s." in [status.reason.removeprefix("crypto: ") for status in world.publisher.statuses]


async def test_the_venue_s_own_word_on_when_to_come_back_is_kept() -> None:
    feed = FakeFeed([FeedLost("429", retry_after_s=3_600)])
    async with running(feed):
        await eventually(lambda: len(feed.opened) == 1)
        for _ in range(20):
            await asyncio.sleep(0.001)

    assert len(feed.opened) == 1


async def test_a_venue_that_is_away_is_tried_until_it_is_there() -> None:
    feed = FakeFeed([FeedLost("refused")] * 5 + [FakeSession()])
    async with running(feed) as world:
        await eventually(lambda: world.venue.state is FeedState.UP)

    assert len(feed.opened) == 6
    assert world.counts.reconnects == 0


async def test_a_loss_after_ticks_is_a_first_one_however_many_came_before() -> None:
    feed = FakeFeed([FakeSession().say(ticks()).end(FeedLost("reset")) for _ in range(5)])
    async with running(feed, policy=replace(SOON, retry_base_s=3_600.0, retry_cap_s=3_600.0)):
        await eventually(lambda: len(feed.opened) == 6)


async def test_a_connection_that_never_gives_ticks_is_tried_less_and_less() -> None:
    feed = FakeFeed([FakeSession().end(FeedLost("reset")) for _ in range(5)])
    async with running(feed, policy=replace(SOON, retry_base_s=3_600.0, retry_cap_s=3_600.0)) as world:
        await eventually(lambda: world.states[-2:] == [FeedState.UP, FeedState.DOWN] and len(feed.opened) == 2)
        for _ in range(20):
            await asyncio.sleep(0.001)

    assert len(feed.opened) == 2


async def test_a_refusal_stops_the_connection_for_good_and_says_why() -> None:
    feed = FakeFeed([FeedRefused("The venue says 402 auth failed.")])
    async with running(feed) as world:
        await eventually(lambda: world.venue.state is FeedState.FAILED)
        for _ in range(20):
            await asyncio.sleep(0.001)

    assert len(feed.opened) == 1
    assert world.venue.complaint() == "paper stocks: The venue says 402 auth failed."


async def test_a_refusal_in_the_middle_of_a_session_loses_no_tick() -> None:
    session = FakeSession().say(ticks()).end(FeedRefused("409 insufficient subscription"))
    async with running(FakeFeed([session])) as world:
        await eventually(lambda: world.venue.state is FeedState.FAILED)

    assert world.counts.blocks == 1


async def test_one_connection_fails_without_the_other() -> None:
    stocks, crypto = FakeFeed([FeedRefused("409")]), FakeFeed(channel="crypto", asset_class=CRYPTO)
    async with running(stocks, crypto, symbols=("AAPL", "BTC-USDT")) as world:
        await eventually(lambda: world.venue["crypto"].state is FeedState.UP)
        await eventually(lambda: world.venue["stocks"].state is FeedState.FAILED)

    assert (stocks.opened, crypto.opened) == ([["AAPL"]], [["BTC-USDT"]])


async def test_a_symbol_that_the_venue_does_not_list_is_left_out_by_name() -> None:
    structlog.reset_defaults()
    feed = FakeFeed()
    with capture_logs() as logs:
        async with running(feed, symbols=("AAPL", "NOPE")):
            await eventually(lambda: bool(feed.opened))

    assert feed.opened == [["AAPL"]]
    assert [log["symbols"] for log in logs if log["log_level"] == "error"] == [["NOPE"]]


async def test_a_connection_without_any_listed_symbol_says_so() -> None:
    feed = FakeFeed()
    async with running(feed, symbols=("NOPE",)) as world:
        await eventually(lambda: world.venue.state is FeedState.FAILED)

    assert feed.opened == []
    assert "lists none" in world.venue.reason


async def test_instruments_are_asked_for_until_the_venue_answers() -> None:
    failures = [Unavailable("connection refused"), ResourceExhausted("too many requests.")]
    feed = FakeFeed([FakeSession().say(ticks())])
    async with running(feed, source=FakeInstruments("AAPL", failures=failures)) as world:
        await eventually(lambda: world.counts.blocks == 1)


async def test_a_wrong_key_fails_every_connection_before_it_connects() -> None:
    stocks, crypto = FakeFeed(), FakeFeed(channel="crypto", asset_class=CRYPTO)
    source = FakeInstruments(failures=[FeedRefused("HTTP 401: unauthorized")] * 9)
    async with running(stocks, crypto, source=source) as world:
        await eventually(lambda: world.venue.state is FeedState.FAILED)

    assert world.venue.reason == "stocks: HTTP 401: unauthorized; crypto: HTTP 401: unauthorized"
    assert stocks.opened == crypto.opened == []


async def test_a_silent_connection_becomes_stale_and_ticks_mend_it() -> None:
    session = FakeSession()
    async with running(FakeFeed([session], asset_class=EQUITY)) as world:
        await eventually(lambda: world.venue.state is FeedState.UP)
        world.clock.advance(1_000)
        await eventually(lambda: world.venue.state is FeedState.STALE)
        session.say(ticks())
        await eventually(lambda: world.venue.state is FeedState.UP)

    assert world.states == [FeedState.UP, FeedState.STALE, FeedState.UP]


async def test_silence_closes_the_open_bar() -> None:
    async with running(FakeFeed([FakeSession().say(ticks())])) as world:
        await eventually(lambda: world.counts.blocks == 1)
        world.clock.advance(MINUTE_NS)
        await eventually(lambda: len(world.publisher.bars) == 1)


async def test_states_that_cannot_be_published_stop_nothing() -> None:
    world = World([FakeFeed([FakeSession().say(ticks())])], FakeInstruments("AAPL"))
    world.publisher.is_away = True
    task = asyncio.create_task(world.run())
    await eventually(lambda: world.counts.dropped == 1)
    task.cancel()
    await asyncio.wait([task])

    assert (world.venue.state, world.states) == (FeedState.UP, [])
