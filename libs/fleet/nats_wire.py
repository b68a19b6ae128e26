"""One connection of core NATS: what is sent leaves at once, what arrives is read where the socket is read.

The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from fleet.consumption import Message

LINE_BYTES_MOST = 1024 * 1024
"""The longest line of the protocol that is waited for: an INFO that lists a cluster."""
_NO_HEADERS: Mapping[str, str] = {}
STATUS = "Status"
"""The one header that is read here: the server's own word in place of an answer."""


class NatsLost(ConnectionError):
    """There is no connection to a NATS server, or there is none any more; it says why."""


class Listener(Protocol):
    """Whoever hears a subject."""

    subject: str

    def put(self, message: Message) -> None:
        """Take a message in, never waiting."""
        ...


class Straight:
    """Hands each message on where the socket is read."""

    def __init__(self, subject: str, take: Callable[[Message], None]) -> None:
        self.subject = subject
        self.put = take


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


Route = Callable[[int], Listener | None]


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
        try:
            self.transport.write(data)
        finally:
            self._loop.call_soon(self._send_gathered)

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
            has_headers = data.startswith(b"HMSG ", at)
            if not has_headers and not data.startswith(b"MSG ", at):
                self._hear(data[at:end])
                at = end + 2
                continue
            _, subject, sid, *_, length = words = data[at:end].split()
            begin, stop = end + 2, end + 2 + int(length)
            if stop + 2 > size:
                self._wait_for(data[at:], stop + 2 - size)
                return
            if (listener := self._route(int(sid))) is not None:
                headers, body = _NO_HEADERS, begin
                if has_headers:
                    body += int(words[-2])
                    headers = _status(data[begin:body])
                listener.put(Message(subject.decode(), data[body:stop], headers))
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


def _status(headers: bytes) -> Mapping[str, str]:
    """The server's own word, as in `NATS/1.0 503`; what other clients say in headers is left out."""
    _, _, status = headers.partition(b"\r\n")[0].partition(b" ")
    return {STATUS: status[:3].decode()} if status else _NO_HEADERS
