"""A WebSocket to a venue, with the same bounds for all: no proxy, no compression, a pulse, and named failures.

Frames are read by picows, in C: of a tick that comes alone, the pure Python of `websockets` took 80 µs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from services.market_data.domain.feed import FeedLost, FeedRefused

Frame = bytes | str
TAKEN: Frame = "taken"
"""This very object stands for a frame that was dealt with before the reader woke up."""
_FINAL_STATUSES = frozenset((400, 401, 402, 403, 404))
_CLOSE_S = 0.5
_PULSES_PER_PATIENCE = 3


class SocketEnded(FeedLost):
    """The connection is no more."""


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


class VenueSocket(WSListener):
    """The frames that have come and wait to be read, up to a bound; beyond it the venue is held back."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._frames: deque[Frame] = deque()
        self._parts: list[bytes] = []
        self._parts_are_text = False
        self._came: asyncio.Future[None] | None = None
        self._paused = False
        self._end: str | None = None
        self._defect: Exception | None = None
        self._take_at_once: Callable[[Frame], Frame] | None = None
        self._transport: WSTransport

    @property
    def has_frames(self) -> bool:
        """A frame has come that was not read yet."""
        return bool(self._frames)

    def take_at_once(self, take: Callable[[Frame], Frame]) -> None:
        """Show a frame that comes while the reader waits to `take` first; the reader gets what that gives."""
        self._take_at_once = take

    async def recv(self) -> Frame:
        """The next frame; suspends only when none has arrived. Raises FeedLost, and what `take` has raised."""
        if self._defect is not None:
            raise self._defect
        while not self._frames:
            if self._end is not None:
                raise SocketEnded(f"The connection ended: {self._end}.")
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        frame = self._frames.popleft()
        if self._paused and len(self._frames) <= self._limits.frames_ahead // 2:
            self._paused = False
            self._transport.underlying_transport.resume_reading()
        return frame

    async def send(self, message: Frame) -> None:
        """Send a message; raises FeedLost."""
        if self._end is not None:
            raise SocketEnded(f"The connection ended: {self._end}.")
        if isinstance(message, str):
            self._transport.send(WSMsgType.TEXT, message.encode())
        else:
            self._transport.send(WSMsgType.BINARY, message)

    async def close(self) -> None:
        """Say goodbye, wait a little for the venue's own, and leave."""
        if self._end is None:
            self._transport.send_close(WSCloseCode.OK)
        with suppress(TimeoutError, WSError):
            async with asyncio.timeout(_CLOSE_S):
                await self._transport.wait_disconnected()
        self._transport.disconnect(False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.payload_size > self._limits.frame_bytes_most:  # picows complains, and then hands it over all the same
            self._leave(f"{WSCloseCode.MESSAGE_TOO_BIG:d}, the venue sent a frame of {frame.payload_size} bytes")
        elif kind == WSMsgType.BINARY and frame.fin:
            self._add(frame.get_payload_as_bytes())
        elif kind == WSMsgType.TEXT and frame.fin:
            self._add_text(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            self._hear_goodbye(transport, frame)
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._add_part(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        told = transport.close_handshake
        sent = told.sent if told else None
        self._ended(f"we closed it with {sent.code:d} {sent.reason}" if sent else "the venue left without a word")

    def _add(self, frame: Frame) -> None:
        came = self._came
        if came is not None and not came.done():  # the reader waits, so nothing else does
            if self._take_at_once is not None:
                frame = self._shown(self._take_at_once, frame)
            came.set_result(None)
        self._frames.append(frame)
        if len(self._frames) > self._limits.frames_ahead and not self._paused:
            self._paused = True
            self._transport.underlying_transport.pause_reading()

    def _shown(self, take: Callable[[Frame], Frame], frame: Frame) -> Frame:
        try:
            return take(frame)
        except Exception as defect:  # it is the reader's to raise: here picows would take it for the venue's
            self._defect = defect
            return TAKEN

    def _add_text(self, frame: bytes) -> None:
        try:
            self._add(frame.decode())
        except UnicodeDecodeError:
            self._leave("the venue sent a text that is no UTF-8")

    def _add_part(self, frame: WSFrame) -> None:
        """A message in several frames is bounded like one in one."""
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._parts_are_text = frame.msg_type == WSMsgType.TEXT
        self._parts.append(frame.get_payload_as_bytes())
        if sum(map(len, self._parts)) > self._limits.frame_bytes_most:
            self._leave(f"the venue sent a message of more than {self._limits.frame_bytes_most} bytes")
        elif frame.fin:
            whole, self._parts = b"".join(self._parts), []
            self._add_text(whole) if self._parts_are_text else self._add(whole)

    def _hear_goodbye(self, transport: WSTransport, frame: WSFrame) -> None:
        code, words = frame.get_close_code(), frame.get_close_reason()
        self._ended(f"the venue closed it with {code}{f' {words}' if words else ''}")
        transport.send_close(WSCloseCode.OK if code is None else code)
        transport.disconnect()

    def _leave(self, reason: str) -> None:
        self._ended(reason)
        self._transport.disconnect(False)

    def _ended(self, reason: str) -> None:
        self._end = self._end or reason
        if self._came is not None and not self._came.done():
            self._came.set_result(None)


async def open_socket(url: str, limits: StreamLimits, headers: Mapping[str, str] | None = None) -> VenueSocket:
    """Connect; raises FeedLost, or FeedRefused where trying again would not help.

    A peer that says nothing and answers no ping is found within `mute_s`: it is asked after a third of silence, and
    has a third to answer. One whose data flows is not asked: behind megabytes that we hold back its pong would be late.
    """
    try:
        async with asyncio.timeout(limits.open_timeout_s):
            _, socket = await ws_connect(
                lambda: VenueSocket(limits),
                url,
                extra_headers=headers,
                enable_auto_ping=True,
                auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
                auto_ping_idle_timeout=limits.mute_s / _PULSES_PER_PATIENCE,
                auto_ping_reply_timeout=limits.mute_s / _PULSES_PER_PATIENCE,
                max_frame_size=limits.frame_bytes_most,
                max_redirects=0,
            )
    except WSInvalidURL as error:
        raise FeedRefused(f"{url!r} is no WebSocket address.", url=url) from error
    except WSInvalidStatusError as error:
        status = int(error.response.status) if error.response else 0
        failure = FeedRefused if status in _FINAL_STATUSES else FeedLost
        raise failure(f"The venue answered the upgrade with HTTP {status}.", status=status) from error
    except (OSError, TimeoutError, WSError) as error:
        raise FeedLost(f"Cannot connect: {error or 'no answer in time'}.", url=url) from error
    assert isinstance(socket, VenueSocket)
    return socket


@asynccontextmanager
async def login(patience_s: float) -> AsyncIterator[None]:
    """The talk before ticks flow; raises FeedLost when it breaks off, cannot be read, or takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            yield
    except TimeoutError as error:
        raise FeedLost("The venue did not finish the login in time.") from error
    except SocketEnded as error:
        raise FeedLost(f"The venue closed the connection during the login. {error.message}") from error
    except UnreadableFrame as error:
        raise FeedLost(f"The venue's greeting could not be read: {error}.") from error
