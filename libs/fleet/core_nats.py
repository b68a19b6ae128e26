"""Core NATS without detours: what is published leaves at once, what arrives is read where the socket is read.

Ticks are one message at a time and cold, so each turn of the event loop between a socket and a handler costs as much
as all other work. nats-py, which carries JetStream, takes two on the way in and one on the way out; this takes one and
none. The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import asyncio
import json
import re
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from fleet.consumption import Message

CONNECT_TIMEOUT_S = 1.0
LINE_BYTES_MOST = 1024 * 1024
"""The longest line of the protocol that is waited for: an INFO that lists a cluster."""
SUBJECTS_KEPT = 65_536
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_NO_HEADERS: Mapping[str, str] = {}


class NatsLost(ConnectionError):
    """There is no connection to a NATS server, or there is none any more; it says why."""


class Server(NamedTuple):
    """Where a server listens and how we log in."""

    host: str
    port: int
    tls: bool
    login: Mapping[str, str]


def servers(urls: str) -> list[Server]:
    """Read one URL or several with commas between them: `nats://user:password@host:port`, `tls://token@host`."""
    return [_server(url if "//" in url else f"nats://{url}") for url in urls.split(",")]


def _server(url: str) -> Server:
    parts = urlsplit(url.strip())
    user, password = unquote(parts.username or ""), parts.password
    login = {"auth_token": user} if user else {}
    if password is not None:
        login = {"user": user, "pass": unquote(password)}
    return Server(parts.hostname or "127.0.0.1", parts.port or 4222, parts.scheme == "tls", login)


class Subscription:
    """What came for one subject and waits to be taken; when there is no room the oldest goes, and is counted."""

    def __init__(self, subject: str, messages_most: int, bytes_most: int, lost: Callable[[], None]) -> None:
        self.subject = subject
        self._messages_most, self._bytes_most, self._lost = messages_most, bytes_most, lost
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: Message) -> None:
        """Add a message, never waiting."""
        messages = self._messages
        messages.append(message)
        self._bytes += len(message.payload)
        while len(messages) > self._messages_most or (self._bytes > self._bytes_most and len(messages) > 1):
            self._bytes -= len(messages.popleft().payload)
            self._lost()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Message:
        """The oldest message; suspends only when there is none."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        self._bytes -= len(message.payload)
        return message


Route = Callable[[int], Subscription | None]


class Wire(asyncio.Protocol):
    """One connection to a server, from its INFO to its end."""

    def __init__(self, route: Route, complain: Callable[[str], None]) -> None:
        self._route, self._complain = route, complain
        self._loop = asyncio.get_running_loop()
        self.info: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.payload_most = 0
        self.transport: asyncio.Transport
        self._pongs: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._parts: list[bytes] = []
        self._missing = 0
        self._gathered: list[bytes] | None = None
        self._gathered_bytes = 0
        self._said = "the connection ended"

    # Out -------------------------------------------------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """What the operating system has not taken yet."""
        return self.transport.get_write_buffer_size() + self._gathered_bytes

    def send(self, data: bytes) -> None:
        """Write at once; what follows in the same turn of the event loop leaves together at its end."""
        if self._gathered is not None:
            self._gathered.append(data)
            self._gathered_bytes += len(data)
            return
        self._gathered = []
        self._loop.call_soon(self._send_gathered)
        self.transport.write(data)

    def ping(self) -> asyncio.Future[None]:
        """Ask for a sign of life, which comes when the server has taken in all that was sent before."""
        pong = self._loop.create_future()
        self._pongs.append((self._loop.time(), pong))
        self.send(b"PING\r\n")
        return pong

    @property
    def mute_s(self) -> float:
        """How long the oldest question has had no answer."""
        return self._loop.time() - self._pongs[0][0] if self._pongs else 0.0

    def use(self, transport: asyncio.Transport) -> None:
        """Send over this transport, which tries at once instead of at the end of the turn: its buffer has no room."""
        self.transport = transport
        transport.set_write_buffer_limits(high=0)

    def _send_gathered(self) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, None, 0
        if gathered and not self.transport.is_closing():
            self.transport.write(b"".join(gathered))

    # In --------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.use(cast("asyncio.Transport", transport))  # uvloop's is none by its class

    def connection_lost(self, error: Exception | None) -> None:
        reason = str(error) if error else self._said
        if not self.lost.done():
            self.lost.set_result(reason)
        waiting: list[asyncio.Future[Any]] = [self.info, *(pong for _, pong in self._pongs)]
        for future in waiting:
            if not future.done():
                future.set_exception(NatsLost(reason))
                future.exception()  # nobody may be left who asks

    def data_received(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts = []
        try:
            self._read(data)
        except ValueError as error:
            self._end(f"the server said what is no NATS: {error}")

    def _read(self, data: bytes) -> None:
        at, size = 0, len(data)
        while (end := data.find(b"\r\n", at)) >= 0:
            if not data.startswith(b"MSG ", at):
                self._hear(data[at:end])
                at = end + 2
                continue
            _, subject, sid, *_, length = data[at:end].split()
            begin, stop = end + 2, end + 2 + int(length)
            if stop + 2 > size:
                self._wait_for(data[at:], stop + 2 - size)
                return
            if (subscription := self._route(int(sid))) is not None:
                subscription.put(Message(subject.decode(), data[begin:stop], _NO_HEADERS))
            at = stop + 2
        if at < size:
            self._wait_for(data[at:], 1)

    def _wait_for(self, rest: bytes, missing: int) -> None:
        if missing == 1 and len(rest) > LINE_BYTES_MOST:
            raise ValueError(f"a line of more than {LINE_BYTES_MOST} bytes")
        self._parts, self._missing = [rest], missing

    def _hear(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"PING":
                self.send(b"PONG\r\n")
            case b"PONG":
                if self._pongs and not (pong := self._pongs.popleft()[1]).done():
                    pong.set_result(None)
            case b"INFO":
                self._learn(json.loads(rest))
            case b"-ERR":
                self._said = rest.decode(errors="replace").strip("' ")
                self._complain(self._said)
            case b"+OK":
                pass
            case _:
                raise ValueError(repr(word[:32]))

    def _learn(self, info: dict[str, Any]) -> None:
        self.payload_most = int(info.get("max_payload", 1024 * 1024))
        if not self.info.done():
            self.info.set_result(info)

    def _end(self, reason: str) -> None:
        self._said = reason
        self.transport.abort()


class CoreNats:
    """A connection that is made again for ever; `keep` does that, everything else answers at once."""

    def __init__(
        self,
        urls: str,
        name: str,
        complain: Callable[[str], None],
        *,
        retry_s: float,
        ping_every_s: float,
        mute_most_s: float,
    ) -> None:
        self._servers, self._name, self._complain = servers(urls), name, complain
        self._retry_s, self._ping_every_s, self._mute_most_s = retry_s, ping_every_s, mute_most_s
        self._subscriptions: dict[int, Subscription] = {}
        self._newest_id = 0
        self._wire: Wire | None = None

    @property
    def is_connected(self) -> bool:
        """A server has let us in and the connection stands."""
        return self._wire is not None and not self._wire.lost.done()

    @property
    def unsent_bytes(self) -> int:
        """What waits for the server or the network."""
        return self._wire.unsent_bytes if self._wire is not None else 0

    def publish(self, subject: str, payload: bytes) -> bool:
        """Send a message; whether it is on its way. Raises NatsLost, and ValueError for what is no subject."""
        wire = self._standing()
        if len(payload) > wire.payload_most:
            return False
        wire.send(b"%b%d\r\n%b\r\n" % (_publish_to(subject), len(payload), payload))
        return True

    def subscribe(
        self, subject: str, *, messages_most: int, bytes_most: int, lost: Callable[[], None]
    ) -> tuple[int, Subscription]:
        """Hear a subject, which may have wildcards, over this connection and all that follow; and its number."""
        self._newest_id += 1
        self._subscriptions[self._newest_id] = Subscription(subject, messages_most, bytes_most, lost)
        if self.is_connected:
            self._standing().send(_subscribe(self._newest_id, subject))
        return self._newest_id, self._subscriptions[self._newest_id]

    def unsubscribe(self, number: int) -> None:
        """Hear no more of it."""
        del self._subscriptions[number]
        if self.is_connected:
            self._standing().send(b"UNSUB %d\r\n" % number)

    async def flush(self) -> None:
        """Wait until the server has taken in everything that was sent; raises NatsLost."""
        await self._standing().ping()

    async def connect(self) -> None:
        """Try each server once; raises NatsLost with what the last one said."""
        reason = "no server is named"
        for server in self._servers:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._wire = await self._enter(server)
            except (OSError, ValueError, TimeoutError) as error:  # NatsLost is an OSError too
                reason = str(error) or "no answer in time"
                continue
            for number, subscription in self._subscriptions.items():
                self._wire.send(_subscribe(number, subscription.subject))
            return
        raise NatsLost(reason)

    async def keep(self) -> None:
        """Watch the connection and make it again, until cancelled."""
        while True:
            if self._wire is not None:
                await self._watch(self._wire)
            try:
                await self.connect()
            except NatsLost:
                await asyncio.sleep(self._retry_s)

    def close(self) -> None:
        """Leave."""
        if self._wire is not None:
            self._wire.transport.close()

    def _standing(self) -> Wire:
        if self._wire is None or self._wire.lost.done():
            raise NatsLost("NATS is not connected")
        return self._wire

    async def _enter(self, server: Server) -> Wire:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(
            lambda: Wire(self._subscriptions.get, self._complain), server.host, server.port
        )
        try:
            info = await wire.info
            if server.tls or info.get("tls_required"):
                await _encrypt(wire, transport, server.host)
            wire.send(_introduction(self._name, server.login))
            await wire.ping()
        except BaseException:  # whatever ended the talk, a cancel too: nobody else knows of the transport
            transport.abort()
            raise
        return wire

    async def _watch(self, wire: Wire) -> None:
        """Wait until a connection is lost; one that leaves pings unanswered is."""
        while not wire.lost.done():
            await asyncio.wait([wire.lost], timeout=self._ping_every_s)
            if wire.mute_s > self._mute_most_s:
                wire.transport.abort()
                await wire.lost
            elif not wire.lost.done():
                wire.ping()


async def _encrypt(wire: Wire, transport: asyncio.Transport, host: str) -> None:
    loop, context = asyncio.get_running_loop(), ssl.create_default_context()
    encrypted = await loop.start_tls(transport, wire, context, server_hostname=host)
    assert encrypted is not None
    wire.use(encrypted)


def _introduction(name: str, login: Mapping[str, str]) -> bytes:
    """Without headers: ticks have none, and the server then leaves out those that others send."""
    said = {"verbose": False, "pedantic": False, "lang": "python", "version": "1", "protocol": 1, "headers": False}
    return b"CONNECT %b\r\n" % json.dumps(said | {"name": name} | dict(login)).encode()


def _subscribe(number: int, subject: str) -> bytes:
    return b"SUB %b %d\r\n" % (subject.encode(), number)


@lru_cache(SUBJECTS_KEPT)
def _publish_to(subject: str) -> bytes:
    """The beginning of the line; a subject is looked at once, because a stray blank would be a command of its own."""
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"{subject!r} is no subject to publish to.")
    return b"PUB %b " % subject.encode()
