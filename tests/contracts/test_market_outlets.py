"""What the ways out of market_data keep, to the cache and to the bus: the fakes of the unit tests and the real ones."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from builders.market import a_bar, a_quote_block, a_trade_block
from fakes.market_data import FakePublisher, FakeQuoteCache
from servers import accepts, free_port, process, wait_until

from fleet import subjects
from fleet.blocks import decode_quotes, decode_trades
from fleet.bus import Bus
from fleet.cache import Cache, ProcessCache, open_cache
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from services.market_data.adapters.nats_publisher import NatsPublisher
from services.market_data.adapters.shared_quotes import KEY_PREFIX, SharedQuotes
from services.market_data.domain.feed import FeedState, VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.quotes import NewestQuote, QuoteBoard
from services.market_data.ports import (
    MarketPublisher,
    QuoteCache,
)
from trading.clock import SystemClock
from trading.errors import Unavailable
from trading.market import Interval


class QuoteCacheContract:
    """What was put last is there."""

    async def test_the_last_put_wins(self, cache: QuoteCache) -> None:
        await cache.put([_newest(1, 2), _newest(1, 2, symbol="MSFT")])
        await cache.put([_newest(3, 4)])

        assert await self.bid_of("AAPL") == 3 * 10**9
        assert await self.bid_of("MSFT") == 1 * 10**9

    async def bid_of(self, symbol: str) -> int:
        raise NotImplementedError


class TestFakeQuoteCache(QuoteCacheContract):
    @pytest.fixture
    def cache(self) -> QuoteCache:
        self.fake = FakeQuoteCache()
        return self.fake

    async def bid_of(self, symbol: str) -> int:
        return self.fake.quotes[symbol].quote.bid_nanos


class TestSharedQuotes(QuoteCacheContract):
    @pytest.fixture
    def cache(self) -> QuoteCache:
        self.store = ProcessCache()
        return SharedQuotes(self.store, 60.0)

    async def bid_of(self, symbol: str) -> int:
        value = await self.store.get(KEY_PREFIX + symbol)
        assert value is not None
        return pb.Quote.FromString(value).bid_nanos


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on this machine")
class TestSharedQuotesOnRedis(QuoteCacheContract):
    @pytest.fixture
    async def cache(self, tmp_path: Path) -> AsyncIterator[QuoteCache]:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        with process(command, log=tmp_path / "redis.log"):
            wait_until(lambda: accepts(port), "redis-server")
            async with open_cache(f"redis://127.0.0.1:{port}") as store:
                self.store: Cache = store
                yield SharedQuotes(store, 60.0)

    async def bid_of(self, symbol: str) -> int:
        value = await self.store.get(KEY_PREFIX + symbol)
        assert value is not None
        return pb.Quote.FromString(value).bid_nanos

    async def test_a_redis_that_is_gone_is_said_to_be_unavailable(self) -> None:
        async with open_cache(f"redis://127.0.0.1:{free_port()}") as store:
            with pytest.raises(Unavailable):
                await SharedQuotes(store, 60.0).put([_newest(1, 2)])


class PublisherContract:
    """Everything that is published can be read back."""

    async def test_all_kinds_of_news_arrive(self, publisher: MarketPublisher) -> None:
        await publisher.quotes(a_quote_block((1, 2), (3, 4), symbol="BRK.B"), 7)
        await publisher.trades(a_trade_block((1.5, 2), symbol="BRK.B"), 9)
        await publisher.bar(a_bar(5, symbol="BRK.B"))
        await publisher.gap(Gap("paper", "BRK.B", 1, 2, "reset"))
        await publisher.status(VenueStatus("paper", FeedState.STALE, "silent", 3))

        assert await self.read_back() == [(2, 7), (1, 9), 5 * 10**9, (1, 2), FeedState.STALE]

    async def test_a_quote_that_nothing_holds_up_is_on_its_way_when_the_call_returns(
        self, publisher: MarketPublisher
    ) -> None:
        assert publisher.quotes_at_once(a_quote_block((1, 2), symbol="BRK.B"), 300)
        await publisher.trades(a_trade_block((1.5, 2), symbol="BRK.B"), 9)
        await publisher.bar(a_bar(5, symbol="BRK.B"))
        await publisher.gap(Gap("paper", "BRK.B", 1, 2, "reset"))
        await publisher.status(VenueStatus("paper", FeedState.STALE, "silent", 3))

        assert (await self.read_back())[0] == (1, 300)

    async def read_back(self) -> list[object]:
        raise NotImplementedError


class TestFakePublisher(PublisherContract):
    @pytest.fixture
    def publisher(self) -> MarketPublisher:
        self.fake = FakePublisher()
        return self.fake

    async def read_back(self) -> list[object]:
        fake = self.fake
        (quotes, first_quote), (trades, first_trade) = fake.quote_blocks[0], fake.trade_blocks[0]
        gap = fake.gaps[0]
        return [
            (len(quotes), first_quote),
            (len(trades), first_trade),
            fake.bars[0].close_nanos,
            (gap.from_time_ns, gap.to_time_ns),
            fake.statuses[0].state,
        ]


class TestNatsPublisher(PublisherContract):
    @pytest.fixture
    async def publisher(self, bus: Bus, nats_url: str) -> AsyncIterator[MarketPublisher]:
        client = await nats.connect(nats_url)
        try:
            self.heard = await client.subscribe("market_data.v1.>")
            await client.flush()
            yield NatsPublisher(bus, "run", SystemClock(), patience_s=0)
        finally:
            await client.close()

    async def read_back(self) -> list[object]:
        messages = [await self.heard.next_msg(timeout=60) for _ in range(5)]
        found = {message.subject: message.data for message in messages}
        quotes = decode_quotes(found[subjects.quote("paper", "BRK.B")])
        trades = decode_trades(found[subjects.trade("paper", "BRK.B")])
        bar = pb.Bar.FromString(found[subjects.bar(Interval.ONE_MINUTE, "paper", "BRK.B")])
        gap = pb.Gap.FromString(found[subjects.gap("paper", "BRK.B")])
        status = pb.VenueStatus.FromString(found[subjects.venue_status("stale", "paper")])
        assert quotes.feed_id == trades.feed_id == "run"
        return [
            (len(quotes.block), quotes.first_sequence),
            (len(trades.block), trades.first_sequence),
            bar.close_nanos,
            (gap.from_time_ns, gap.to_time_ns),
            FeedState[pb.VenueState.Name(status.state).removeprefix("VENUE_STATE_")],
        ]


def _newest(bid: float, ask: float, symbol: str = "AAPL") -> NewestQuote:
    board = QuoteBoard()
    board.put_quotes(a_quote_block((bid, ask), symbol=symbol), 0)
    (newest,) = board.take_changed()
    return newest
