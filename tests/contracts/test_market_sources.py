"""What every memory and list of a venue keeps: the fakes of the unit tests and the real adapters alike."""

from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.market import NOON_NS, a_bar, a_coin, a_share
from fakes.market_data import FakeHistory, FakeInstruments

from fleet.http import http_client
from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_history import AlpacaHistory
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.polygon_assets import PolygonAssets
from services.market_data.adapters.polygon_rest import PolygonRest
from services.market_data.domain.feed import FeedRefused
from services.market_data.ports import (
    HistorySource,
    InstrumentSource,
)
from trading.clock import DAY_NS, MINUTE_NS, SystemClock
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
