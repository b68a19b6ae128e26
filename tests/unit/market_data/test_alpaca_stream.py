"""What the stream adapter makes of a venue that greets oddly, refuses, errs or speaks JSON; on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgpack
import pytest
from builders.market import EQUITY, a_share, nanos
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from services.market_data.adapters.alpaca_key import AlpacaKey
from services.market_data.adapters.alpaca_stream import AlpacaFeed, StreamLimits
from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.sessions import Halt, PriceBands
from services.market_data.ports import FeedSession
from trading.clock import SystemClock
from trading.market import QuoteBlock

Script = Callable[[ServerConnection], Awaitable[None]]
Write = Callable[[Any], str | bytes]
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
SUBSCRIBED = [{"T": "subscription", "trades": ["AAPL"], "quotes": ["AAPL"], "bars": []}]
QUOTE = {"T": "q", "S": "AAPL", "bp": 1.5, "bs": 1, "ap": 1.6, "as": 1, "t": "2026-02-03T15:04:05Z"}


def an_error(code: int) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": "no"}]


@asynccontextmanager
async def venue(
    script: Script, *, refuse: HTTPStatus | None = None, patience_s: float = 10.0, halts: bool = False
) -> AsyncIterator[AlpacaFeed]:
    """A feed of a venue that follows a script with each customer."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        assert request.headers["Content-Type"] == "application/msgpack"
        return None if refuse is None else connection.respond(refuse, "")

    async with serve(script, "127.0.0.1", 0, process_request=answer, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        key = AlpacaKey("K", SecretStr("S"))
        limits = StreamLimits(open_timeout_s=patience_s, frame_bytes_most=10_000)
        yield AlpacaFeed("paper", EQUITY, f"ws://127.0.0.1:{port}/v2/iex", key, SystemClock(), limits, halts=halts)


def saying(*frames: Any, write: Write = json.dumps) -> Script:
    """Greets a customer and then says these frames; bytes and texts go out as they are."""

    async def script(socket: ServerConnection) -> None:
        await socket.send(write(CONNECTED))
        await socket.recv()
        await socket.send(write(AUTHENTICATED))
        await socket.recv()
        await socket.send(write(SUBSCRIBED))
        for frame in frames:
            await socket.send(frame if isinstance(frame, str | bytes) else write(frame))
        await socket.wait_closed()

    return script


@pytest.mark.parametrize(("write", "read"), [(json.dumps, json.loads), (msgpack.packb, msgpack.unpackb)])
async def test_we_log_in_and_subscribe_in_the_venue_s_own_codec(write: Write, read: Callable[[Any], Any]) -> None:
    heard = []

    async def script(socket: ServerConnection) -> None:
        for words in (CONNECTED, AUTHENTICATED, SUBSCRIBED):
            await socket.send(write(words))
            if words is not SUBSCRIBED:
                heard.append(read(await socket.recv()))
        await socket.send(write([QUOTE]))
        await socket.wait_closed()

    async with venue(script) as feed, feed.open([a_share()]) as session:
        assert await session.read() == 1
        assert session.drain().quotes[0].bid_nanos.tolist() == [1_500_000_000]

    assert heard == [
        {"action": "auth", "key": "K", "secret": "S"},
        {"action": "subscribe", "trades": ["AAPL"], "quotes": ["AAPL"]},
    ]


@pytest.mark.parametrize("code", [401, 402, 405, 409, 410, 411])
async def test_an_error_that_trying_again_cannot_mend_is_a_refusal(code: int) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps(CONNECTED))
        await socket.recv()
        await socket.send(json.dumps(an_error(code)))

    async with venue(script) as feed:
        with pytest.raises(FeedRefused, match=str(code)):
            async with feed.open([a_share()]):
                pass


@pytest.mark.parametrize("code", [404, 406, 407, 500])
async def test_an_error_that_may_pass_is_a_loss(code: int) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps(an_error(code)))

    async with venue(script) as feed:
        with pytest.raises(FeedLost, match=str(code)):
            async with feed.open([a_share()]):
                pass


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (HTTPStatus.UNAUTHORIZED, FeedRefused),
        (HTTPStatus.NOT_FOUND, FeedRefused),
        (HTTPStatus.TOO_MANY_REQUESTS, FeedLost),
        (HTTPStatus.BAD_GATEWAY, FeedLost),
    ],
)
async def test_the_answer_to_the_upgrade_decides(status: HTTPStatus, failure: type[Exception]) -> None:
    async with venue(saying(), refuse=status) as feed:
        with pytest.raises(failure, match=str(status.value)):
            async with feed.open([a_share()]):
                pass


async def test_a_venue_that_never_finishes_the_login_is_given_up() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(json.dumps(CONNECTED))
        await socket.wait_closed()

    async with venue(script, patience_s=0.2) as feed:
        with pytest.raises(FeedLost, match="in time"):
            async with feed.open([a_share()]):
                pass


@pytest.mark.parametrize("words", ["{", b"\xc1", '"hello"'])
async def test_a_greeting_that_is_none_is_a_loss(words: str | bytes) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(words)
        await socket.wait_closed()

    async with venue(script) as feed:
        with pytest.raises(FeedLost, match="could not be read"):
            async with feed.open([a_share()]):
                pass


async def test_a_venue_that_hangs_up_during_the_login_is_a_loss() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.close(1013, "try later")

    async with venue(script) as feed:
        with pytest.raises(FeedLost, match="try later"):
            async with feed.open([a_share()]):
                pass


async def test_garbage_between_ticks_is_counted_and_harmless() -> None:
    async with venue(saying([QUOTE], "{", b"\xc1", [], [QUOTE])) as feed, feed.open([a_share()]) as session:
        for _ in range(5):
            await session.read()
        ticks = session.drain()

    assert (ticks.count, ticks.refused) == (2, 2)


@pytest.mark.parametrize(("code", "failure"), [(407, FeedLost), (409, FeedRefused)])
async def test_an_error_among_ticks_ends_the_session_after_them(code: int, failure: type[Exception]) -> None:
    async with venue(saying([QUOTE, *an_error(code)])) as feed, feed.open([a_share()]) as session:
        with pytest.raises(failure, match=str(code)):
            await session.read()

        assert session.drain().count == 1


async def test_words_of_control_among_ticks_are_no_ticks() -> None:
    async with venue(saying([*SUBSCRIBED, QUOTE])) as feed, feed.open([a_share()]) as session:
        assert await session.read() == 1


async def test_a_frame_beyond_the_bound_ends_the_session() -> None:
    async with venue(saying("[" + " " * 20_000 + "]")) as feed, feed.open([a_share()]) as session:
        with pytest.raises(FeedLost, match="1009"):
            await session.read()


async def test_a_reader_who_waits_is_suspended_and_one_with_frames_at_hand_is_not() -> None:
    async with venue(saying([QUOTE], [QUOTE])) as feed, feed.open([a_share()]) as session:
        await session.read()
        reading = asyncio.create_task(session.read())
        assert await reading == 2
        waiting = asyncio.create_task(session.read())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        waiting.cancel()

    assert not done


NEWS = [
    {"T": "c", "S": "AAPL", "oi": 7, "op": 9.0, "os": 1, "ci": 8, "cp": 1.5, "cs": 3, "t": QUOTE["t"]},
    {"T": "x", "S": "AAPL", "i": 9, "p": 9.0, "s": 1, "a": "C", "t": QUOTE["t"]},
    {"T": "s", "S": "AAPL", "sc": "H", "sm": "Halted", "t": QUOTE["t"]},
    {"T": "s", "S": "AAPL", "sc": "Q", "sm": "Quotation resumes", "t": QUOTE["t"]},
    {"T": "s", "S": "AAPL", "sc": "T", "sm": "Resumed", "t": QUOTE["t"]},
    {"T": "l", "S": "AAPL", "u": 110.0, "d": 90.0, "i": "B", "t": QUOTE["t"]},
    {"T": "l", "S": "AAPL", "u": 0.0, "d": 0.0, "i": "B", "t": QUOTE["t"]},
    {"T": "x", "S": "STRANGER", "i": 9, "p": 9.0, "s": 1, "a": "C", "t": QUOTE["t"]},
]


async def test_corrections_halts_and_bands_come_beside_the_ticks() -> None:
    async with venue(saying([*NEWS, QUOTE])) as feed, feed.open([a_share()]) as session:
        assert await session.read() == 6
        ticks = session.drain()
        again = session.drain()

    assert ticks.news == (
        TradeCorrection("AAPL", "7", nanos(1.5), nanos(3), "8"),
        TradeCorrection("AAPL", "9"),
        Halt("AAPL", is_halted=True),
        Halt("AAPL", is_halted=False),
        PriceBands("AAPL", nanos(90), nanos(110)),
    )
    assert (ticks.count, ticks.refused, again.news) == (1, 0, ())


@pytest.mark.parametrize("halts", [True, False])
async def test_halts_are_asked_for_only_where_the_plan_carries_them(halts: bool) -> None:
    heard: list[dict[str, Any]] = []

    async def script(socket: ServerConnection) -> None:
        for words in (CONNECTED, AUTHENTICATED):
            await socket.send(json.dumps(words))
            heard.append(json.loads(await socket.recv()))
        await socket.send(json.dumps(SUBSCRIBED))
        await socket.wait_closed()

    async with venue(script, halts=halts) as feed, feed.open([a_share()]):
        pass

    assert ({"statuses", "lulds"} <= heard[1].keys()) is halts


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_message_in_fragments_is_read_as_one(as_text: bool) -> None:
    whole = json.dumps([QUOTE]) if as_text else msgpack.packb([QUOTE])
    pieces = [whole[:5], whole[5:9], whole[9:]]

    async def script(socket: ServerConnection) -> None:
        await saying(whole)(_Fragmenting(socket, whole, pieces))  # type: ignore[arg-type]  # all that a script uses

    async with venue(script) as feed, feed.open([a_share()]) as session:
        assert await session.read() == 1


async def test_fragments_beyond_the_bound_end_the_session() -> None:
    whole = "[" + " " * 20_000 + "]"
    pieces = [whole[at : at + 4_000] for at in range(0, len(whole), 4_000)]

    async def script(socket: ServerConnection) -> None:
        await saying(whole)(_Fragmenting(socket, whole, pieces))  # type: ignore[arg-type]  # all that a script uses

    async with venue(script) as feed, feed.open([a_share()]) as session:
        with pytest.raises(FeedLost, match="more than 10000 bytes"):
            await session.read()


class _Fragmenting:
    """A socket that sends one message in pieces."""

    def __init__(self, socket: ServerConnection, whole: str | bytes, pieces: list[Any]) -> None:
        self._socket, self._whole, self._pieces = socket, whole, pieces
        self.recv, self.wait_closed = socket.recv, socket.wait_closed

    async def send(self, message: str | bytes) -> None:
        await self._socket.send(self._pieces if message == self._whole else message)


async def test_what_breaks_while_a_quote_is_sent_on_at_once_is_raised_by_the_reader() -> None:
    may_speak = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        for words in (CONNECTED, AUTHENTICATED, SUBSCRIBED):
            await socket.send(json.dumps(words))
            if words is not SUBSCRIBED:
                await socket.recv()
        await may_speak.wait()
        await socket.send(json.dumps([QUOTE]))
        await socket.wait_closed()

    def fail(_: QuoteBlock) -> int | None:
        raise RuntimeError("a defect")

    async with venue(script) as feed, feed.open([a_share()]) as session:
        session.hand_over(fail)
        reading = asyncio.create_task(_read_on(session))
        await asyncio.sleep(0)  # it waits for the first frame
        may_speak.set()
        with pytest.raises(RuntimeError, match="a defect"):
            await reading


async def _read_on(session: FeedSession) -> None:
    while True:
        await session.read()
