"""What happens when the venue or NATS goes away: nothing is lost in silence, and everything comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest
from builders.live_venue import MarketData, live_venue, market_data
from builders.market import a_quote_block
from servers import SHARED_DATA, free_port, nats_server

from fleet import bus, channels
from fleet.blocks import SequencedQuotes, decode_quotes
from fleet.metrics import Metrics
from neuraltrader.market_data.v1 import market_data_pb2 as market_pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from services.market_data.adapters.nats_publisher import NatsPublisher
from trading.clock import SECOND_NS, ManualClock
from trading.errors import Unavailable

KEY = ("--key-id", "K", "--secret-key", "S")
LIVELY = ("--quote-rate", "50", "--trade-rate", "20")
RECORDING = SHARED_DATA / "bac-quotes-2013-10-07.parquet"
RECORDED_QUOTES = 476_854
PATIENCE_S = 60.0  # a busy machine starts processes slowly


async def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  another process makes it true
            await asyncio.sleep(0.01)


async def eventually_true(question: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await question():  # noqa: ASYNC110  another process makes it true
            await asyncio.sleep(0.01)


async def stats_of(service: MarketData) -> pb.VenueStats:
    async with channels.connect(service.grpc, token=None, client="test", default_timeout_s=60) as channel:
        (stats,) = (await pb_grpc.MarketDataServiceStub(channel).GetStats(pb.GetStatsRequest())).venues
    found: pb.VenueStats = stats
    return found


async def quote_of(service: MarketData, symbol: str) -> market_pb.Quote:
    async with channels.connect(service.grpc, token=None, client="test", default_timeout_s=60) as channel:
        answer = await pb_grpc.MarketDataServiceStub(channel).GetQuote(pb.GetQuoteRequest(symbol=symbol))
    found: market_pb.Quote = answer.quote
    return found


class Ear:
    """Everything that market_data says on NATS."""

    def __init__(self) -> None:
        self.quotes: list[SequencedQuotes] = []
        self.gaps: list[market_pb.Gap] = []
        self.states: list[str] = []

    @property
    def ticks(self) -> int:
        return sum(len(found.block) for found in self.quotes)

    async def hear(self, message: "nats.aio.msg.Msg") -> None:
        if message.subject.startswith("market_data.v1.quote."):
            self.quotes.append(decode_quotes(message.data))
        elif message.subject.startswith("market_data.v1.gap."):
            self.gaps.append(market_pb.Gap.FromString(message.data))
        elif message.subject.startswith("market_data.v1.venue."):
            self.states.append(message.subject.split(".")[3])


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Ear]:
    ear = Ear()
    client = await nats.connect(url)
    try:
        await client.subscribe("market_data.>", cb=ear.hear, pending_bytes_limit=2**30, pending_msgs_limit=2**20)
        await client.flush()
        yield ear
    finally:
        await client.close()


async def test_a_venue_that_dies_is_found_again_and_the_gap_is_told(own_nats_url: str, tmp_path: Path) -> None:
    flags = (*LIVELY, *KEY, "--port", str(free_port()))
    async with listening(own_nats_url) as ear:
        with live_venue(*flags) as first:
            env = {**first.settings, "NATS_URL": own_nats_url, "NT_SYMBOLS": "AAPL", "NT_RETRY_CAP_SECONDS": "1"}
            with market_data(tmp_path, env) as service:
                service.wait_ready()
                await until(lambda: ear.ticks > 0)
                first.process.kill()
                await until(lambda: ear.states[-1:] == ["down"])
                stale = await quote_of(service, "AAPL")
                ready_meanwhile = service.readiness()[0]
                before = ear.ticks
                with live_venue(*flags):
                    await until(lambda: ear.ticks > before)
                    stats = await stats_of(service)

    assert ear.states == ["up", "down", "up"]
    assert (stale.stale, ready_meanwhile, stats.reconnects) == (True, 200, 1)
    (gap,) = [gap for gap in ear.gaps if gap.reason.startswith("quotes")]
    first_ns, last_ns = int(ear.quotes[0].block.event_time_ns[0]), int(ear.quotes[-1].block.event_time_ns[-1])
    assert (gap.venue, gap.symbol) == ("paper", "AAPL")
    assert first_ns < gap.from_time_ns < gap.to_time_ns <= last_ns
    assert [found.first_sequence for found in ear.quotes] == _sequences(ear.quotes)


async def test_a_wrong_key_stops_the_feed_but_not_the_service(own_nats_url: str, tmp_path: Path) -> None:
    with live_venue(*LIVELY) as venue:
        env = {**venue.settings, "ALPACA_SECRET_KEY": "wrong", "NATS_URL": own_nats_url, "NT_SYMBOLS": "AAPL,BTC-USDT"}
        async with listening(own_nats_url) as ear:
            with market_data(tmp_path, env) as service:
                await until(lambda: ear.states == ["failed"])
                stats = await stats_of(service)
                await until(lambda: "401" in service.readiness()[1])
                status, said = service.readiness()

    assert stats.state == market_pb.VENUE_STATE_FAILED
    assert status == 503
    assert "stocks" in said
    assert "wrong" not in service.log.read_text()


async def test_a_venue_that_starts_later_is_waited_for(own_nats_url: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"127.0.0.1:{port}"
    env = {
        "NATS_URL": own_nats_url, "NT_SYMBOLS": "BTC-USDT", "ALPACA_KEY_ID": "K", "ALPACA_SECRET_KEY": "S",
        "ALPACA_TRADING_URL": f"http://{url}", "ALPACA_DATA_URL": f"http://{url}",
        "ALPACA_CRYPTO_STREAM_URL": f"ws://{url}/v1beta3/crypto/us", "NT_RETRY_CAP_SECONDS": "1",
    }  # fmt: skip
    async with listening(own_nats_url) as ear:
        with market_data(tmp_path, env) as service:
            await until(lambda: "does not answer" in service.readiness()[1])
            with live_venue(*LIVELY, *KEY, "--port", str(port)):
                await until(lambda: ear.ticks > 0)


async def test_while_nats_is_away_quotes_stay_fresh_and_drops_are_counted(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with live_venue(*LIVELY) as venue, ExitStack() as stack:
        with nats_server(tmp_path / "first", port) as url:
            env = {**venue.settings, "NATS_URL": url, "NT_SYMBOLS": "AAPL", "NT_NATS_PATIENCE_SECONDS": "0.2"}
            service = stack.enter_context(market_data(tmp_path, env))
            service.wait_ready()
        await eventually_true(lambda: _has_dropped(service))
        first = await quote_of(service, "AAPL")
        await eventually_true(lambda: _is_newer(service, first))
        with nats_server(tmp_path / "second", port) as url:
            async with listening(url) as ear:
                await until(lambda: len(ear.quotes) > 1)

    assert ear.quotes[0].first_sequence > 0


async def _has_dropped(service: MarketData) -> bool:
    return (await stats_of(service)).dropped > 0


async def _is_newer(service: MarketData, than: market_pb.Quote) -> bool:
    return (await quote_of(service, "AAPL")).receive_time_ns > than.receive_time_ns


async def test_a_publisher_waits_for_nats_as_long_as_its_patience_and_then_not_at_all(tmp_path: Path) -> None:
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        with nats_server(tmp_path) as url:
            connected = await stack.enter_async_context(bus.connect(url, "test", Metrics()))
            publisher = NatsPublisher(connected, "run", clock, patience_s=1.0)
            await publisher.quotes(a_quote_block((1, 2)), 0)
        await eventually_true(lambda: _is_away(connected))
        clock.advance(SECOND_NS)
        waiting = asyncio.create_task(publisher.quotes(a_quote_block((1, 2)), 1))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        while not waiting.done():
            clock.advance(SECOND_NS)
            await asyncio.sleep(0.01)
        assert isinstance(waiting.exception(), Unavailable)
        with pytest.raises(Unavailable):  # the clock stands still: what waits does so for ever
            await publisher.quotes(a_quote_block((1, 2)), 1)


async def _is_away(connected: bus.Bus) -> bool:
    try:
        await connected.check()
    except Unavailable:
        return True
    return False


@pytest.mark.slow
@pytest.mark.skipif(not RECORDING.exists(), reason="the recorded quotes are not on this machine")
async def test_every_quote_of_a_recorded_day_arrives_at_full_speed(own_nats_url: str, tmp_path: Path) -> None:
    with live_venue("--market", str(RECORDING), "--speed", "max") as venue:
        env = {**venue.settings, "NATS_URL": own_nats_url, "NT_SYMBOLS": "BAC"}
        async with listening(own_nats_url) as ear:
            with market_data(tmp_path, env) as service:
                await until(lambda: ear.ticks >= RECORDED_QUOTES, timeout_s=90)
                stats = await stats_of(service)

    times = [int(found.block.event_time_ns[-1]) for found in ear.quotes]
    assert times == sorted(times)
    assert [found.first_sequence for found in ear.quotes] == _sequences(ear.quotes)
    assert (stats.dropped, stats.reconnects) == (0, 0)
    assert stats.quotes >= RECORDED_QUOTES


def _sequences(quotes: list[SequencedQuotes]) -> list[int]:
    """The sequences that blocks without a hole between them have."""
    following = [quotes[0].first_sequence]
    for found in quotes[:-1]:
        following.append(following[-1] + len(found.block))
    return following
