"""The user data stream, against a WebSocket API that speaks as the test says."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
from builders.canned_binance import TIME_US, CannedBinance, canned_binance
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidURI

from fleet.metrics import Metrics
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.binance_user_data import BinanceUserData, UserDataPatience
from services.execution.domain.venue import StreamOpened, VenueUpdate
from trading.order import OrderEventKind

NAME = "0" * 32
QUICK = UserDataPatience(
    connect_s=1,
    ping_s=5,
    close_s=0.05,
    silence_s=0.05,
    life_s=60,
    jitter_s=0.001,
    first_wait_s=0.005,
    longest_wait_s=0.01,
)
Story = Callable[[ServerConnection], Awaitable[None]]


def report(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An executionReport of an order that was taken."""
    amounts = dict.fromkeys("qpPlzLZn", "1.0")
    words = {"e": "executionReport", "s": "BTCUSDT", "c": NAME, "C": "", "S": "BUY", "o": "LIMIT", "f": "GTC"}
    given = {"x": "NEW", "X": "NEW", "r": "NONE", "i": number, "T": TIME_US, "t": number, "w": True, "m": False}
    return {**amounts, **words, **given, **changes}


async def say(socket: ServerConnection, event: Any, number: int = 0) -> None:
    """An event of a subscription."""
    await socket.send(json.dumps({"subscriptionId": number, "event": event}))


async def answer(socket: ServerConnection, method: str, result: Any, status: int = 200) -> dict[str, Any]:
    """Wait for a request and answer it; returns its parameters."""
    asked = json.loads(await socket.recv())
    assert asked["method"] == method
    told = {"result": result} if status == 200 else {"error": result}
    await socket.send(json.dumps({"id": asked["id"], "status": status, **told}))
    params: dict[str, Any] = asked["params"]
    return params


async def subscribe(socket: ServerConnection) -> None:
    """The usual opening with a secret."""
    params = await answer(socket, "userDataStream.subscribe.signature", {"subscriptionId": 0})
    payload = f"apiKey=k&timestamp={params['timestamp']}"
    assert params["signature"] == hmac.new(b"s", payload.encode(), hashlib.sha256).hexdigest()


def a_stream(url: str, venue: CannedBinance, secret: str = "s", patience: UserDataPatience = QUICK) -> BinanceUserData:
    """A stream of one key; the venue tells the time."""
    key = BinanceKey("k", SecretStr(secret))
    return BinanceUserData(url, key, venue.rest, structlog.get_logger(), Metrics(), patience)


@asynccontextmanager
async def living(
    *stories: Story, secret: str = "s", patience: UserDataPatience = QUICK
) -> AsyncIterator[BinanceUserData]:
    """Each connection lives the next story; the last one is lived again and again."""
    waiting = list(stories)

    async def live(socket: ServerConnection) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(socket)

    async with serve(live, "127.0.0.1", 0) as server, canned_binance() as venue:
        yield a_stream(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws-api/v3", venue, secret, patience)


async def heard(stream: BinanceUserData, count: int) -> list[VenueUpdate | StreamOpened]:
    """The first `count` things the stream tells."""
    found: list[VenueUpdate | StreamOpened] = []
    async with asyncio.timeout(60), aclosing(stream.updates()) as updates:
        async for update in updates:
            found.append(update)
            if len(found) == count:
                break
    return found


async def tell_one(socket: ServerConnection) -> None:
    await subscribe(socket)
    await say(socket, report())
    await keep_answering(socket)


async def keep_answering(socket: ServerConnection) -> None:
    """The subscription is there, says the venue whenever it is asked."""
    async for text in socket:
        assert json.loads(text)["method"] == "session.subscriptions"
        await socket.send(json.dumps({"id": "session.subscriptions", "status": 200, "result": [{"subscriptionId": 0}]}))


async def hang_up(socket: ServerConnection) -> None:
    await subscribe(socket)


async def refuse(socket: ServerConnection) -> None:
    await answer(socket, "userDataStream.subscribe.signature", {"code": -2015, "msg": "Invalid API-key."}, 401)


async def offer_nothing(socket: ServerConnection) -> None:
    await answer(socket, "userDataStream.subscribe.signature", [])


async def terminate(socket: ServerConnection) -> None:
    await subscribe(socket)
    await say(socket, {"e": "eventStreamTerminated", "E": 1})
    await socket.wait_closed()


async def fall_mute(socket: ServerConnection) -> None:
    """Pings are answered by the library; the venue itself says nothing more."""
    await subscribe(socket)
    await socket.wait_closed()


async def forget(socket: ServerConnection) -> None:
    """It answers, but has lost the subscription."""
    await subscribe(socket)
    await answer(socket, "session.subscriptions", [])
    await socket.wait_closed()


async def talk_nonsense(socket: ServerConnection) -> None:
    await subscribe(socket)
    await socket.send(b"no json")
    await socket.send("[]")
    await socket.send('{"event": 5}')
    await say(socket, {"e": "executionReport"})
    await say(socket, {"e": "balanceUpdate", "a": "BTC"})
    await say(socket, report())
    await keep_answering(socket)


async def test_the_opening_is_announced_before_the_first_update() -> None:
    """So that what was said before can be asked for."""
    async with living(tell_one) as stream:
        opened, update = await heard(stream, 2)
        assert isinstance(opened, StreamOpened)
        assert isinstance(update, VenueUpdate)
        assert update.kind is OrderEventKind.ACCEPTED


async def test_a_private_key_logs_the_connection_on() -> None:
    """Then nothing more is signed."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    async def log_on(socket: ServerConnection) -> None:
        assert set(await answer(socket, "session.logon", {"apiKey": "k"})) == {"apiKey", "timestamp", "signature"}
        assert await answer(socket, "userDataStream.subscribe", {"subscriptionId": 0}) == {}
        await say(socket, report())
        await keep_answering(socket)

    async with living(log_on, secret=pem) as stream:
        assert isinstance((await heard(stream, 2))[-1], VenueUpdate)


@pytest.mark.parametrize("trouble", [hang_up, refuse, offer_nothing, terminate, fall_mute, forget])
async def test_a_lost_stream_is_opened_again(trouble: Story) -> None:
    """And announced again: whether it was refused, ended, or has only fallen silent."""
    async with living(trouble, trouble, tell_one) as stream:
        found = await heard(stream, 2 if trouble in (refuse, offer_nothing) else 4)
        assert isinstance(found[-2], StreamOpened)
        assert isinstance(found[-1], VenueUpdate)


async def test_a_quiet_stream_that_still_answers_is_kept() -> None:
    """Nothing happens for many silences; then it does, on the same connection."""

    async def be_quiet(socket: ServerConnection) -> None:
        await subscribe(socket)
        for _ in range(3):
            await answer(socket, "session.subscriptions", [{"subscriptionId": 0}])
        await say(socket, report())
        await keep_answering(socket)

    async with living(be_quiet) as stream:
        assert [type(each) for each in await heard(stream, 2)] == [StreamOpened, VenueUpdate]


@pytest.mark.parametrize("is_told", [True, False])
async def test_the_next_connection_is_there_before_the_last_one_ends(is_told: bool) -> None:
    """Told that the venue shuts down, or after a life: what the old one still says is heard."""
    is_followed, has_spoken = asyncio.Event(), asyncio.Event()

    async def end(socket: ServerConnection) -> None:
        await subscribe(socket)
        await say(socket, report(1))
        if is_told:
            await socket.send('{"event": {"e": "serverShutdown", "E": 1}}')
        await is_followed.wait()
        await say(socket, report(2))
        has_spoken.set()
        await socket.wait_closed()

    async def follow(socket: ServerConnection) -> None:
        is_followed.set()
        await has_spoken.wait()
        await subscribe(socket)
        await say(socket, report(3))
        await keep_answering(socket)

    patience = replace(QUICK, life_s=60 if is_told else 0.2, silence_s=30)
    async with living(end, follow, patience=patience) as stream:
        found = await heard(stream, 5)
        told = [each.order.venue_order_id if isinstance(each, VenueUpdate) else "opened" for each in found]
        assert told == ["opened", "BTCUSDT:1", "BTCUSDT:2", "opened", "BTCUSDT:3"]


async def test_what_cannot_be_read_is_skipped() -> None:
    """The next update counts."""
    async with living(talk_nonsense) as stream:
        assert isinstance((await heard(stream, 2))[-1], VenueUpdate)


async def test_a_clock_that_went_wrong_is_set() -> None:
    """The next try is on time."""
    stamps = []

    async def be_late(socket: ServerConnection) -> None:
        method = "userDataStream.subscribe.signature"
        stamps.append((await answer(socket, method, {"code": -1021, "msg": "Timestamp"}, 400))["timestamp"])

    async def be_on_time(socket: ServerConnection) -> None:
        stamps.append((await answer(socket, "userDataStream.subscribe.signature", {"subscriptionId": 0}))["timestamp"])
        await keep_answering(socket)

    waiting: list[Story] = [be_late, be_on_time]

    async def live(socket: ServerConnection) -> None:
        await waiting.pop(0)(socket)

    async with serve(live, "127.0.0.1", 0) as server, canned_binance() as venue:
        await venue.rest.timestamp_ms()
        venue.time_us += 60_000_000
        await heard(a_stream(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", venue), 1)
        assert stamps[1] - stamps[0] == 60_000


async def test_an_address_that_is_none_ends_the_service() -> None:
    """Trying again would not mend it."""
    async with canned_binance() as venue:
        with pytest.raises(InvalidURI):
            await heard(a_stream("nonsense", venue), 1)
