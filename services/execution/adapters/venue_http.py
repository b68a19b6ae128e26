"""A lean HTTP/1.1 client for one venue: kept-alive connections, h11's parser, nothing else on the way of an order.

The fleet's httpx client costs some milliseconds of CPU per request on the machines we measured; this one a tenth
of one. It never repeats a request: whether an order was taken is for the caller to find out.
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self, cast
from urllib.parse import urlencode, urlsplit

import h11

from trading.errors import Unavailable

_RECEIVED_BYTES_MOST = 16 * 1024 * 1024


class Answer(NamedTuple):
    """What the venue answered."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """The status is of the 2xx kind."""
        return 200 <= self.status < 300


class VenueHttp:
    """A pool of at most `connections` connections to one base URL; every request carries the same headers."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str], timeout_s: float, connections: int = 32) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        fixed = {"host": parts.netloc.rpartition("@")[2], "content-type": "application/json", **headers}
        self._headers = [(name.encode(), value.encode()) for name, value in fixed.items()]
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._idle:
            connection.close()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request, once; raises Unavailable when its answer did not come whole within the timeout."""
        target = f"{self._prefix}{path}" + (f"?{urlencode(query)}" if query else "")
        head = h11.Request(
            method=method, target=target, headers=[*self._headers, (b"content-length", str(len(body)).encode())]
        )
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                return await self._exchange(head, body)
        except TimeoutError as error:
            raise Unavailable("The venue did not answer in time.", retry_after_s=1) from error
        except (OSError, EOFError, h11.RemoteProtocolError) as error:
            raise Unavailable(f"The connection to the venue failed: {error}.", retry_after_s=1) from error

    async def _exchange(self, head: h11.Request, body: bytes) -> Answer:
        connection = await self._connection()
        try:
            answer = await connection.exchange(head, body)
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            connection.close()
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._host, self._port, ssl=self._tls
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._state = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._status = 0
        self._body = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._lost = False

    @property
    def is_reusable(self) -> bool:
        """The venue keeps it open and nothing is under way on it."""
        if not self._lost and self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        return not self._lost and self._state.our_state is h11.IDLE and self._state.their_state is h11.IDLE

    async def exchange(self, head: h11.Request, body: bytes) -> Answer:
        """Send a request and wait for the whole answer; raises EOFError when the venue hangs up before."""
        self._answer = asyncio.get_running_loop().create_future()
        self._body.clear()
        data = self._state.send(head) or b""
        if body:
            data += self._state.send(h11.Data(data=body)) or b""
        data += self._state.send(h11.EndOfMessage()) or b""
        if self._transport is None or self._lost:
            raise EOFError("it was closed")
        self._transport.write(data)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._state.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if exc is None and self._answer is not None and not self._answer.done():
            self.data_received(b"")  # the end of an answer that has no stated length
        self._fail(exc or EOFError("the venue hung up"))

    def _read(self) -> None:
        while True:
            event = self._state.next_event()
            match event:
                case h11.Response():
                    self._status = event.status_code
                case h11.Data():
                    self._body += event.data
                    if len(self._body) > _RECEIVED_BYTES_MOST:
                        raise h11.RemoteProtocolError("The answer is too long.")
                case h11.EndOfMessage():
                    self._finish()
                    return
                case h11.NEED_DATA | h11.PAUSED:
                    return

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(self._status, bytes(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
