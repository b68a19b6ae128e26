"""Who follows what: frames go from here to every client that asked for them."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fleet.metrics import Metrics
from services.gateway.websocket.frames import DURABLE, EVERYTHING, Channel, CloseCode, Frame, note
from services.gateway.websocket.session import Session
from trading.clock import SECOND_NS, Clock

STALLED_NS_MAX = 30 * SECOND_NS


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much one client, and all of them, may ask for."""

    clients_max: int
    symbols_max: int
    queue_max: int
    auth_s: float
    heartbeat_s: float


class Hub:
    """All clients of the stream, and an index of what they follow."""

    def __init__(self, limits: StreamLimits, clock: Clock, metrics: Metrics) -> None:
        self.limits = limits
        self.clock = clock
        self._metrics = metrics
        self._sessions: set[Session] = set()
        self._index: dict[tuple[Channel, str], set[Session]] = {}

    @property
    def is_full(self) -> bool:
        """No more clients are taken."""
        return len(self._sessions) >= self.limits.clients_max

    def enter(self, session: Session) -> None:
        """Take in a client."""
        self._sessions.add(session)
        self._metrics.ws_clients.set(len(self._sessions))

    def leave(self, session: Session) -> None:
        """Forget a client and all that it followed."""
        session.is_closed = True
        self._sessions.discard(session)
        for channel, keys in session.following.items():
            for key in keys:
                self._unlink(session, channel, key)
        session.following.clear()
        self._metrics.ws_clients.set(len(self._sessions))
        self._metrics.ws_dropped_total.labels("conflated").inc(session.conflated)

    def follow(self, session: Session, channel: Channel, keys: Iterable[str]) -> None:
        """Send frames of these keys to the client from now on."""
        for key in keys:
            session.following.setdefault(channel, set()).add(key)
            self._index.setdefault((channel, key), set()).add(session)

    def unfollow(self, session: Session, channel: Channel, keys: Collection[str]) -> None:
        """Stop sending frames of these keys; no keys means the whole channel."""
        for key in list(keys or session.following.get(channel, ())):
            session.forget(channel, key)
            self._unlink(session, channel, key)

    def has_audience(self, channel: Channel, key: str) -> bool:
        """Somebody follows this key, so that encoding a frame is worth it."""
        return (channel, key) in self._index or (channel, EVERYTHING) in self._index

    def followed_keys(self, channel: Channel) -> set[str]:
        """Keys of a channel that somebody follows."""
        return {key for followed, key in self._index if followed is channel}

    def publish(self, frame: Frame) -> None:
        """Offer a frame to everybody who follows its key; who has no room left is sent away."""
        for key in (frame.key, EVERYTHING):
            for session in list(self._index.get((frame.channel, key), ())):
                self._offer(session, frame)

    def _offer(self, session: Session, frame: Frame) -> None:
        if frame.channel in DURABLE and not _is_next(session, frame):
            return
        if not session.offer(frame):
            self.evict(session)

    def evict(self, session: Session) -> None:
        """Send a client away that does not keep up."""
        self._metrics.ws_dropped_total.labels("evicted").inc()
        self.leave(session)
        session.close_now(CloseCode.TOO_SLOW, "too slow")

    def close_all(self) -> None:
        """Tell every client that this gateway is going away."""
        for session in list(self._sessions):
            self.leave(session)
            session.close_now(CloseCode.GOING_AWAY, "going away")

    async def beat(self) -> None:
        """Send heartbeats, for ever, and find the clients that have stopped reading."""
        while True:
            await asyncio.sleep(self.limits.heartbeat_s)
            text = note("heartbeat", ts_ns=str(self.clock.now_ns()))
            for session in list(self._sessions):
                if session.stalled_ns() > STALLED_NS_MAX or (session.is_authenticated and not session.tell(text)):
                    self.evict(session)

    def _unlink(self, session: Session, channel: Channel, key: str) -> None:
        followers = self._index.get((channel, key))
        if followers is not None:
            followers.discard(session)
            if not followers:
                del self._index[channel, key]


def _is_next(session: Session, frame: Frame) -> bool:
    """A durable frame goes out live once the past has, and only once."""
    position = session.positions.get((frame.channel, frame.key))
    if position is None or frame.position <= position:
        return False
    session.positions[frame.channel, frame.key] = frame.position
    return True
