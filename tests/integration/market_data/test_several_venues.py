"""One service on several venues at a time: each with its own loops, counts and subjects; one answers for a symbol."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import nats
import pytest
from builders.live_venue import LiveVenue, MarketData, live_venue, market_data
from waiting import until

from fleet import channels, subjects
from fleet.blocks import decode_trades
from neuraltrader.market_data.v1 import market_data_pb2 as market_pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from trading.clock import DAY_NS, SystemClock

VENUES = ("binance", "polygon", "paper")


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "30", "--trade-rate", "10") as running:
        yield running


@pytest.fixture(scope="module")
def service(venue: LiveVenue, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketData]:
    env = {
        **venue.settings,
        "NATS_URL": nats_url,
        "NT_SYMBOLS": "AAPL,BTC-USDT,NOPE",
        "NT_MARKET_DATA_VENUES": ",".join(VENUES),
    }
    with market_data(tmp_path_factory.mktemp("market_data"), env) as running:
        running.wait_ready()
        yield running


@pytest.fixture
async def channel(service: MarketData) -> AsyncIterator[grpc.aio.Channel]:
    async with channels.connect(service.grpc, token=None, client="test", default_timeout_s=60) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.MarketDataServiceStub(channel)


async def test_each_venue_has_its_own_counts_and_state(stub: Any) -> None:
    async def all_trade() -> bool:
        answer = await stub.GetStats(pb.GetStatsRequest())
        return all(one.trades and one.quotes for one in answer.venues)

    await until(all_trade, "trades of every venue")
    venues = (await stub.GetStats(pb.GetStatsRequest())).venues

    assert [one.venue for one in venues] == list(VENUES)
    assert {one.state for one in venues} == {market_pb.VENUE_STATE_UP}
    assert {one.dropped for one in venues} == {0}


@pytest.mark.parametrize(("symbol", "owner"), [("BTC-USDT", "binance"), ("AAPL", "polygon")])
async def test_the_first_venue_that_carries_a_symbol_answers_for_it(stub: Any, symbol: str, owner: str) -> None:
    stream = stub.StreamQuotes(pb.StreamQuotesRequest(symbols=[symbol]), timeout=60)
    blocks = []
    async for answer in stream:
        blocks.append(answer.block)
        if len(blocks) == 5:
            break
    stream.cancel()
    quote = (await stub.GetQuote(pb.GetQuoteRequest(symbol=symbol))).quote
    days_ago_ns = SystemClock().now_ns() - 9 * DAY_NS
    question = pb.ListBarsRequest(symbols=[symbol], interval="1d", start_time_ns=days_ago_ns)
    bars = (await stub.ListBars(question)).bars

    assert {block.venue for block in blocks} == {owner}
    ends = [block.first_sequence + len(block.bid_nanos) // 8 for block in blocks]
    assert [block.first_sequence for block in blocks[1:]] == ends[:-1]
    assert (quote.venue, quote.stale) == (owner, False)
    assert {bar.venue for bar in bars} == {owner}


async def test_every_venue_publishes_under_its_own_subjects(service: MarketData, nats_url: str) -> None:
    heard: dict[str, list[str]] = {}

    async def hear(message: Any) -> None:
        found = decode_trades(message.data)
        heard.setdefault(message.subject, []).append(found.block.venue)

    client = await nats.connect(nats_url)
    try:
        await client.subscribe(subjects.TRADES_ALL, cb=hear)
        wanted = {subjects.trade(venue, "BTC-USDT") for venue in VENUES} | {
            subjects.trade(venue, "AAPL") for venue in VENUES if venue != "binance"
        }
        await until(lambda: wanted <= heard.keys(), "trades of every venue and symbol")
    finally:
        await client.close()

    for subject, venues in heard.items():
        assert set(venues) == {subject.split(".")[3]}
    assert subjects.trade("binance", "AAPL") not in heard


async def test_an_instrument_that_no_venue_lists_is_kept_and_not_tradable(stub: Any) -> None:
    found = (await stub.ListInstruments(pb.ListInstrumentsRequest())).instruments

    assert {one.symbol: one.tradable for one in found} == {"AAPL": True, "BTC-USDT": True, "NOPE": False}
