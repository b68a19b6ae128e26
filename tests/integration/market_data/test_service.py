"""The service as its callers meet it: a real process beside a real venue and a real nats-server."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from builders.live_venue import LiveVenue, MarketData, live_venue, market_data
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fleet import channels
from neuraltrader.market_data.v1 import market_data_pb2 as market_pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from trading.clock import DAY_NS, MINUTE_NS, SystemClock
from trading.errors import Kind, TradingError
from trading.ids import new_id

SYMBOLS = ("AAPL", "BTC-USDT", "MSFT")


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


@pytest.fixture(scope="module")
def ring() -> str:
    return f"nt-test-{new_id()}"


@pytest.fixture(scope="module")
def service(
    venue: LiveVenue, nats_url: str, ring: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarketData]:
    env = {
        **venue.settings,
        "NATS_URL": nats_url,
        "NT_SYMBOLS": "AAPL,MSFT,btc/usd,NOPE",
        "NT_RING": ring,
        "NT_BARS": "1m,5m,1h,1d,tick-5",
    }
    with market_data(tmp_path_factory.mktemp("market_data"), env) as running:
        running.wait_ready()
        yield running


@pytest.fixture
async def channel(service: MarketData) -> AsyncIterator[grpc.aio.Channel]:
    async with channels.connect(service.grpc, token=None, client="test", default_timeout_s=60) as opened:
        yield opened


@pytest.fixture
async def stub(channel: grpc.aio.Channel) -> Any:
    stub = pb_grpc.MarketDataServiceStub(channel)
    await _wait_for_quotes(stub)
    return stub


async def _wait_for_quotes(stub: Any) -> None:
    """Until every symbol has a quote."""
    missing = set(SYMBOLS)
    stream = stub.StreamQuotes(pb.StreamQuotesRequest(), timeout=60)
    async for answer in stream:
        missing.discard(answer.block.symbol)
        if not missing:
            break
    stream.cancel()


async def refusal(call: object) -> TradingError:
    """The named error of a call that is refused."""
    with pytest.raises(TradingError) as refused:
        await call  # type: ignore[misc]
    return refused.value


@pytest.mark.parametrize("spelling", ["BTC-USDT", "btc/usd", "X:BTCUSD"])
async def test_any_spelling_gets_the_newest_quote(stub: Any, spelling: str) -> None:
    quote = (await stub.GetQuote(pb.GetQuoteRequest(symbol=spelling))).quote

    assert (quote.symbol, quote.venue, quote.stale) == ("BTC-USDT", "paper", False)
    assert 0 < quote.bid_nanos < quote.ask_nanos
    assert quote.receive_time_ns >= quote.event_time_ns > SystemClock().now_ns() - DAY_NS


async def test_a_stream_gives_the_newest_quotes_and_then_every_tick(stub: Any) -> None:
    stream = stub.StreamQuotes(pb.StreamQuotesRequest(symbols=["AAPL"]), timeout=60)
    blocks = []
    async for answer in stream:
        blocks.append(answer.block)
        if len(blocks) == 10:
            break
    stream.cancel()

    assert {block.symbol for block in blocks} == {"AAPL"}
    assert {block.feed_id for block in blocks} == {blocks[0].feed_id}
    ends = [block.first_sequence + len(block.bid_nanos) // 8 for block in blocks]
    assert [block.first_sequence for block in blocks[1:]] == ends[:-1]


async def test_a_stream_of_no_named_symbol_is_of_all(stub: Any) -> None:
    seen = set()
    stream = stub.StreamQuotes(pb.StreamQuotesRequest(), timeout=60)
    async for answer in stream:
        seen.add(answer.block.symbol)
        if seen == set(SYMBOLS):
            break
    stream.cancel()


@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "1d"])
async def test_pages_of_bars_make_up_the_whole_answer(stub: Any, interval: str) -> None:
    length_ns = {"1m": 1, "5m": 5, "1h": 60, "1d": 1440}[interval] * MINUTE_NS
    end_ns = SystemClock().now_ns() - 2 * DAY_NS
    question = pb.ListBarsRequest(
        symbols=["MSFT", "BTC/USD"], interval=interval, start_time_ns=end_ns - 8 * length_ns, end_time_ns=end_ns
    )
    whole = await stub.ListBars(question)

    question.page_size, pages = 3, []
    while not pages or question.cursor:
        page = await stub.ListBars(question)
        assert len(page.bars) <= 3
        pages.append(page)
        question.cursor = page.next_cursor

    assert [bar for page in pages for bar in page.bars] == list(whole.bars)
    assert whole.next_cursor == ""
    coins = [bar.timestamp_ns for bar in whole.bars if bar.symbol == "BTC-USDT"]
    assert [after - before for before, after in pairwise(coins)] == [length_ns] * (len(coins) - 1)
    assert len(coins) >= 7
    symbols = [bar.symbol for bar in whole.bars]
    assert symbols == sorted(symbols, reverse=True)


async def test_bars_up_to_now_need_no_times(stub: Any) -> None:
    bars = (await stub.ListBars(pb.ListBarsRequest(symbols=["BTC-USDT"]))).bars

    assert len(bars) == 1_000
    assert {bar.interval for bar in bars} == {"1m"}


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (pb.ListBarsRequest(), "symbols"),
        (pb.ListBarsRequest(symbols=["AAPL"], interval="7m"), "interval"),
        (pb.ListBarsRequest(symbols=["AAPL"], page_size=10_001), "page_size"),
        (pb.ListBarsRequest(symbols=["AAPL"], start_time_ns=5, end_time_ns=5), "start_time_ns"),
        (pb.ListBarsRequest(symbols=["AAPL"], cursor="garbage"), "cursor"),
        (pb.ListBarsRequest(symbols=["A" * 99]), "symbol"),
    ],
)
async def test_a_wrong_question_about_bars_is_refused_with_its_field(
    stub: Any, question: pb.ListBarsRequest, field: str
) -> None:
    refused = await refusal(stub.ListBars(question))

    assert (refused.kind, refused.metadata["field"]) == (Kind.INVALID_ARGUMENT, field)


async def test_strangers_and_unlisted_symbols_are_not_found(stub: Any) -> None:
    stranger = await refusal(stub.GetQuote(pb.GetQuoteRequest(symbol="TSLA")))
    unlisted = await refusal(stub.GetQuote(pb.GetQuoteRequest(symbol="NOPE")))
    unknown = await refusal(stub.GetInstrument(pb.GetInstrumentRequest(symbol="TSLA")))

    assert {stranger.reason, unlisted.reason, unknown.reason} == {"UNKNOWN_SYMBOL"}
    assert unlisted.message == "paper does not list NOPE."


async def test_instruments_are_sorted_and_say_what_the_venue_lists(stub: Any) -> None:
    found = (await stub.ListInstruments(pb.ListInstrumentsRequest())).instruments
    coin = (await stub.GetInstrument(pb.GetInstrumentRequest(symbol="BTCUSDT"))).instrument

    assert [(one.symbol, one.tradable) for one in found] == [
        ("AAPL", True),
        ("BTC-USDT", True),
        ("MSFT", True),
        ("NOPE", False),
    ]
    assert coin == found[1]
    assert (coin.asset_class, coin.currency, coin.venue_symbols["alpaca"]) == ("CRYPTO", "USD", "BTC/USD")


async def test_the_counters_count(stub: Any) -> None:
    (stats,) = (await stub.GetStats(pb.GetStatsRequest())).venues

    assert (stats.venue, stats.state) == ("paper", market_pb.VENUE_STATE_UP)
    assert (stats.dropped, stats.reconnects) == (0, 0)
    assert stats.quotes + stats.trades >= stats.blocks > 0


async def test_health_is_serving(channel: grpc.aio.Channel, stub: Any) -> None:
    name = pb.DESCRIPTOR.services_by_name["MarketDataService"].full_name

    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unlisted_symbol_is_an_error_in_the_log_and_no_reason_to_be_unready(service: MarketData) -> None:
    assert '"NOPE"' in service.log.read_text()
    assert service.readiness()[0] == 200


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"NT_VENUE": "nyse"}, "expected one of paper, alpaca"),
        ({"NT_MARKET_DATA_VENUES": "paper,alpaca"}, "expected each venue once"),
        ({"NT_SYMBOLS": "AA PL"}, "is no symbol"),
        ({"NT_SYMBOLS": ","}, "at least one symbol"),
        ({"NT_BLOCK_TICKS": "0"}, "NT_BLOCK_TICKS"),
    ],
)
def test_unusable_settings_end_it_with_one_line_and_code_two(env: dict[str, str], says: str, tmp_path: Path) -> None:
    with market_data(tmp_path, env) as refused:
        assert refused.process.wait(60) == 2

    said = refused.log.read_text()
    assert says in said
    assert len(said.strip().splitlines()) == 1


async def test_rolling_windows_follow_the_trades(stub: Any) -> None:
    found = await _until(lambda: stub.GetWindows(pb.GetWindowsRequest(symbol="btc/usd")), lambda it: not it.from_quotes)
    quote = (await stub.GetQuote(pb.GetQuoteRequest(symbol="BTC-USDT"))).quote
    by_name = {one.name: one for one in found.windows}

    assert found.symbol == "BTC-USDT"
    assert list(by_name) == ["vwap:5m", "ema:1m", "volatility:5m"]
    assert by_name["vwap:5m"].ticks >= 1
    assert by_name["vwap:5m"].value == pytest.approx(quote.bid_nanos / 1e9, rel=0.05)
    assert found.as_of_ns > SystemClock().now_ns() - DAY_NS


async def test_windows_of_a_stranger_are_not_found(stub: Any) -> None:
    assert (await refusal(stub.GetWindows(pb.GetWindowsRequest(symbol="TSLA")))).reason == "UNKNOWN_SYMBOL"


async def test_instruments_say_whether_they_can_be_traded_once_the_hours_are_known(stub: Any) -> None:
    bitcoin = (await stub.GetInstrument(pb.GetInstrumentRequest(symbol="BTCUSDT"))).instrument
    apple = await _until(
        lambda: stub.GetInstrument(pb.GetInstrumentRequest(symbol="aapl")), lambda it: it.instrument.session_open_ns
    )

    assert (bitcoin.symbol, bitcoin.trading_hours) == ("BTC-USDT", "24/7")
    assert bitcoin.session_state == market_pb.SESSION_STATE_OPEN
    share = apple.instrument
    assert share.trading_hours == "XNYS"
    assert 3 * 60 * MINUTE_NS <= share.session_close_ns - share.session_open_ns <= 7 * 60 * MINUTE_NS
    is_open = share.session_open_ns <= SystemClock().now_ns() < share.session_close_ns
    assert share.session_state == (market_pb.SESSION_STATE_OPEN if is_open else market_pb.SESSION_STATE_CLOSED)


async def test_bars_of_activity_are_those_of_this_run(stub: Any) -> None:
    question = pb.ListBarsRequest(symbols=["BTC-USDT"], interval="tick-5")
    answer = await _until(lambda: stub.ListBars(question), lambda it: len(it.bars) >= 3)
    question.page_size = 1
    page = await stub.ListBars(question)

    assert {(bar.interval, bar.trade_count) for bar in answer.bars} == {("tick-5", 5)}
    assert [bar.timestamp_ns for bar in page.bars] == [answer.bars[0].timestamp_ns]
    assert page.next_cursor
    refused = await refusal(stub.ListBars(pb.ListBarsRequest(symbols=["BTC-USDT"], interval="tick-7")))
    assert (refused.metadata["field"], "makes tick-5" in refused.message) == ("interval", True)


async def test_a_reader_on_this_host_sees_every_tick_in_the_ring(stub: Any, ring: str) -> None:
    """Another process reads the ring while this one follows the stream; both see the same numbers without a hole."""
    command = (sys.executable, "-m", "fleet.tick_ring", ring, "--silence", "2", "--seconds", "3")
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await child.communicate()
    counted = json.loads(said)

    assert counted["lost"] == counted["holes"] == 0
    assert {name.partition(".")[2] for name in counted["quotes"]} == set(SYMBOLS)
    assert all(count > 10 for count in counted["quotes"].values())


async def _until(ask: Callable[[], Awaitable[Any]], is_there: Callable[[Any], object]) -> Any:
    """Ask until the answer is as wanted."""
    async with asyncio.timeout(60):
        while not is_there(answer := await ask()):  # noqa: ASYNC110  the service offers no event to wait for
            await asyncio.sleep(0.05)
    return answer
