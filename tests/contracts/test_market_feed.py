"""What every feed of a venue keeps: the fake of the unit tests and the real adapter alike."""

from collections.abc import Iterator

import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.market import a_coin, a_quote_block, a_share
from fakes.market_data import FakeFeed, FakeSession

from services.market_data.adapters.alpaca_key import AlpacaKey
from services.market_data.adapters.alpaca_stream import AlpacaFeed, StreamLimits
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import (
    FeedSession,
    MarketFeed,
)
from trading.clock import SystemClock
from trading.instruments import AssetClass


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


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
