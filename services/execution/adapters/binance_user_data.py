"""Binance's user data, read from its WebSocket API: connected again at once after a loss, then with growing waits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from services.execution.adapters.binance_answers import OUT_OF_TIME
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.binance_orders import venue_update
from services.execution.adapters.binance_rest import BinanceRest
from services.execution.adapters.venue_socket import StreamPatience, decoded, open_socket
from services.execution.domain.venue import StreamOpened, VenueUpdate
from trading.errors import InvalidArgument, Unavailable

_REPORT = "executionReport"
_TERMINATED = "eventStreamTerminated"
_SHUTDOWN = "serverShutdown"
_PROBE = "session.subscriptions"
_MICROSECONDS = "timeUnit=MICROSECOND"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UserDataPatience(StreamPatience):
    """Waits of the user data in seconds.

    A stream silent for `silence_s` is asked whether it still has our subscription, and is mute when it does not
    answer in as long again. A connection is replaced after `life_s`, before the venue ends it after a day.
    """

    silence_s: float = 15.0
    life_s: float = 23.5 * 3600


@dataclass(frozen=True, slots=True)
class _Subscription:
    socket: ClientConnection
    number: int


class BinanceUserData:
    """One subscription to the user data of one key; the times of what is signed are those of the venue's clock."""

    def __init__(
        self,
        url: str,
        key: BinanceKey,
        rest: BinanceRest,
        log: Any,
        metrics: Any,
        patience: UserDataPatience | None = None,
    ) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}{_MICROSECONDS}"
        self._key = key
        self._rest = rest
        self._log = log
        self._metrics = metrics
        self._patience = patience or UserDataPatience()

    async def updates(self) -> AsyncGenerator[VenueUpdate | StreamOpened, None]:
        """Updates for ever; each subscription is announced, for what was said before it is not said again."""
        failures = 0
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                async with aclosing(self._session()) as session:
                    async for update in session:
                        yield update
            except (OSError, TimeoutError, WebSocketException, Unavailable) as error:
                if isinstance(error, InvalidURI):
                    raise
                self._log.warning("venue.stream_lost", error=str(error), failures=failures)
            self._metrics.venue_reconnects_total.labels("user_data").inc()
            if asyncio.get_running_loop().time() - began_s >= self._patience.longest_wait_s:
                failures = 0  # it had held; one that is lost at once is opened more and more slowly
            await asyncio.sleep(self._patience.wait_s(failures))
            failures += 1

    async def _session(self) -> AsyncGenerator[VenueUpdate | StreamOpened, None]:
        """Connections one after the other, each opened before the one it follows is closed: nothing falls between."""
        opened = await self._open()
        try:
            yield StreamOpened()
            while True:
                async with aclosing(self._follow(opened)) as reports:
                    async for update in reports:
                        yield update
                before, opened = opened, await self._open()
                async with aclosing(self._rest_of(before)) as reports:
                    async for update in reports:
                        yield update
                yield StreamOpened()
        finally:
            await opened.socket.close()

    async def _follow(self, opened: _Subscription) -> AsyncGenerator[VenueUpdate, None]:
        """Reports until the connection has lived its life, or the venue says that it is about to end."""
        loop, patience = asyncio.get_running_loop(), self._patience
        end = loop.time() + patience.life_s
        is_asked = False
        while (left_s := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(patience.silence_s, left_s)):
                    frame = await opened.socket.recv()
            except TimeoutError:
                if is_asked:
                    raise Unavailable("The venue's user data has fallen silent.", retry_after_s=1) from None
                await _ask(opened.socket, _PROBE, {})
                is_asked = True
                continue
            is_asked = False
            message = self._read(frame)
            if "id" in message:
                _check_subscribed(message, opened.number)
            event = _event(message)
            if event.get("e") == _SHUTDOWN:
                return
            if event.get("e") == _TERMINATED:
                raise Unavailable("The venue has ended the subscription.", retry_after_s=1)
            if (update := self._update(event)) is not None:
                yield update

    async def _rest_of(self, opened: _Subscription) -> AsyncGenerator[VenueUpdate, None]:
        """What a connection had still to say when it was closed; its successor may have said some of it too."""
        await opened.socket.close()
        try:
            while True:
                if (update := self._update(_event(self._read(await opened.socket.recv())))) is not None:
                    yield update
        except ConnectionClosed:
            return

    async def _open(self) -> _Subscription:
        """Connect and subscribe; raises Unavailable, or what a connection raises."""
        patience = self._patience
        socket = await open_socket(self._url, patience)
        async with _closed_on_failure(socket), asyncio.timeout(patience.connect_s):
            return _Subscription(socket, await self._subscribe(socket))

    async def _subscribe(self, socket: ClientConnection) -> int:
        if self._key.opens_sessions:
            await self._call(socket, "session.logon", await self._signed())
            result = await self._call(socket, "userDataStream.subscribe", {})
        else:
            result = await self._call(socket, "userDataStream.subscribe.signature", await self._signed())
        number = result.get("subscriptionId")
        if not isinstance(number, int):
            raise Unavailable("The venue's user data cannot be subscribed to.", retry_after_s=1)
        return number

    async def _signed(self) -> dict[str, Any]:
        """Who we are; the WebSocket API wants parameters signed in the order of their names."""
        params = {"apiKey": self._key.key_id, "timestamp": await self._rest.timestamp_ms()}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return {**params, "signature": self._key.sign(payload)}

    async def _call(self, socket: ClientConnection, method: str, params: Json) -> Json:
        await _ask(socket, method, params)
        while (answer := decoded(await socket.recv())).get("id") != method:
            pass  # an event may overtake the answer
        if answer.get("status") != _OK:
            error = _object(answer, "error")
            if error.get("code") == OUT_OF_TIME:
                await self._rest.set_clock()
            raise Unavailable(f"The venue refuses {method}: {error.get('msg')}.", retry_after_s=1)
        return _object(answer, "result")

    def _read(self, frame: str | bytes) -> Json:
        try:
            return decoded(frame)
        except InvalidArgument as error:
            self._log.error("venue.unreadable_update", error=str(error))
            return {}

    def _update(self, event: Json) -> VenueUpdate | None:
        if event.get("e") != _REPORT:
            return None
        try:
            return venue_update(event)
        except InvalidArgument as error:
            self._log.error("venue.unreadable_update", error=str(error))
            return None


_OK = 200


@asynccontextmanager
async def _closed_on_failure(socket: ClientConnection) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:  # a cancel too must leave no connection behind
        await socket.close()
        raise


async def _ask(socket: ClientConnection, method: str, params: Json) -> None:
    """A request under its own name: none is asked twice at once."""
    await socket.send(msgspec.json.encode({"id": method, "method": method, "params": params}).decode())


def _check_subscribed(answer: Json, number: int) -> None:
    """The answer to the probe must still name our subscription."""
    if {"subscriptionId": number} not in (answer.get("result") or ()):
        raise Unavailable("The venue has lost the subscription to user data.", retry_after_s=1)


def _event(message: Json) -> Json:
    return _object(message, "event")


def _object(message: Json, name: str) -> Json:
    found = message.get(name)
    return found if isinstance(found, dict) else {}
