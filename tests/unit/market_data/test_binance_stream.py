"""What the Binance adapter makes of a venue that answers, refuses, ends and speaks oddly; on real sockets."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from builders.market import a_coin
from websockets.asyncio.server import ServerConnection, serve

from services.market_data.adapters.binance_rest import BinanceRest
from services.market_data.adapters.binance_stream import BinanceFeed, Rollover
from services.market_data.adapters.venue_socket import StreamLimits
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.ports import FeedSession
from trading.clock import SystemClock
from trading.money import ONE

Script = Callable[[ServerConnection], Awaitable[None]]
CLOCK = SystemClock()
AHEAD_NS = 3_600 * ONE


def trade(number: int, **changed: Any) -> dict[str, Any]:
    data = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": number, "p": "3011.42000000", "q": "0.25000000",
            "T": 1_767_366_000_122_000, "m": False, "M": True}  # fmt: skip
    return {"stream": "btcusdt@trade", "data": data | changed}


def ticker(number: int) -> dict[str, Any]:
    data = {"u": number, "s": "BTCUSDT", "b": "9.99000000", "B": "1.00000000", "a": "10.01000000", "A": "2.00000000"}
    return {"stream": "btcusdt@bookTicker", "data": data}


def depth(first: int, last: int, bid: str, size: str = "1.0") -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1_767_366_000_122_000, "s": "BTCUSDT", "U": first, "u": last,
            "b": [[bid, size]], "a": [["99.0", "2.0"]]}  # fmt: skip
    return {"stream": "btcusdt@depth@100ms", "data": data}


async def accept(socket: ServerConnection) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(await socket.recv())
    await socket.send(json.dumps({"result": None, "id": asked["id"]}))
    return asked


def saying(*frames: Any) -> Script:
    async def script(socket: ServerConnection) -> None:
        await accept(socket)
        for frame in frames:
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
        await socket.wait_closed()

    return script


def rest(*snapshots: int) -> BinanceRest:
    """A REST API whose clock is an hour ahead, and which has these books one after the other."""
    numbers = iter(snapshots)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/time"):
            return httpx.Response(200, json={"serverTime": (CLOCK.now_ns() + AHEAD_NS) // 1_000})
        book = {"lastUpdateId": next(numbers), "bids": [["9.0", "1.0"]], "asks": [["99.0", "2.0"]]}
        return httpx.Response(200, json=book)

    client = httpx.AsyncClient(base_url="http://venue", transport=httpx.MockTransport(answer))
    return BinanceRest(client, CLOCK, weight_most=6_000)


@asynccontextmanager
async def venue(
    script: Script,
    *,
    rollover: Rollover | None = None,
    patience_s: float = 10.0,
    snapshots: tuple[int, ...] = (),
    by_depth: bool = False,
) -> AsyncIterator[BinanceFeed]:
    async with serve(script, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        limits = StreamLimits(open_timeout_s=patience_s)
        url = f"ws://127.0.0.1:{port}"
        yield BinanceFeed(
            "binance", url, rest(*snapshots), CLOCK, limits, rollover or Rollover(), by_depth=by_depth
        )  # fmt: skip


async def test_we_subscribe_to_trades_and_bests_of_every_symbol_in_microseconds() -> None:
    heard: list[Any] = []

    async def script(socket: ServerConnection) -> None:
        assert socket.request is not None
        heard.append(socket.request.path)
        heard.append(await accept(socket))
        await socket.wait_closed()

    async with venue(script) as feed, feed.open([a_coin("BTC"), a_coin("ETH")]):
        pass

    names = ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker"]
    assert heard == ["/stream?timeUnit=MICROSECOND", {"method": "SUBSCRIBE", "params": names, "id": 1}]


async def test_amounts_are_read_exactly_from_their_texts() -> None:
    frames = [trade(1, p="61978.47000001", q="0.00000001"), trade(2, p="9007199.254740993", m=True), ticker(5)]
    async with venue(saying(*frames)) as feed, feed.open([a_coin()]) as session:
        for _ in frames:
            await session.read()
        ticks = session.drain()

    (block,), (quotes,) = ticks.trades, ticks.quotes
    assert block.price_nanos.tolist() == [61_978_470_000_010, 9_007_199_254_740_993]
    assert block.size_nanos.tolist() == [10, ONE // 4]
    assert (block.trade_ids, block.side_sign.tolist()) == (("1", "2"), [1, -1])
    assert block.event_time_ns.tolist() == [1_767_366_000_122_000_000] * 2
    assert (quotes.bid_nanos.tolist(), quotes.ask_size_nanos.tolist()) == ([9_990_000_000], [2 * ONE])


async def test_a_quote_without_a_time_gets_the_venue_s_time_of_its_receipt() -> None:
    async with venue(saying(ticker(1))) as feed, feed.open([a_coin()]) as session:
        await session.read()
        (quotes,) = session.drain().quotes

    assert abs(int(quotes.event_time_ns[0]) - int(quotes.receive_time_ns[0]) - AHEAD_NS) < ONE


async def test_milliseconds_of_a_server_that_knows_nothing_else_are_understood() -> None:
    async with venue(saying(trade(1, T=1_767_366_000_122))) as feed, feed.open([a_coin()]) as session:
        await session.read()

        assert session.drain().trades[0].event_time_ns.tolist() == [1_767_366_000_122_000_000]


@pytest.mark.parametrize(
    "answer",
    [{"code": 2, "msg": "Invalid request", "id": 1}, {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}],
)
async def test_a_subscription_that_is_refused_is_refused_for_good(answer: dict[str, Any]) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps(answer))

    async with venue(script) as feed:
        with pytest.raises(FeedRefused, match="2 Invalid request"):
            async with feed.open([a_coin()]):
                pass


async def test_a_venue_that_hangs_up_or_never_answers_or_speaks_garbage_is_a_loss() -> None:
    async def hangs_up(socket: ServerConnection) -> None:
        await socket.close(1008, "policy")

    async def waits(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def babbles(socket: ServerConnection) -> None:
        await socket.send("{")
        await socket.wait_closed()

    for script, patience_s, says in ((hangs_up, 10.0, "policy"), (waits, 0.2, "in time"), (babbles, 10.0, "be read")):
        async with venue(script, patience_s=patience_s) as feed:
            with pytest.raises(FeedLost, match=says):
                async with feed.open([a_coin()]):
                    pass


async def test_ticks_before_the_answer_are_not_lost() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps(trade(7)))
        await accept(socket)
        await socket.wait_closed()

    async with venue(script) as feed, feed.open([a_coin()]) as session:
        assert await session.read() == 1


@pytest.mark.parametrize(
    ("frame", "ticks", "refused"),
    [
        ("{", 0, 1),
        ("[]", 0, 1),
        (trade(1, p="dear"), 0, 1),
        (trade(1, t="x"), 0, 1),
        (trade(1, p="-1"), 0, 1),
        (trade(1, s="DOGEUSDT"), 0, 1),
        (trade(1, T=-1), 0, 1),
        ({"stream": "btcusdt@kline_1m", "data": {}}, 0, 0),
        ({"result": None, "id": 9}, 0, 0),
    ],
)
async def test_what_cannot_be_read_is_counted_and_harmless(frame: Any, ticks: int, refused: int) -> None:
    async with venue(saying(frame, trade(2))) as feed, feed.open([a_coin()]) as session:
        await session.read()
        await session.read()
        found = session.drain()

    assert (found.count - 1, found.refused) == (ticks, refused)


async def test_an_error_among_ticks_is_a_loss() -> None:
    async with venue(saying({"code": 3, "msg": "Invalid JSON", "id": None})) as feed, feed.open([a_coin()]) as session:
        with pytest.raises(FeedLost, match="3 Invalid JSON"):
            await session.read()


async def test_more_symbols_than_a_connection_carries_are_refused() -> None:
    async with venue(saying()) as feed:
        with pytest.raises(FeedRefused, match="512 symbols"):
            async with feed.open([a_coin(f"C{number}") for number in range(513)]):
                pass


async def test_many_streams_are_asked_for_no_faster_than_the_venue_takes_messages() -> None:
    asked: list[tuple[float, int]] = []

    async def script(socket: ServerConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            asked.append((asyncio.get_running_loop().time(), len(message["params"])))
            await socket.send(json.dumps({"result": None, "id": message["id"]}))

    async with venue(script) as feed, feed.open([a_coin(f"C{number}") for number in range(250)]):
        pass

    assert [count for _, count in asked] == [200, 200, 100]
    assert asked[2][0] - asked[0][0] >= 0.4


class Halls:
    """A venue that tells the first customers that their connection will end, and counts them."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.customers = 0
        self._breaks = breaks
        self._second = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        self.customers += 1
        if self.customers == 2 and self._breaks:
            await socket.close(1013, "try later")
            return
        await accept(socket)
        if self.customers == 1:
            await socket.send(json.dumps(trade(1)))
            await socket.send(json.dumps({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}))
            await self._second.wait()
            await socket.send(json.dumps(trade(2)))
            await socket.send(json.dumps(ticker(5)))
        else:
            self._second.set()
            for frame in (trade(2), ticker(5), trade(3), ticker(6)):
                await socket.send(json.dumps(frame))
        await socket.wait_closed()


async def test_an_announced_end_is_left_before_it_comes_and_nothing_is_told_twice() -> None:
    halls = Halls()
    async with venue(halls, rollover=Rollover(overlap_s=0.2)) as feed, feed.open([a_coin()]) as session:
        while await session.read() < 5:
            pass
        ticks = session.drain()

    assert (ticks.trades[0].trade_ids, len(ticks.quotes[0]), halls.customers) == (("1", "2", "3"), 2, 2)


async def test_a_connection_that_ends_although_no_new_one_could_be_had_is_lost() -> None:
    halls = Halls(breaks=True)

    async def end(socket: ServerConnection) -> None:
        await asyncio.wait([asyncio.ensure_future(halls(socket))], timeout=0.3)

    async with venue(end) as feed, feed.open([a_coin()]) as session:
        with pytest.raises(FeedLost, match="connection ended"):
            await _read_on(session)


async def _read_on(session: FeedSession) -> None:
    while True:
        await session.read()


async def test_a_book_with_a_hole_is_built_again_and_only_a_new_best_is_a_quote() -> None:
    frames = [depth(11, 12, "10.0"), depth(13, 13, "9.5"), depth(20, 21, "12.0"), depth(22, 22, "13.0")]

    async def script(socket: ServerConnection) -> None:
        assert (await accept(socket))["params"] == ["btcusdt@trade", "btcusdt@depth@100ms"]
        for frame in frames:
            await socket.send(json.dumps(frame))
            await asyncio.sleep(0.1)  # the venue's own pace
        for number in itertools.count(23):
            await socket.send(json.dumps(depth(number, number, "14.0")))
            await asyncio.sleep(0.02)

    quotes: list[tuple[int, int]] = []
    async with venue(script, snapshots=(10, 21), by_depth=True) as feed, feed.open([a_coin()]) as session:
        while not quotes or quotes[-1][0] < 14 * ONE:
            await session.read()
            for block in session.drain().quotes:
                quotes += zip(block.bid_nanos.tolist(), block.event_time_ns.tolist(), strict=True)

    bids = [bid for bid, _ in quotes]
    assert bids == sorted(set(bids))  # a change that moves no best is no quote
    assert {time for _, time in quotes} == {1_767_366_000_122_000_000}
