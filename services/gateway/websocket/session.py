"""One client: what it follows, what waits for it, and the writer that sends it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.gateway.auth import ANONYMOUS, Principal
from services.gateway.websocket.frames import EVERYTHING, Channel, Frame
from trading.clock import Clock

Send = Callable[[str], Awaitable[None]]
Close = Callable[[int, str], None]


@dataclass(slots=True, eq=False)
class _Waiting:
    frame: Frame
    skipped: int


@dataclass(slots=True, eq=False)
class Session:
    """A bounded queue: newest wins where it may, and a client that lets it fill is sent away."""

    send: Send
    close_now: Close
    clock: Clock
    queue_max: int
    principal: Principal = ANONYMOUS
    following: dict[Channel, set[str]] = field(default_factory=dict)
    positions: dict[tuple[Channel, str], int] = field(default_factory=dict)
    """Place of the newest durable event by channel and account; missing while the past is still being sent."""
    conflated: int = 0
    is_closed: bool = False
    sending_since_ns: int | None = None
    _queue: deque[_Waiting | str] = field(default_factory=deque)
    _newest: dict[tuple[Channel, str], _Waiting] = field(default_factory=dict)
    _seqs: dict[Channel, int] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _drained: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_authenticated(self) -> bool:
        return self.principal is not ANONYMOUS

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= self.queue_max

    def followed(self) -> list[dict[str, object]]:
        """The full state of the subscriptions, for an ack."""
        return [{"channel": channel.value, "keys": sorted(keys)} for channel, keys in sorted(self.following.items())]

    def follows(self, channel: Channel, key: str) -> bool:
        """The client wants frames of this key."""
        keys = self.following.get(channel, ())
        return key in keys or EVERYTHING in keys

    def offer(self, frame: Frame) -> bool:
        """Queue a frame; False when there was no room."""
        if frame.conflates:
            waiting = self._newest.get((frame.channel, frame.key))
            if waiting is not None:
                waiting.frame, waiting.skipped = frame, waiting.skipped + 1 + frame.skipped
                self.conflated += 1
                return True
        if self.is_full:
            return False
        waiting = _Waiting(frame, frame.skipped)
        if frame.conflates:
            self._newest[frame.channel, frame.key] = waiting
        self._put(waiting)
        return True

    def tell(self, text: str) -> bool:
        """Queue a note about the stream itself; False when there was no room."""
        if self.is_full:
            return False
        self._put(text)
        return True

    async def room(self) -> None:
        """Wait until half of the queue is free, so that a long past does not look like a slow client."""
        while len(self._queue) > self.queue_max // 2 and not self.is_closed:
            self._drained.clear()
            await self._drained.wait()

    async def write(self) -> None:
        """Send what waits, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                await self._send_next()
            self._drained.set()

    def forget(self, channel: Channel, key: str) -> None:
        """Stop following one key."""
        keys = self.following.get(channel, set())
        keys.discard(key)
        if not keys:
            self.following.pop(channel, None)
        self.positions.pop((channel, key), None)

    def stalled_ns(self) -> int:
        """How long the client has not taken what is being sent."""
        return 0 if self.sending_since_ns is None else self.clock.monotonic_ns() - self.sending_since_ns

    def _put(self, item: _Waiting | str) -> None:
        self._queue.append(item)
        self._arrived.set()

    async def _send_next(self) -> None:
        text = self._text(self._queue.popleft())
        if len(self._queue) <= self.queue_max // 2:
            self._drained.set()
        self.sending_since_ns = self.clock.monotonic_ns()
        await self.send(text)
        self.sending_since_ns = None

    def _text(self, item: _Waiting | str) -> str:
        if isinstance(item, str):
            return item
        frame = item.frame
        if frame.conflates:
            del self._newest[frame.channel, frame.key]
        seq = self._seqs.get(frame.channel, 0) + 1
        self._seqs[frame.channel] = seq
        return frame.text(seq, item.skipped)
