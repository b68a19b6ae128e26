"""The order stream, against a WebSocket server that speaks as the test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidURI

from fleet.metrics import Metrics
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.venue_socket import StreamPatience
from services.execution.domain.venue import StreamOpened, VenueUpdate
from trading.order import OrderEventKind

ORDER = {
    "id": "v",
    "client_order_id": "0" * 32,
    "status": "new",
    "filled_qty": "0",
    "updated_at": "2026-01-01T00:00:00Z",
}
UPDATE = {"stream": "trade_updates", "data": {"event": "new", "execution_id": "e", "order": ORDER}}
QUICK = StreamPatience(connect_s=1, ping_s=0.1, close_s=0.05, jitter_s=0.001, first_wait_s=0.005, longest_wait_s=0.01)
Story = Callable[[ServerConnection], Awaitable[None]]


async def say(socket: ServerConnection, message: Any) -> None:
    """Binary JSON, as Alpaca's paper stream does."""
    await socket.send(json.dumps(message).encode())


async def log_in(socket: ServerConnection) -> None:
    """The usual opening."""
    assert json.loads(await socket.recv())["data"] == {"key_id": "k", "secret_key": "s"}
    await say(socket, {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}})
    assert json.loads(await socket.recv())["data"] == {"streams": ["trade_updates"]}
    await say(socket, {"stream": "listening", "data": {"streams": ["trade_updates"]}})


@asynccontextmanager
async def a_stream(*stories: Story) -> AsyncIterator[AlpacaTradeUpdates]:
    """Each connection lives the next story; the last one is lived again and again."""
    waiting = list(stories)

    async def live(socket: ServerConnection) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(socket)

    async with serve(live, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield AlpacaTradeUpdates(
            f"ws://127.0.0.1:{port}/stream", "k", SecretStr("s"), structlog.get_logger(), Metrics(), QUICK
        )


async def heard(stream: AlpacaTradeUpdates, count: int) -> list[VenueUpdate | StreamOpened]:
    """The first `count` things the stream tells."""
    found: list[VenueUpdate | StreamOpened] = []
    async with asyncio.timeout(60), aclosing(stream.updates()) as updates:
        async for update in updates:
            found.append(update)
            if len(found) == count:
                break
    return found


async def tell_one(socket: ServerConnection) -> None:
    await log_in(socket)
    await say(socket, UPDATE)
    await socket.wait_closed()


async def hang_up(socket: ServerConnection) -> None:
    await log_in(socket)


async def refuse(socket: ServerConnection) -> None:
    await socket.recv()
    await say(socket, {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}})


async def offer_nothing(socket: ServerConnection) -> None:
    await socket.recv()
    await say(socket, {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}})
    await socket.recv()
    await say(socket, {"stream": "listening", "data": {"streams": []}})


async def talk_nonsense(socket: ServerConnection) -> None:
    await log_in(socket)
    await socket.send(b"no json")
    await socket.send("[]")
    await say(socket, {"stream": "trade_updates", "data": {"event": "fill"}})
    await say(socket, {"stream": "other", "data": {}})
    await say(socket, UPDATE)
    await socket.wait_closed()


async def fall_silent(socket: ServerConnection) -> None:
    await log_in(socket)
    socket.transport.pause_reading()
    await socket.wait_closed()


async def test_the_opening_is_announced_before_the_first_update() -> None:
    """So that what was said before can be asked for."""
    async with a_stream(tell_one) as stream:
        opened, update = await heard(stream, 2)
        assert isinstance(opened, StreamOpened)
        assert isinstance(update, VenueUpdate)
        assert update.kind is OrderEventKind.ACCEPTED


@pytest.mark.parametrize("trouble", [hang_up, refuse, offer_nothing])
async def test_a_lost_stream_is_opened_again(trouble: Story) -> None:
    """And announced again."""
    async with a_stream(trouble, trouble, tell_one) as stream:
        found = await heard(stream, 4 if trouble is hang_up else 2)
        assert isinstance(found[-2], StreamOpened)
        assert isinstance(found[-1], VenueUpdate)


async def test_what_cannot_be_read_is_skipped() -> None:
    """The next update counts."""
    async with a_stream(talk_nonsense) as stream:
        assert isinstance((await heard(stream, 2))[-1], VenueUpdate)


@pytest.mark.slow
async def test_a_mute_socket_is_noticed() -> None:
    """Pings that nobody answers end it."""
    async with a_stream(fall_silent, tell_one) as stream:
        found = await heard(stream, 3)
        assert [type(each) for each in found] == [StreamOpened, StreamOpened, VenueUpdate]


async def test_an_address_that_is_none_ends_the_service() -> None:
    """Trying again would not mend it."""
    stream = AlpacaTradeUpdates("nonsense", "k", SecretStr("s"), structlog.get_logger(), Metrics(), QUICK)
    with pytest.raises(InvalidURI):
        await heard(stream, 1)
