"""Polygon's streams: one connection per market, logged in and subscribed to quotes and trades."""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from pydantic import SecretStr

from services.market_data.adapters.lone_quotes import LoneQuotes, only_message
from services.market_data.adapters.polygon_columns import columns_for
from services.market_data.adapters.polygon_messages import Frame, Message, StatusMessage, decode
from services.market_data.adapters.polygon_rest import stream_name
from services.market_data.adapters.tick_columns import TickColumns
from services.market_data.adapters.venue_socket import (
    TAKEN,
    StreamLimits,
    UnreadableFrame,
    VenueSocket,
    login,
    open_socket,
)
from services.market_data.domain.feed import CHANNELS, FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.ports import PublishAtOnce
from trading.clock import Clock
from trading.instruments import AssetClass, Instrument

_TOPICS = {AssetClass.EQUITY: ("T", "Q"), AssetClass.CRYPTO: ("XT", "XQ")}
_TOPICS_PER_MESSAGE = 1_000
_SUBSCRIBED = "success"
# Trying again mends none of these; the others that end a connection may pass.
_FINAL = frozenset(("auth_failed", "error", "not_authorized"))
_ENDS = frozenset(("auth_timeout", "max_connections", "slow_consumer", "force_disconnect"))


class PolygonFeed:
    """A market that Polygon streams: its shares or its coins."""

    def __init__(
        self, venue: str, asset_class: AssetClass, url: str, key: SecretStr, clock: Clock, limits: StreamLimits
    ) -> None:
        self.channel, self.asset_class = CHANNELS[asset_class], asset_class
        self._venue, self._url, self._key, self._clock = venue, f"{url.rstrip('/')}/{self.channel}", key, clock
        self._limits = limits

    @asynccontextmanager
    async def open(self, instruments: Sequence[Instrument]) -> AsyncIterator["PolygonSession"]:
        """Connect, log in and subscribe; raises FeedLost or FeedRefused."""
        symbols = {stream_name(instrument): instrument.symbol for instrument in instruments}
        topics = [f"{topic}.{name}" for name in symbols for topic in _TOPICS[self.asset_class]]
        socket = await open_socket(self._url, self._limits)
        try:
            early = await self._enter(socket, topics)
            columns = columns_for(self.asset_class, self._venue, symbols)
            yield PolygonSession(socket, early, columns, self._clock)
        finally:
            await socket.close()

    async def _enter(self, socket: VenueSocket, topics: Sequence[str]) -> deque[Frame]:
        greeting = _Greeting(socket)
        async with login(self._limits.open_timeout_s):
            await greeting.expect("connected", 1)
            await greeting.say("auth", self._key.get_secret_value())
            await greeting.expect("auth_success", 1)
            for chunk in _chunks(topics):
                await greeting.say("subscribe", ",".join(chunk))
                await greeting.expect(_SUBSCRIBED, len(chunk))
        return greeting.early


class PolygonSession:
    """A subscribed connection whose ticks pile up as columns."""

    def __init__(self, socket: VenueSocket, early: deque[Frame], columns: TickColumns, clock: Clock) -> None:
        self._socket, self._early, self._columns, self._clock = socket, early, columns, clock

    def hand_over(self, publish: PublishAtOnce) -> None:
        """See `ports.FeedSession`."""
        self._socket.take_at_once(LoneQuotes(self._columns, self._clock, only_message(decode), publish))

    async def read(self) -> int:
        """Take in the next frame; how many ticks wait. Suspends only when no frame has arrived."""
        frame = self._early.popleft() if self._early else await self._socket.recv()
        if frame is TAKEN:
            return len(self._columns)
        received_ns = self._clock.now_ns()
        try:
            messages, refused = decode(frame)
        except UnreadableFrame:
            messages, refused = [], 1
        if StatusMessage in map(type, messages):
            self._columns.add([one for one in messages if type(one) is not StatusMessage], received_ns, refused)
            _raise_ends(messages)
        else:
            self._columns.add(messages, received_ns, refused)
        return len(self._columns)

    @property
    def has_more(self) -> bool:
        """A frame is at hand."""
        return bool(self._early) or self._socket.has_frames

    def drain(self) -> Ticks:
        """Everything since the last drain."""
        return self._columns.drain()


class _Greeting:
    """The exchange of words before ticks flow; frames with ticks that come meanwhile are kept."""

    def __init__(self, socket: VenueSocket) -> None:
        self._socket = socket
        self.early: deque[Frame] = deque()

    async def say(self, action: str, params: str) -> None:
        """Send a message."""
        await self._socket.send(msgspec.json.encode({"action": action, "params": params}).decode())

    async def expect(self, status: str, count: int) -> None:
        """Wait until the venue has said this so many times; raises what it refuses with."""
        while count > 0:
            frame = await self._socket.recv()
            messages, _ = decode(frame)
            _raise_ends(messages)
            said = [message for message in messages if isinstance(message, StatusMessage)]
            count -= sum(message.status == status for message in said)
            if len(said) < len(messages):
                self.early.append(frame)


def _raise_ends(messages: Sequence[Message]) -> None:
    for message in messages:
        if isinstance(message, StatusMessage) and message.status in _FINAL | _ENDS:
            failure = FeedRefused if message.status in _FINAL else FeedLost
            raise failure(f"The venue says {message.status}: {message.message}", status=message.status)


def _chunks(topics: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(topics), _TOPICS_PER_MESSAGE):
        yield topics[start : start + _TOPICS_PER_MESSAGE]
