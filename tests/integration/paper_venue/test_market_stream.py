"""The market-data stream, word by word, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from builders.paper_venue import until
from servers import SHARED_DATA
from websockets.asyncio.client import ClientConnection, connect

Message = dict[str, Any]


@asynccontextmanager
async def connected(venue: Any, stream: str = "stream", **headers: str) -> AsyncIterator[ClientConnection]:
    """A connection that has been greeted."""
    async with connect(
        venue.alpaca[stream], additional_headers=headers, proxy=None, compression=None, max_size=None, max_queue=4
    ) as socket:
        assert await hear(socket) == [{"T": "success", "msg": "connected"}]
        yield socket


@asynccontextmanager
async def authenticated(venue: Any, stream: str = "stream") -> AsyncIterator[ClientConnection]:
    """A connection of the customer."""
    async with connected(venue, stream) as socket:
        await say(socket, action="auth", key=venue.alpaca["key"], secret=venue.alpaca["secret"])
        assert await hear(socket) == [{"T": "success", "msg": "authenticated"}]
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> list[Message]:
    heard: list[Message] = msgspec.json.decode(await asyncio.wait_for(socket.recv(), 60))
    return heard


async def hear_first(socket: ClientConnection, kind: str) -> Message:
    """The first message of a type, whatever comes before it."""
    while True:
        for message in await hear(socket):
            if message["T"] == kind:
                return message


async def test_a_wrong_key_is_told_and_cut_off(venue: Any) -> None:
    async with connected(venue) as socket:
        await say(socket, action="auth", key="wrong", secret="wrong")
        assert await hear(socket) == [{"T": "error", "code": 402, "msg": "auth failed"}]
        await asyncio.wait_for(socket.wait_closed(), 60)


async def test_headers_authenticate_unasked(venue: Any) -> None:
    async with connected(venue, **venue.headers) as socket:
        assert await hear(socket) == [{"T": "success", "msg": "authenticated"}]


async def test_nothing_is_served_before_authentication(venue: Any) -> None:
    async with connected(venue) as socket:
        await say(socket, action="subscribe", quotes=["AAPL"])
        assert await hear(socket) == [{"T": "error", "code": 401, "msg": "not authenticated"}]


async def test_silence_is_cut_off(open_venue: Any) -> None:
    with open_venue("--auth-timeout-s", "0.2") as venue:
        async with connected(venue) as socket:
            assert await hear(socket) == [{"T": "error", "code": 404, "msg": "auth timeout"}]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("no json", 400),
        ("[1]", 400),
        ('{"action":"dance"}', 400),
        ('{"action":"subscribe","quotes":"AAPL"}', 400),
        ('{"action":"subscribe","quotes":[1]}', 400),
        ('{"action":"subscribe","gossip":["AAPL"]}', 410),
        ('{"action":"auth","key":"a","secret":"b"}', 403),
    ],
)
async def test_wrong_words_get_a_code_and_the_connection_stays(venue: Any, words: str, code: int) -> None:
    async with authenticated(venue) as socket:
        await socket.send(words)
        assert [message["code"] for message in await hear(socket)] == [code]
        await say(socket, action="subscribe", bars=["AAPL"])
        assert (await hear(socket))[0]["bars"] == ["AAPL"]


async def test_subscriptions_are_acknowledged_as_the_full_state(venue: Any) -> None:
    async with authenticated(venue) as socket:
        await say(socket, action="subscribe", trades=["NOPE1"], bars=["MSFT"], updatedBars=["MSFT"])
        first = await hear_first(socket, "subscription")
        await say(socket, action="unsubscribe", trades=["NOPE1"], updatedBars=["MSFT"])
        second = await hear_first(socket, "subscription")

    assert first == {
        "T": "subscription", "trades": ["NOPE1"], "quotes": [], "bars": ["MSFT"], "updatedBars": ["MSFT"],
        "dailyBars": [], "statuses": [], "lulds": [], "corrections": ["NOPE1"], "cancelErrors": ["NOPE1"],
    }  # fmt: skip
    assert (second["trades"], second["bars"], second["updatedBars"]) == ([], ["MSFT"], [])


async def test_a_message_in_many_frames_is_one_message(venue: Any) -> None:
    async with authenticated(venue) as socket:
        names = [f"SYMBOL{n}" for n in range(20_000)]
        words = json.dumps({"action": "subscribe", "bars": names})
        await socket.send(words[at : at + 32_768] for at in range(0, len(words), 32_768))
        assert (await hear_first(socket, "subscription"))["bars"] == names


async def test_quotes_and_trades_of_shares_have_alpacas_fields(venue: Any) -> None:
    async with authenticated(venue) as socket:
        await say(socket, action="subscribe", quotes=["AAPL"], trades=["AAPL"])
        quote, trade = await hear_first(socket, "q"), await hear_first(socket, "t")

    assert list(quote) == ["T", "S", "bx", "bp", "bs", "ax", "ap", "as", "c", "z", "t"]
    assert list(trade) == ["T", "S", "i", "x", "p", "s", "c", "z", "t"]
    assert quote["S"] == trade["S"] == "AAPL"
    assert quote["bp"] < quote["ap"]
    assert quote["t"].endswith("Z")


async def test_coins_are_spelt_with_a_slash(venue: Any) -> None:
    async with authenticated(venue, "crypto_stream") as socket:
        await say(socket, action="subscribe", quotes=["BTC/USD"], trades=["*"])
        quote, trade = await hear_first(socket, "q"), await hear_first(socket, "t")

    assert list(quote) == ["T", "S", "bp", "bs", "ap", "as", "t"]
    assert quote["S"] == "BTC/USD"
    assert trade["S"] in ("BTC/USD", "ETH/USD")
    assert trade["tks"] in ("B", "S")


async def test_only_what_was_asked_for_comes(venue: Any) -> None:
    async with authenticated(venue) as socket:
        await say(socket, action="subscribe", quotes=["MSFT"])
        await hear_first(socket, "subscription")
        heard = [message for _ in range(20) for message in await hear(socket)]

    assert {(message["T"], message["S"]) for message in heard} == {("q", "MSFT")}


async def test_msgpack_is_spoken_to_who_asks_for_it(venue: Any) -> None:
    headers = {"Content-Type": "application/msgpack", **venue.headers}
    async with connect(venue.alpaca["stream"], additional_headers=headers, proxy=None) as socket:
        assert msgspec.msgpack.decode(await socket.recv()) == [{"T": "success", "msg": "connected"}]
        assert msgspec.msgpack.decode(await socket.recv()) == [{"T": "success", "msg": "authenticated"}]
        await socket.send(msgspec.msgpack.encode({"action": "subscribe", "quotes": ["AAPL"]}))
        assert msgspec.msgpack.decode(await socket.recv())[0]["quotes"] == ["AAPL"]
        quote = msgspec.msgpack.decode(await asyncio.wait_for(socket.recv(), 60))[0]

    assert quote["t"].tzinfo is not None


async def test_a_newcomer_beyond_the_limit_is_refused(open_venue: Any) -> None:
    with open_venue("--connections", "1") as venue:
        async with authenticated(venue), connect(venue.alpaca["stream"], proxy=None) as second:
            assert (await hear(second))[0]["code"] == 406


@pytest.mark.slow
async def test_a_slow_customer_of_a_live_market_is_told_and_dropped(open_venue: Any) -> None:
    with open_venue("--quote-rate", "5000", "--outbox-frames", "2", "--symbols", "AAPL,MSFT,NVDA,TSLA") as venue:
        async with authenticated(venue) as socket:
            await say(socket, action="subscribe", quotes=["*"])
            await until(lambda: venue.stats()["connections"] == 0, "the slow customer to be dropped", 60)
        assert venue.stats()["said"]["quotes"]["AAPL"] > venue.stats()["sent"]["quotes"]["AAPL"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three minutes of quotes and trades of BAC, a tick every millisecond or none."""
    times = [1_381_152_600_000_000_000 + n * 2_000_000 for n in range(90_000)]
    prices = [10 + (n % 50) / 100 for n in range(90_000)]
    quotes = {"timestamp_ns": times, "bid": prices, "bid_size": [300.0] * 90_000}
    file = tmp_path / "bac-quotes.parquet"
    pl.DataFrame(quotes | {"ask": [price + 0.02 for price in prices], "ask_size": [200.0] * 90_000}).write_parquet(file)
    return file


async def receive_all(socket: ClientConnection, count: int) -> list[Message]:
    """The next `count` quotes."""
    heard: list[Message] = []
    while len(heard) < count:
        heard += [message for message in await hear(socket) if message["T"] == "q"]
    return heard


async def test_a_replay_starts_with_its_first_subscriber_and_loses_nothing(open_venue: Any, recording: Path) -> None:
    with open_venue("--market", str(recording), "--speed", "max") as venue:
        assert venue.stats()["replay"] == {"state": "waiting", "position": 0, "total": 90_000}
        async with authenticated(venue) as socket:
            await say(socket, action="subscribe", quotes=["AAPL"])
            await hear_first(socket, "subscription")
            assert venue.stats()["replay"]["state"] == "waiting"
            await say(socket, action="subscribe", quotes=["BAC"], bars=["BAC"], dailyBars=["BAC"])
            heard = await receive_all(socket, 90_000)
            times = [message["t"] for message in heard]
            assert times[0] == "2013-10-07T13:30:00Z"
            assert times[-1] == "2013-10-07T13:32:59.998Z"
            assert [message["bp"] for message in heard[:3]] == [10.0, 10.01, 10.02]
            stats = venue.stats()
            assert stats["quotes_sent"] - stats["quotes_repeated"] == stats["said"]["quotes"]["BAC"] == 90_000
            assert (await receive_all(socket, 1))[0]["t"] == times[-1]
        bars = venue.get("/v2/stocks/bars", symbols="BAC", timeframe="1Min", start="2013-10-07T13:30:00Z")["bars"][
            "BAC"
        ]
        assert [bar["t"][11:16] for bar in bars] == ["13:30", "13:31", "13:32"]


async def test_a_customer_who_does_not_read_holds_the_replay_up(open_venue: Any, recording: Path) -> None:
    with open_venue("--market", str(recording), "--speed", "max", "--outbox-frames", "2") as venue:
        async with authenticated(venue) as socket:
            await say(socket, action="subscribe", quotes=["BAC"])
            positions = [0, 1]

            def stands_still() -> bool:
                positions.append(venue.stats()["replay"]["position"])
                return 0 < positions[-1] == positions[-20:][0]

            await until(stands_still, "the replay to stand still")
            assert positions[-1] < 90_000
            assert len(await receive_all(socket, 90_000)) == 90_000


async def test_orders_are_answered_while_a_replay_runs_at_full_speed(open_venue: Any, recording: Path) -> None:
    body = {"symbol": "BAC", "qty": "5", "side": "buy", "type": "market", "time_in_force": "ioc"}
    with open_venue("--market", str(recording), "--speed", "max", "--loop") as venue:
        async with authenticated(venue) as socket:
            await say(socket, action="subscribe", quotes=["BAC"])
            reader = asyncio.create_task(receive_all(socket, 10**9))
            await until(lambda: venue.stats()["replay"]["position"] > 1_000, "the replay to run")
            order = await asyncio.to_thread(venue.call, "POST", "/v2/orders", json=body)
            reader.cancel()
        filled = venue.get(f"/v2/orders/{order.json()['id']}")

    assert filled["status"] == "filled"
    assert 10.02 <= float(filled["filled_avg_price"]) <= 10.52


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.exists(), reason="The real data is not beside this checkout.")
async def test_a_whole_real_day_arrives_without_loss(open_venue: Any) -> None:
    with open_venue("--market", str(SHARED_DATA / "bac-quotes-2013-10-07.parquet"), "--speed", "max") as venue:
        async with authenticated(venue) as socket:
            await say(socket, action="subscribe", quotes=["BAC"])
            received = 0
            while received < 476_854:
                received += sum(message["T"] == "q" for message in await hear(socket))
            stats = venue.stats()

    assert received - stats["quotes_repeated"] <= 476_854
    assert stats["sent"]["quotes"]["BAC"] - stats["quotes_repeated"] == 476_854
