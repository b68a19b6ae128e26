"""Core NATS without detours, for ticks and for events on their way out: a connection that is made again for ever.

Ticks are one message at a time and cold, so each turn of the event loop between a socket and a handler costs as much
as all other work. nats-py, which reads JetStream, takes two on the way in and one on the way out; this takes one and
none.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from fleet.consumption import Message
from fleet.nats_wire import Listener, NatsLost, Straight, Subscription, Wire

CONNECT_TIMEOUT_S = 1.0
SUBJECTS_KEPT = 65_536
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


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


class Letter(NamedTuple):
    """A message with headers (as they go over the wire, their empty last line included) and where to answer it."""

    subject: str
    reply: str
    headers: bytes
    payload: bytes


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
        self._listeners: dict[int, Listener] = {}
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

    def publish_at_once(self, subject: str, payload: bytes, *, unsent_most: int) -> bool:
        """Send a message if there is a connection that takes it and has no more than that to send; whether it did.

        Raises ValueError for what is no subject.
        """
        wire = self._wire
        if wire is None or wire.lost.done() or len(payload) > wire.payload_most or wire.unsent_bytes > unsent_most:
            return False
        wire.send(b"%b%d\r\n%b\r\n" % (_publish_to(subject), len(payload), payload))
        return True

    def framed(self, letter: Letter) -> bytes:
        """A message with headers, to be posted in this turn of the event loop.

        Raises NatsLost, and ValueError for what is no subject or too long for the server.
        """
        return _framed(letter, self._standing().payload_most)

    def post(self, frames: Iterable[bytes]) -> None:
        """Send framed messages in one piece, in their order; raises NatsLost."""
        self._standing().send(b"".join(frames))

    def subscribe(
        self, subject: str, *, messages_most: int, bytes_most: int, lost: Callable[[], None]
    ) -> tuple[int, Subscription]:
        """Hear a subject, which may have wildcards, over this connection and all that follow; and its number."""
        subscription = Subscription(subject, messages_most, bytes_most, lost)
        return self._listen(subscription), subscription

    def hear(self, subject: str, take: Callable[[Message], None]) -> int:
        """Hand the messages of a subject to `take` where they are read; it must be quick and must not raise."""
        return self._listen(Straight(subject, take))

    def unsubscribe(self, number: int) -> None:
        """Hear no more of it."""
        del self._listeners[number]
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
            for number, listener in self._listeners.items():
                self._wire.send(_subscribe(number, listener.subject))
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

    def _listen(self, listener: Listener) -> int:
        self._newest_id += 1
        self._listeners[self._newest_id] = listener
        if self.is_connected:
            self._standing().send(_subscribe(self._newest_id, listener.subject))
        return self._newest_id

    def _standing(self) -> Wire:
        if self._wire is None or self._wire.lost.done():
            raise NatsLost("NATS is not connected")
        return self._wire

    async def _enter(self, server: Server) -> Wire:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(
            lambda: Wire(self._listeners.get, self._complain), server.host, server.port
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
    """With headers, which events have, and which say that nobody takes an event."""
    said = {"verbose": False, "pedantic": False, "lang": "python", "version": "1", "protocol": 1}
    said |= {"headers": True, "no_responders": True}
    return b"CONNECT %b\r\n" % json.dumps(said | {"name": name} | dict(login)).encode()


def _subscribe(number: int, subject: str) -> bytes:
    return b"SUB %b %d\r\n" % (subject.encode(), number)


def _framed(letter: Letter, payload_most: int) -> bytes:
    headers, payload = letter.headers, letter.payload
    size = len(headers) + len(payload)
    if size > payload_most:
        raise ValueError(f"The server takes {payload_most} bytes in a message, not {size}.")
    reply = letter.reply.encode()
    return b"H%b%b %d %d\r\n%b%b\r\n" % (_publish_to(letter.subject), reply, len(headers), size, headers, payload)


@lru_cache(SUBJECTS_KEPT)
def _publish_to(subject: str) -> bytes:
    """The beginning of the line; a subject is looked at once, because a stray blank would be a command of its own."""
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"{subject!r} is no subject to publish to.")
    return b"PUB %b " % subject.encode()
