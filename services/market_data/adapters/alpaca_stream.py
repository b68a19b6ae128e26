"""Alpaca's market-data stream: one connection, logged in and subscribed to quotes and trades."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from services.market_data.adapters.alpaca_columns import AlpacaColumns
from services.market_data.adapters.alpaca_key import SPELLING, AlpacaKey
from services.market_data.adapters.alpaca_messages import (
    ErrorMessage,
    Message,
    QuoteMessage,
    SubscriptionMessage,
    SuccessMessage,
    TradeMessage,
    decode,
    encode,
)
from services.market_data.adapters.alpaca_news import read_news
from services.market_data.adapters.lone_quotes import LoneQuotes, only_message
from services.market_data.adapters.venue_socket import (
    TAKEN,
    Frame,
    StreamLimits,
    UnreadableFrame,
    VenueSocket,
    login,
    open_socket,
)
from services.market_data.domain.feed import CHANNELS, FeedLost, FeedRefused
from services.market_data.domain.ticks import News, Ticks
from services.market_data.ports import PublishAtOnce
from trading.clock import Clock
from trading.instruments import AssetClass, Instrument

_TICKS = frozenset((QuoteMessage, TradeMessage))
# Trying again mends none of these: bad request, no login, wrong key, too many symbols, no entitlement.
_FINAL_CODES = frozenset((400, 401, 402, 405, 409, 410, 411))


class AlpacaFeed:
    """A stream that Alpaca offers: its stocks or its crypto."""

    def __init__(
        self,
        venue: str,
        asset_class: AssetClass,
        url: str,
        key: AlpacaKey,
        clock: Clock,
        limits: StreamLimits,
        *,
        halts: bool = False,
    ) -> None:
        self._halts = halts and asset_class is AssetClass.EQUITY
        self.channel, self.asset_class = CHANNELS[asset_class], asset_class
        self._venue, self._url, self._key, self._clock, self._limits = venue, url, key, clock, limits

    @asynccontextmanager
    async def open(self, instruments: Sequence[Instrument]) -> AsyncIterator["AlpacaSession"]:
        """Connect, log in and subscribe; raises FeedLost or FeedRefused."""
        symbols = {instrument.venue_symbol(SPELLING): instrument.symbol for instrument in instruments}
        socket = await open_socket(self._url, self._limits, {"Content-Type": "application/msgpack"})
        try:
            await self._enter(socket, list(symbols))
            yield AlpacaSession(socket, AlpacaColumns(self._venue, symbols), self._clock, symbols)
        finally:
            await socket.close()

    def _channels(self) -> tuple[str, ...]:
        """What to ask for; corrections of trades come by themselves."""
        return ("trades", "quotes", "statuses", "lulds") if self._halts else ("trades", "quotes")

    async def _enter(self, socket: VenueSocket, spellings: list[str]) -> None:
        greeting = _Greeting(socket)
        async with login(self._limits.open_timeout_s):
            await greeting.expect(SuccessMessage("connected"))
            await greeting.say(self._key.login())
            await greeting.expect(SuccessMessage("authenticated"))
            await greeting.say({"action": "subscribe", **dict.fromkeys(self._channels(), spellings)})
            await greeting.expect_subscription()


class AlpacaSession:
    """A subscribed connection whose ticks pile up as columns."""

    def __init__(self, socket: VenueSocket, ticks: AlpacaColumns, clock: Clock, symbols: Mapping[str, str]) -> None:
        self._socket, self._ticks, self._clock, self._symbols = socket, ticks, clock, symbols
        self._news: list[News] = []

    def hand_over(self, publish: PublishAtOnce) -> None:
        """See `ports.FeedSession`."""
        self._socket.take_at_once(LoneQuotes(self._ticks, self._clock, only_message(decode), publish))

    async def read(self) -> int:
        """Take in the next frame; how many ticks wait. Suspends only when no frame has arrived."""
        frame = await self._socket.recv()
        if frame is TAKEN:
            return len(self._ticks) + len(self._news)
        received_ns = self._clock.now_ns()
        try:
            messages, refused = decode(frame)
        except UnreadableFrame:
            messages, refused = [], 1
        if _TICKS.issuperset(map(type, messages)):
            self._ticks.add(messages, received_ns, refused)
        else:
            self._ticks.add([message for message in messages if type(message) in _TICKS], received_ns, refused)
            _raise_errors(messages)
            self._news += [news for message in messages if (news := read_news(message, self._symbols)) is not None]
        return len(self._ticks) + len(self._news)

    @property
    def has_more(self) -> bool:
        """A frame is at hand."""
        return self._socket.has_frames

    def drain(self) -> Ticks:
        """Everything since the last drain."""
        ticks = self._ticks.drain()
        if not self._news:
            return ticks
        news, self._news = self._news, []
        return replace(ticks, news=tuple(news))


class _Greeting:
    """The exchange of words before ticks flow, in the codec that the venue speaks."""

    def __init__(self, socket: VenueSocket) -> None:
        self._socket = socket
        self._heard: Frame = b""

    async def say(self, message: object) -> None:
        """Send a message."""
        await self._socket.send(encode(message, self._heard))

    async def expect(self, message: SuccessMessage) -> None:
        """Wait until the venue says this; raises what it refuses with."""
        while message not in await self._listen():
            continue

    async def expect_subscription(self) -> None:
        """Wait until the venue confirms the subscription; raises what it refuses with."""
        while SubscriptionMessage not in map(type, await self._listen()):
            continue

    async def _listen(self) -> list[Message]:
        self._heard = await self._socket.recv()
        messages, _ = decode(self._heard)
        _raise_errors(messages)
        return messages


def _raise_errors(messages: Sequence[Message]) -> None:
    for message in messages:
        if isinstance(message, ErrorMessage):
            failure = FeedRefused if message.code in _FINAL_CODES else FeedLost
            raise failure(f"The venue says {message.code} {message.msg}.", code=message.code)
