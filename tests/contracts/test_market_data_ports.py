"""What every implementation of market_data's ports keeps: the fakes of the unit tests and the real adapters alike."""

import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import nats
import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.market import NOON_NS, a_bar, a_coin, a_quote_block, a_share, a_trade_block
from fakes.market_data import FakeFeed, FakeHistory, FakeInstruments, FakePublisher, FakeQuoteCache, FakeSession
from servers import accepts, free_port, process, wait_until

from fleet import subjects
from fleet.blocks import decode_quotes, decode_trades
from fleet.bus import Bus
from fleet.cache import Cache, ProcessCache, open_cache
from fleet.http import http_client
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_history import AlpacaHistory
from services.market_data.adapters.alpaca_key import AlpacaKey
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.alpaca_stream import AlpacaFeed, StreamLimits
from services.market_data.adapters.nats_publisher import NatsPublisher
from services.market_data.adapters.polygon_assets import PolygonAssets
from services.market_data.adapters.polygon_rest import PolygonRest
from services.market_data.adapters.shared_quotes import KEY_PREFIX, SharedQuotes
from services.market_data.domain.feed import FeedLost, FeedRefused, FeedState, VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.quotes import NewestQuote, QuoteBoard
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import (
    FeedSession,
    HistorySource,
    InstrumentSource,
    MarketFeed,
    MarketPublisher,
    QuoteCache,
)
from trading.clock import DAY_NS, MINUTE_NS, SystemClock
from trading.errors import Unavailable
from trading.instruments import AssetClass
from trading.market import Interval


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


@pytest.fixture
async def rest(venue: LiveVenue) -> AsyncIterator[AlpacaRest]:
    async with http_client(venue.addresses["rest"], headers=venue.key.headers(), timeout_s=60) as client:
        yield AlpacaRest(client)


def alpaca_feed(
    venue: LiveVenue, asset_class: AssetClass = AssetClass.EQUITY, key: AlpacaKey | None = None
) -> AlpacaFeed:
    url = venue.addresses["stream" if asset_class is AssetClass.EQUITY else "crypto_stream"]
    return AlpacaFeed("paper", asset_class, url, key or venue.key, SystemClock(), StreamLimits())


class MarketFeedContract:
    """An opened feed gives the ticks of the symbols that were asked for, and nothing twice."""

    async def test_a_read_brings_ticks_and_a_drain_takes_them_away(self, feed: MarketFeed) -> None:
        async with feed.open([a_share()]) as session:
            waiting = 0
            while not waiting:
                waiting = await session.read()
            ticks = session.drain()

            assert (ticks.count, ticks.refused) == (waiting, 0)
            assert session.drain().count == 0
            assert {block.symbol for block in (*ticks.quotes, *ticks.trades)} == {"AAPL"}
            assert {block.venue for block in ticks.quotes} <= {"paper"}

    async def test_it_names_itself(self, feed: MarketFeed) -> None:
        assert (feed.channel, feed.asset_class) == ("stocks", AssetClass.EQUITY)


class TestFakeFeed(MarketFeedContract):
    @pytest.fixture
    def feed(self) -> MarketFeed:
        return FakeFeed([FakeSession().say(Ticks((a_quote_block((1, 2)),)))])


class TestAlpacaFeed(MarketFeedContract):
    @pytest.fixture
    def feed(self, venue: LiveVenue) -> MarketFeed:
        return alpaca_feed(venue)

    async def test_coins_come_by_a_connection_of_their_own_under_our_name(self, venue: LiveVenue) -> None:
        async with alpaca_feed(venue, AssetClass.CRYPTO).open([a_coin()]) as session:
            while not await session.read():
                pass
            ticks = session.drain()

        assert {block.symbol for block in (*ticks.quotes, *ticks.trades)} == {"BTC-USDT"}

    async def test_receive_times_are_ours_and_later_than_the_venue_s(self, venue: LiveVenue) -> None:
        before_ns = SystemClock().now_ns()
        async with alpaca_feed(venue).open([a_share()]) as session:
            while not (quotes := session.drain().quotes):
                await session.read()

        assert before_ns < int(quotes[0].receive_time_ns[0]) < SystemClock().now_ns()
        assert (quotes[0].receive_time_ns >= quotes[0].event_time_ns).all()

    async def test_a_wrong_key_is_refused_for_good(self, venue: LiveVenue) -> None:
        wrong = AlpacaKey(venue.key.key_id, venue.key.secret.__class__("wrong"))

        with pytest.raises(FeedRefused, match="402"):
            async with alpaca_feed(venue, key=wrong).open([a_share()]):
                pass

    @pytest.mark.parametrize(
        ("url", "failure"),
        [("ws://127.0.0.1:9/v2/iex", FeedLost), ("http://127.0.0.1:9", FeedRefused), ("{rest}/v2/clock", FeedRefused)],
    )
    async def test_an_address_that_cannot_work_says_so(
        self, venue: LiveVenue, url: str, failure: type[Exception]
    ) -> None:
        address = url.format(rest=venue.addresses["rest"].replace("http", "ws"))
        feed = AlpacaFeed("paper", AssetClass.EQUITY, address, venue.key, SystemClock(), StreamLimits())

        with pytest.raises(failure):
            async with feed.open([a_share()]):
                pass

    async def test_a_venue_that_dies_loses_the_session_but_not_what_was_read(self) -> None:
        with live_venue("--quote-rate", "50") as mortal:
            async with alpaca_feed(mortal).open([a_share()]) as session:
                while not (waiting := await session.read()):
                    pass
                mortal.process.kill()
                read = await _read_to_the_end(session)

                assert session.drain().count == max(waiting, read) > 0


async def _read_to_the_end(session: FeedSession) -> int:
    """How many ticks wait when the connection is lost."""
    waiting = 0
    try:
        while True:
            waiting = await session.read()
    except FeedLost:
        return waiting


class HistoryContract:
    """Bars come by symbol, oldest first, within the range and the limit. The venue knows two days and two symbols."""

    async def test_bars_start_within_the_range(self, history: HistorySource, end_ns: int) -> None:
        start_ns = end_ns - 2 * DAY_NS

        found = await history.bars([a_share()], Interval.ONE_DAY, start_ns, end_ns, 100)

        starts = [bar.timestamp_ns for bar in found["AAPL"]]
        assert starts == sorted(set(starts))
        assert starts
        assert all(start_ns <= start < end_ns for start in starts)

    async def test_reading_stops_at_the_limit(self, history: HistorySource, end_ns: int) -> None:
        found = await history.bars([a_share()], Interval.ONE_DAY, end_ns - 40 * DAY_NS, end_ns, 1)

        assert len(found["AAPL"]) == 1

    async def test_several_symbols_come_apart(self, history: HistorySource, end_ns: int) -> None:
        asked = [a_share("AAPL"), a_share("MSFT")]

        found = await history.bars(asked, Interval.ONE_DAY, end_ns - 2 * DAY_NS, end_ns, 100)

        assert {symbol: {bar.symbol for bar in bars} for symbol, bars in found.items()} == {
            "AAPL": {"AAPL"},
            "MSFT": {"MSFT"},
        }

    async def test_a_range_without_bars_is_empty(self, history: HistorySource) -> None:
        assert await history.bars([a_share()], Interval.ONE_DAY, 0, DAY_NS, 100) == {}


class TestFakeHistory(HistoryContract):
    @pytest.fixture
    def end_ns(self) -> int:
        return NOON_NS

    @pytest.fixture
    def history(self) -> HistorySource:
        days = [a_bar(symbol=name, minute=-1440 * day, interval="1d") for name in ("AAPL", "MSFT") for day in (1, 2)]
        return FakeHistory(*days)


class TestAlpacaHistory(HistoryContract):
    @pytest.fixture
    def end_ns(self) -> int:
        return SystemClock().now_ns() - 3 * DAY_NS

    @pytest.fixture
    def history(self, rest: AlpacaRest) -> HistorySource:
        return AlpacaHistory("paper", rest, "iex")

    @pytest.mark.parametrize("interval", list(Interval))
    async def test_every_interval_is_spoken(self, history: HistorySource, end_ns: int, interval: Interval) -> None:
        found = await history.bars([a_coin()], interval, end_ns - 2 * DAY_NS, end_ns, 5)

        first, second, *_ = found["BTC-USDT"]
        assert (second.timestamp_ns - first.timestamp_ns) % (interval.seconds * 10**9) == 0
        assert first.low_nanos <= first.vwap_nanos <= first.high_nanos
        assert (first.interval, first.venue) == (interval, "paper")

    async def test_more_than_one_page_is_read_through_without_hole_or_double(
        self, rest: AlpacaRest, end_ns: int
    ) -> None:
        history = AlpacaHistory("paper", rest, "")

        found = await history.bars([a_coin()], Interval.ONE_MINUTE, end_ns - 10 * DAY_NS, end_ns, 12_000)

        starts = [bar.timestamp_ns for bar in found["BTC-USDT"]]
        assert len(starts) == 12_000
        assert {after - before for before, after in pairwise(starts)} == {MINUTE_NS}


class InstrumentContract:
    """A listed instrument is described, another one is None."""

    async def test_a_listed_symbol_is_tradable(self, source: InstrumentSource) -> None:
        asset = await source.asset(a_share())

        assert asset is not None
        assert (asset.asset_class, asset.tradable) == (AssetClass.EQUITY, True)

    async def test_an_unlisted_symbol_is_none(self, source: InstrumentSource) -> None:
        assert await source.asset(a_share("NOPE")) is None


class TestFakeInstruments(InstrumentContract):
    @pytest.fixture
    def source(self) -> InstrumentSource:
        return FakeInstruments("AAPL")


class TestAlpacaAssets(InstrumentContract):
    @pytest.fixture
    def source(self, rest: AlpacaRest) -> InstrumentSource:
        return AlpacaAssets(rest, SystemClock())

    async def test_a_coin_is_found_under_the_venue_s_spelling(self, source: InstrumentSource) -> None:
        asset = await source.asset(a_coin())

        assert asset is not None
        assert asset.spelling == "BTC/USD"

    async def test_a_wrong_key_is_refused(self, venue: LiveVenue) -> None:
        async with http_client(venue.addresses["rest"], headers={}, timeout_s=5) as client:
            with pytest.raises(FeedRefused, match="401"):
                await AlpacaAssets(AlpacaRest(client), SystemClock()).asset(a_share())


class TestAlpacaAssetsAtOnce(TestAlpacaAssets):
    @pytest.fixture
    def source(self, rest: AlpacaRest) -> InstrumentSource:
        return AlpacaAssets(rest, SystemClock(), at_once=True)


@pytest.mark.parametrize("at_once", [False, True])
class TestPolygonAssets(InstrumentContract):
    @pytest.fixture
    async def source(self, venue: LiveVenue, at_once: bool) -> AsyncIterator[InstrumentSource]:
        headers = {"Authorization": f"Bearer {venue.line['polygon']['key']}"}
        async with http_client(venue.line["polygon"]["rest"], headers=headers, timeout_s=5) as client:
            yield PolygonAssets(PolygonRest(client), SystemClock(), at_once=at_once)


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
        messages = [await self.heard.next_msg(timeout=5) for _ in range(5)]
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
