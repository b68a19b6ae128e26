"""A WebSocket to a venue, with the same bounds for all: no proxy, no compression, a pulse, and named failures."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from services.market_data.domain.feed import FeedLost, FeedRefused

Frame = bytes | str
_FINAL_STATUSES = frozenset((400, 401, 402, 403, 404))
_PINGS_PER_PATIENCE = 4
_CLOSE_S = 0.5


class UnreadableFrame(ValueError):
    """A frame that is nothing the venue says."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of a connection: patience in seconds for its opening and for any sign of life, bytes of a frame, frames
    read ahead of the decoder.
    """

    open_timeout_s: float = 10.0
    mute_s: float = 10.0
    frame_bytes_most: int = 16 * 1024 * 1024
    frames_ahead: int = 16


async def open_socket(url: str, limits: StreamLimits, headers: Mapping[str, str] | None = None) -> ClientConnection:
    """Connect; raises FeedLost, or FeedRefused where trying again would not help.

    A peer that answers no ping is found within `mute_s`: one goes out every quarter of it, and may take the rest.
    """
    try:
        return await connect(
            url,
            additional_headers=headers,
            proxy=None,
            compression=None,
            open_timeout=limits.open_timeout_s,
            ping_interval=limits.mute_s / _PINGS_PER_PATIENCE,
            ping_timeout=limits.mute_s * (1 - 1 / _PINGS_PER_PATIENCE),
            close_timeout=_CLOSE_S,
            max_size=limits.frame_bytes_most,
            max_queue=limits.frames_ahead,
        )
    except InvalidURI as error:
        raise FeedRefused(f"{url!r} is no WebSocket address.", url=url) from error
    except InvalidStatus as error:
        status = error.response.status_code
        failure = FeedRefused if status in _FINAL_STATUSES else FeedLost
        raise failure(f"The venue answered the upgrade with HTTP {status}.", status=status) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise FeedLost(f"Cannot connect: {error or 'no answer in time'}.", url=url) from error


@asynccontextmanager
async def login(patience_s: float) -> AsyncIterator[None]:
    """The talk before ticks flow; raises FeedLost when it breaks off, cannot be read, or takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            yield
    except TimeoutError as error:
        raise FeedLost("The venue did not finish the login in time.") from error
    except ConnectionClosed as error:
        raise FeedLost(f"The venue closed the connection during the login: {error}.") from error
    except UnreadableFrame as error:
        raise FeedLost(f"The venue's greeting could not be read: {error}.") from error


async def next_frame(socket: ClientConnection) -> Frame:
    """The next frame; suspends only when none has arrived. Raises FeedLost."""
    try:
        frame: Frame = await socket.recv()
    except ConnectionClosed as error:
        raise FeedLost(f"The connection ended: {error}.") from error
    return frame


async def say(socket: ClientConnection, text: str) -> None:
    """Send a message; raises FeedLost."""
    try:
        await socket.send(text)
    except ConnectionClosed as error:
        raise FeedLost(f"The connection ended: {error}.") from error
