"""The HTTP of orders: kept-alive connections to one venue, a C parser, and nothing else on the way.

An order waits for this: a general client costs several times the CPU (docs/decisions/0005).
A request is never repeated: whether an order was taken is for the caller to find out.
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from services.execution.adapters.http_connection import Answer, BrokenAnswer, HttpConnection
from trading.errors import InvalidArgument, Unavailable

__all__ = ["Answer", "VenueHttp"]


class _Origin(NamedTuple):
    host: str
    port: int
    authority: str
    path: str
    tls: ssl.SSLContext | None


class VenueHttp:
    """A pool of at most `connections` connections to one base URL; every request carries the same headers."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str], timeout_s: float, connections: int = 32) -> None:
        self._origin = _origin(base_url)
        common = {"host": self._origin.authority, "content-type": "application/json", **headers}
        self._head = _header_lines(common)
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(connections)
        self._idle: list[HttpConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().close()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request, once; raises Unavailable when its answer did not come whole within the timeout."""
        target = f"{self._origin.path}{path}" + (f"?{urlencode(query)}" if query else "")
        request = b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (
            method.encode("ascii"),
            target.encode("ascii"),
            self._head,
            len(body),
            body,
        )
        ends_at = asyncio.get_running_loop().time() + self._timeout_s
        try:
            if self._room.locked() or not (connection := self._idle_connection()):
                async with asyncio.timeout_at(ends_at), self._room:
                    return await self._exchange(self._idle_connection() or await self._connect(), request, ends_at)
            async with self._room:
                return await self._exchange(connection, request, ends_at)
        except TimeoutError as error:
            raise Unavailable("The venue did not answer in time.", retry_after_s=1) from error
        except (OSError, BrokenAnswer) as error:
            raise Unavailable(f"The connection to the venue failed: {error}.", retry_after_s=1) from error

    async def _exchange(self, connection: HttpConnection, request: bytes, ends_at: float) -> Answer:
        try:
            answer = await connection.exchange(request, ends_at)
        except BaseException:  # a cancel or a timeout too leaves an answer on its way that nobody waits for
            connection.close()
            raise
        if connection.is_up:
            self._idle.append(connection)
        return answer

    def _idle_connection(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> HttpConnection:
        origin = self._origin
        _, connection = await asyncio.get_running_loop().create_connection(
            HttpConnection, origin.host, origin.port, ssl=origin.tls
        )
        return connection


def _origin(base_url: str) -> _Origin:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"{base_url!r} is no HTTP address.", url=base_url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    return _Origin(parts.hostname, port, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), tls)


def _header_lines(headers: Mapping[str, str]) -> bytes:
    """The lines as they go over the wire; a line break within one would smuggle another in."""
    for name, value in headers.items():
        if not (name + value).isprintable():
            raise InvalidArgument(f"The header {name!r} holds what no header may.", header=name)
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
