"""What the Polygon adapter makes of a venue that greets, refuses, errs and speaks oddly; on real sockets."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from builders.market import CRYPTO, EQUITY, a_coin, a_share
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve

from services.market_data.adapters.polygon_stream import PolygonFeed
from services.market_data.adapters.venue_socket import StreamLimits
from services.market_data.domain.feed import FeedLost, FeedRefused
from trading.clock import SystemClock
from trading.instruments import AssetClass
from trading.money import ONE

Script = Callable[[ServerConnection], Awaitable[None]]
QUOTE = {"ev": "Q", "sym": "AAPL", "bp": 114.125, "bs": 3, "ap": 114.128, "as": 1, "t": 1_536_036_818_784, "c": 0}
TRADE = {"ev": "T", "sym": "AAPL", "i": "12345", "x": 4, "p": 114.125, "s": 100, "c": [0, 12], "t": 1_536_036_818_784}


def status(word: str, message: str = "") -> dict[str, str]:
    return {"ev": "status", "status": word, "message": message}


async def greet(socket: ServerConnection) -> list[dict[str, str]]:
    """The whole greeting; what the customer said."""
    heard = []
    await socket.send(json.dumps([status("connected", "Connected Successfully")]))
    heard.append(json.loads(await socket.recv()))
    await socket.send(json.dumps([status("auth_success", "authenticated")]))
    heard.append(json.loads(await socket.recv()))
    topics = heard[-1]["params"].split(",")
    await socket.send(json.dumps([status("success", f"subscribed to: {topic}") for topic in topics]))
    return heard


def saying(*frames: Any) -> Script:
    async def script(socket: ServerConnection) -> None:
        await greet(socket)
        for frame in frames:
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
        await socket.wait_closed()

    return script


@asynccontextmanager
async def venue(
    script: Script, asset_class: AssetClass = EQUITY, patience_s: float = 10.0
) -> AsyncIterator[PolygonFeed]:
    async with serve(script, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        limits = StreamLimits(open_timeout_s=patience_s)
        yield PolygonFeed("polygon", asset_class, f"ws://127.0.0.1:{port}", SecretStr("K"), SystemClock(), limits)


async def test_we_log_in_and_subscribe_to_trades_and_quotes() -> None:
    heard: list[Any] = []

    async def script(socket: ServerConnection) -> None:
        assert socket.request is not None
        heard.append(socket.request.path)
        heard.extend(await greet(socket))
        await socket.wait_closed()

    async with venue(script) as feed, feed.open([a_share("AAPL"), a_share("BRK.B")]):
        pass

    assert heard == [
        "/stocks",
        {"action": "auth", "params": "K"},
        {"action": "subscribe", "params": "T.AAPL,Q.AAPL,T.BRK.B,Q.BRK.B"},
    ]


async def test_coins_have_a_market_and_names_of_their_own() -> None:
    quote = {"ev": "XQ", "pair": "BTC-USD", "bp": 33052.79, "bs": 0.48, "ap": 33073.19, "as": 0.601, "t": 1, "x": 1}
    trades = [
        {
            "ev": "XT",
            "pair": "BTC-USD",
            "p": 33021.9,
            "t": 2,
            "s": 0.01616617,
            "c": [side],
            "i": 14272084 + side,
            "x": 3,
        }
        for side in (1, 2, 0)
    ]
    async with venue(saying([quote, *trades]), CRYPTO) as feed, feed.open([a_coin()]) as session:
        assert await session.read() == 4
        ticks = session.drain()

    (quotes,), (block,) = ticks.quotes, ticks.trades
    assert (quotes.symbol, quotes.bid_nanos.tolist(), quotes.ask_size_nanos.tolist()) == (
        "BTC-USDT", [33_052_790_000_000], [601_000_000],
    )  # fmt: skip
    assert block.side_sign.tolist() == [-1, 1, 0]
    assert block.size_nanos.tolist() == [16_166_170] * 3
    assert block.trade_ids == ("14272085", "14272086", "14272084")


async def test_sizes_of_quotes_are_in_shares_and_a_fraction_of_a_share_is_read_from_its_text() -> None:
    part = TRADE | {"i": "9", "s": 0, "ds": "0.25"}
    async with venue(saying([QUOTE, TRADE, part])) as feed, feed.open([a_share()]) as session:
        await session.read()
        ticks = session.drain()

    assert (ticks.quotes[0].bid_size_nanos.tolist(), ticks.quotes[0].ask_size_nanos.tolist()) == (
        [300 * ONE], [100 * ONE],
    )  # fmt: skip
    assert ticks.trades[0].size_nanos.tolist() == [100 * ONE, ONE // 4]
    assert ticks.trades[0].event_time_ns.tolist() == [1_536_036_818_784_000_000] * 2


@pytest.mark.parametrize(
    ("word", "failure"),
    [("auth_failed", FeedRefused), ("auth_timeout", FeedLost), ("max_connections", FeedLost)],
)
async def test_a_refused_login_says_what_the_venue_says(word: str, failure: type[Exception]) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps([status("connected")]))
        await socket.recv()
        await socket.send(json.dumps([status(word, "the reason")]))

    async with venue(script) as feed:
        with pytest.raises(failure, match=f"{word}: the reason"):
            async with feed.open([a_share()]):
                pass


async def test_a_channel_that_we_are_not_entitled_to_is_refused_for_good() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps([status("connected")]))
        await socket.recv()
        await socket.send(json.dumps([status("auth_success")]))
        await socket.recv()
        await socket.send(json.dumps([status("success"), status("error", "not authorized: Q.AAPL")]))

    async with venue(script) as feed:
        with pytest.raises(FeedRefused, match=r"not authorized: Q\.AAPL"):
            async with feed.open([a_share()]):
                pass


@pytest.mark.parametrize("words", ["{", '"hello"'])
async def test_a_greeting_that_is_none_is_a_loss(words: str) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(words)
        await socket.wait_closed()

    async with venue(script) as feed:
        with pytest.raises(FeedLost, match="could not be read"):
            async with feed.open([a_share()]):
                pass


async def test_a_venue_that_hangs_up_or_never_finishes_is_a_loss() -> None:
    async def hangs_up(socket: ServerConnection) -> None:
        await socket.close(1008, "policy")

    async def waits(socket: ServerConnection) -> None:
        await socket.wait_closed()

    for script, patience_s, says in ((hangs_up, 10.0, "policy"), (waits, 0.2, "in time")):
        async with venue(script, patience_s=patience_s) as feed:
            with pytest.raises(FeedLost, match=says):
                async with feed.open([a_share()]):
                    pass


async def test_ticks_among_the_acknowledgements_are_not_lost() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps([status("connected")]))
        await socket.recv()
        await socket.send(json.dumps([status("auth_success")]))
        await socket.recv()
        await socket.send(json.dumps([status("success"), TRADE]))
        await socket.send(json.dumps([QUOTE]))
        await socket.send(json.dumps([status("success")]))
        await socket.wait_closed()

    async with venue(script) as feed, feed.open([a_share()]) as session:
        assert [await session.read() for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("word", ["slow_consumer", "force_disconnect", "max_connections"])
async def test_an_end_among_ticks_is_a_loss_after_them(word: str) -> None:
    async with venue(saying([TRADE, status(word)])) as feed, feed.open([a_share()]) as session:
        with pytest.raises(FeedLost, match=word):
            await session.read()

        assert session.drain().count == 1


@pytest.mark.parametrize(
    ("frame", "ticks", "refused"),
    [
        ("{", 0, 1),
        ([{"ev": "AM", "sym": "AAPL"}, TRADE], 1, 0),
        ([TRADE | {"p": "dear"}, TRADE], 1, 1),
        ([TRADE | {"t": -1}, TRADE], 1, 1),
        ([TRADE | {"ds": "many"}, TRADE], 1, 1),
        ([TRADE | {"sym": "MSFT"}, TRADE], 1, 1),
        ([7, TRADE], 1, 1),
        ([status("success"), TRADE], 1, 0),
    ],
)
async def test_what_cannot_be_read_is_counted_and_harmless(frame: Any, ticks: int, refused: int) -> None:
    async with venue(saying(frame)) as feed, feed.open([a_share()]) as session:
        await session.read()
        found = session.drain()

    assert (found.count, found.refused) == (ticks, refused)


async def test_many_topics_are_asked_for_in_several_messages() -> None:
    sizes: list[int] = []

    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps([status("connected")]))
        await socket.recv()
        await socket.send(json.dumps([status("auth_success")]))
        async for text in socket:
            topics: Sequence[str] = json.loads(text)["params"].split(",")
            sizes.append(len(topics))
            await socket.send(json.dumps([status("success")] * len(topics)))

    async with venue(script) as feed, feed.open([a_share(f"S{number}") for number in range(600)]):
        pass

    assert sizes == [1_000, 200]
