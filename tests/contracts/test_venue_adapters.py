"""What every venue's adapters keep, whatever its protocol: proven against the paper venue, which speaks all three."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import pairwise

import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.market import CRYPTO, EQUITY, a_coin, a_share
from builders.venue_adapters import PROTOCOLS, SHARES, Adapters, adapters

from services.market_data.adapters.binance_stream import Rollover
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.trade_line import Mark
from services.market_data.ports import FeedSession
from trading.clock import DAY_NS, MINUTE_NS, SystemClock
from trading.errors import TradingError
from trading.instruments import AssetClass, Instrument
from trading.market import Block, Interval, QuoteBlock, TradeBlock

MARKETS = [(name, CRYPTO) for name in PROTOCOLS] + [(name, EQUITY) for name in SHARES]
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


@pytest.fixture(params=PROTOCOLS)
async def offer(request: pytest.FixtureRequest, venue: LiveVenue) -> AsyncIterator[Adapters]:
    async with adapters(request.param, venue.line) as made:
        yield made


@pytest.fixture(params=MARKETS, ids=lambda market: "-".join(market))
async def market(request: pytest.FixtureRequest, venue: LiveVenue) -> AsyncIterator[tuple[Adapters, AssetClass]]:
    """A protocol and a class of instruments that it carries."""
    protocol, asset_class = request.param
    async with adapters(protocol, venue.line) as made:
        yield made, asset_class


def some(asset_class: AssetClass) -> list[Instrument]:
    return [a_coin("BTC"), a_coin("ETH")] if asset_class is CRYPTO else [a_share("AAPL"), a_share("MSFT")]


async def read(session: FeedSession, trades: int) -> dict[type[Block], dict[str, list[Block]]]:
    """Blocks by kind and symbol until so many trades have come."""
    found: dict[type[Block], dict[str, list[Block]]] = defaultdict(lambda: defaultdict(list))
    count = 0
    while count < trades:
        await session.read()
        ticks = session.drain()
        assert ticks.refused == 0
        for block in (*ticks.quotes, *ticks.trades):
            found[type(block)][block.symbol].append(block)
        count += sum(map(len, ticks.trades))
    return found


async def test_quotes_and_trades_come_under_our_names_and_with_both_times(market: tuple[Adapters, AssetClass]) -> None:
    offer, asset_class = market
    before_ns = CLOCK.now_ns()
    async with offer.feed(asset_class).open(some(asset_class)) as session:
        found = await read(session, trades=40)

    symbols = {instrument.symbol for instrument in some(asset_class)}
    assert {kind.__name__: set(blocks) for kind, blocks in found.items()} == {
        "QuoteBlock": symbols,
        "TradeBlock": symbols,
    }
    for one in (one for by_symbol in found.values() for blocks in by_symbol.values() for one in blocks):
        assert one.venue == offer.protocol
        assert (one.receive_time_ns >= before_ns).all()
        assert (abs(one.receive_time_ns - one.event_time_ns) < 60 * 10**9).all()


async def test_quotes_that_come_alone_are_offered_at_once_and_drained_as_carried(
    market: tuple[Adapters, AssetClass],
) -> None:
    offer, asset_class = market
    offered: list[QuoteBlock] = []

    def take_every_other(block: QuoteBlock) -> int | None:
        offered.append(block)
        return len(offered) if len(offered) % 2 else None

    carried: list[tuple[QuoteBlock, int]] = []
    read_again: list[QuoteBlock] = []
    async with offer.feed(asset_class).open(some(asset_class)[:1]) as session:
        session.hand_over(take_every_other)
        while len(carried) < 2 or not read_again:
            await session.read()
            ticks = session.drain()
            carried += ticks.carried
            read_again += ticks.quotes

    assert [(block, at) for at, block in enumerate(offered, 1) if at % 2][: len(carried)] == carried
    assert {(len(block), block.symbol, block.venue) for block in offered} == {
        (1, some(asset_class)[0].symbol, offer.protocol)
    }


async def test_what_was_streamed_is_what_the_venue_remembers(market: tuple[Adapters, AssetClass]) -> None:
    offer, asset_class = market
    instrument, *_ = some(asset_class)
    async with offer.feed(asset_class).open([instrument]) as session:
        found = await read(session, trades=30)
    live = [row for block in found[TradeBlock][instrument.symbol] for row in rows(block)]

    since = Mark(instrument.symbol, "", live[0][1] // 1_000_000 * 1_000_000)
    remembered = await offer.trades.trades(instrument, since, 10_000)

    assert remembered is not None
    assert remembered.symbol == instrument.symbol
    told = rows(remembered)
    assert [time for _, time, *_ in told] == sorted(time for _, time, *_ in told)
    assert {(name, *amounts) for name, _, *amounts in live} <= {(name, *amounts) for name, _, *amounts in told}


def rows(block: Block) -> list[tuple[str, int, int, int]]:
    assert isinstance(block, TradeBlock)
    columns = (block.event_time_ns, block.price_nanos, block.size_nanos)
    return list(zip(block.trade_ids, *(column.tolist() for column in columns), strict=True))


async def test_memory_is_read_up_to_the_limit_and_beyond_a_page(offer: Adapters) -> None:
    since = Mark("BTC-USDT", "", CLOCK.now_ns() - 3600 * 10**9)
    whole = await offer.trades.trades(a_coin(), since, 10_000)
    part = await offer.trades.trades(a_coin(), since, 7)

    assert whole is not None
    assert part is not None
    assert part.trade_ids == whole.trade_ids[:7]


async def test_nothing_after_the_newest_trade_is_nothing(offer: Adapters) -> None:
    since = Mark("BTC-USDT", "999999999", CLOCK.now_ns() + DAY_NS)

    assert await offer.trades.trades(a_coin(), since, 10) is None


@pytest.mark.parametrize("interval", list(Interval))
async def test_bars_of_every_interval_start_within_the_range(offer: Adapters, interval: Interval) -> None:
    end_ns = CLOCK.now_ns() - 3 * DAY_NS
    start_ns = end_ns - 6 * interval.seconds * 10**9

    found = await offer.history.bars([a_coin("BTC"), a_coin("ETH")], interval, start_ns, end_ns, 100)

    assert set(found) == {"BTC-USDT", "ETH-USDT"}
    for symbol, bars in found.items():
        starts = [bar.timestamp_ns for bar in bars]
        assert starts == sorted(set(starts))
        assert all(start_ns <= start < end_ns for start in starts)
        assert len(starts) >= 5
        assert {(bar.symbol, bar.interval, bar.venue) for bar in bars} == {(symbol, interval, offer.protocol)}
        assert all(bar.low_nanos <= bar.vwap_nanos <= bar.high_nanos for bar in bars)


async def test_the_same_bar_is_the_same_in_every_protocol(venue: LiveVenue) -> None:
    end_ns = (CLOCK.now_ns() - 3 * DAY_NS) // DAY_NS * DAY_NS
    told = []
    for protocol in PROTOCOLS:
        async with adapters(protocol, venue.line) as offer:
            found = await offer.history.bars([a_coin()], Interval.ONE_MINUTE, end_ns - 3 * MINUTE_NS, end_ns, 10)
            told.append([(bar.timestamp_ns, *bar[3:7]) for bar in found["BTC-USDT"]])

    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 3


async def test_many_bars_are_read_through_without_hole_or_double_up_to_the_limit(offer: Adapters) -> None:
    end_ns = CLOCK.now_ns() - 3 * DAY_NS

    found = await offer.history.bars([a_coin()], Interval.ONE_MINUTE, end_ns - 2 * DAY_NS, end_ns, 2_500)

    starts = [bar.timestamp_ns for bar in found["BTC-USDT"]]
    assert len(starts) == 2_500
    assert {after - before for before, after in pairwise(starts)} == {MINUTE_NS}


async def test_a_range_without_bars_is_empty(offer: Adapters) -> None:
    assert await offer.history.bars([a_coin()], Interval.ONE_DAY, 0, DAY_NS, 100) == {}


async def test_a_listed_coin_is_described_and_another_one_is_none(offer: Adapters) -> None:
    asset = await offer.assets.asset(a_coin())

    assert asset is not None
    assert (asset.spelling, asset.asset_class, asset.tradable) == (
        a_coin().venue_symbol(offer.protocol),
        CRYPTO,
        True,
    )
    assert await offer.assets.asset(a_coin("NOPE")) is None


async def test_shares_are_listed_where_there_are_any(offer: Adapters) -> None:
    assert (await offer.assets.asset(a_share()) is not None) == (offer.protocol in SHARES)


def with_wrong_key(line: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    wrong = {"key": "wrong", "secret": "wrong"}
    return {protocol: {**where, **wrong} for protocol, where in line.items() if where}


@pytest.mark.parametrize("protocol", SHARES)
async def test_a_wrong_key_is_refused_for_good(venue: LiveVenue, protocol: str) -> None:
    async with adapters(protocol, with_wrong_key(venue.line)) as offer:
        with pytest.raises(FeedRefused, match=r"402|auth"):
            async with offer.feed(EQUITY).open([a_share()]):
                pass
        with pytest.raises(FeedRefused, match="401"):
            await offer.assets.asset(a_share())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_venue_that_is_not_there_is_a_loss(venue: LiveVenue, protocol: str) -> None:
    nowhere = {name: {**where, "stream": "ws://127.0.0.1:9", "crypto_stream": "ws://127.0.0.1:9"}
               for name, where in venue.line.items() if where}  # fmt: skip
    async with adapters(protocol, nowhere) as offer:
        with pytest.raises(FeedLost):
            async with offer.feed(CRYPTO).open([a_coin()]):
                pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_rest_that_does_not_answer_is_unavailable(venue: LiveVenue, protocol: str) -> None:
    nowhere = {name: {**where, "rest": "http://127.0.0.1:9"} for name, where in venue.line.items() if where}
    async with adapters(protocol, nowhere) as offer:
        with pytest.raises(TradingError, match="does not answer"):
            await offer.assets.asset(a_coin())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_venue_that_dies_loses_the_session(protocol: str) -> None:
    with live_venue("--quote-rate", "50") as mortal:
        async with adapters(protocol, mortal.line) as offer, offer.feed(CRYPTO).open([a_coin()]) as session:
            while not await session.read():
                pass
            mortal.process.kill()
            with pytest.raises(FeedLost):
                await _read_on(session)

            assert session.drain().count > 0


async def _read_on(session: FeedSession) -> None:
    while True:
        await session.read()


async def test_a_binance_connection_is_changed_before_its_end_without_loss_or_double(venue: LiveVenue) -> None:
    rollover = Rollover(life_s=0.5, overlap_s=0.2)
    async with adapters("binance", venue.line, rollover=rollover) as offer, _opened(offer) as session:
        ids = await _ids_of(session, 2.5)  # three changes

    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def _ids_of(session: FeedSession, seconds: float) -> list[int]:
    began_ns, ids = CLOCK.monotonic_ns(), []
    while CLOCK.monotonic_ns() - began_ns < seconds * 10**9:
        await session.read()
        ids += [int(name) for block in session.drain().trades for name in block.trade_ids]
    return ids


async def test_quotes_by_depth_are_the_bests_of_books_kept_here_with_the_venue_s_time(venue: LiveVenue) -> None:
    async with adapters("binance", venue.line, by_depth=True) as offer, _opened(offer) as session:
        found = await read(session, trades=60)

    blocks = [block for block in found[QuoteBlock]["BTC-USDT"] if isinstance(block, QuoteBlock)]
    assert sum(map(len, blocks)) >= 5
    for block in blocks:
        assert (block.bid_nanos < block.ask_nanos).all()
        assert (block.bid_size_nanos > 0).all()
        assert (block.event_time_ns % 1_000 == 0).all()  # told by the venue, in microseconds


@pytest.mark.slow
async def test_a_binance_venue_that_announces_its_end_is_left_in_time() -> None:
    with live_venue("--trade-rate", "20", "--socket-life-s", "3") as brief:
        rollover = Rollover(overlap_s=0.1)
        async with adapters("binance", brief.line, rollover=rollover) as offer, _opened(offer) as session:
            ids = await _ids_of(session, 5.0)

    assert ids == list(range(ids[0], ids[0] + len(ids)))


def _opened(offer: Adapters) -> AbstractAsyncContextManager[FeedSession]:
    return offer.feed(CRYPTO).open([a_coin()])
