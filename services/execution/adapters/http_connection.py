"""One HTTP/1.1 connection of a client: a request out, its answer in, one at a time."""

import asyncio
import select
from typing import NamedTuple, cast

import httptools

RECEIVED_BYTES_MOST = 16 * 1024 * 1024
_INTERIM_BELOW = 200
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_PAUSE = b"retry-after"


class Answer(NamedTuple):
    """What the venue answered; `retry_after_s` is how long it wants to hear nothing more, 0 when it does not say."""

    status: int
    body: bytes
    retry_after_s: int = 0

    @property
    def is_success(self) -> bool:
        """The status is of the 2xx kind."""
        return 200 <= self.status < 300


class BrokenAnswer(Exception):
    """The answer is no HTTP, is too long, or ended before it was whole."""


class HttpConnection(asyncio.Protocol):
    """Made by `create_connection`; usable while `is_open` and nobody else's answer is awaited."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._body = bytearray()
        self._is_framed = False
        self._has_head = False
        self._retry_after_s = 0

    @property
    def is_up(self) -> bool:
        """Neither side has ended the connection, as far as we were told."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_open(self) -> bool:
        """The connection is up and may carry another request.

        While nothing was asked there is nothing to read; if there is, the venue hung up and the loop has yet to see.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        return not _is_readable(self._transport.get_extra_info("socket").fileno())

    async def exchange(self, request: bytes, ends_at: float) -> Answer:
        """Send a request and wait for its answer; raises BrokenAnswer, OSError, or TimeoutError at `ends_at`.

        (`ends_at` is the loop's time. A timer costs a third of `asyncio.timeout`, which every order would pay.)
        """
        assert self._transport is not None, "made by create_connection"
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        timer = loop.call_at(ends_at, self._fail, TimeoutError())
        try:
            self._transport.write(request)
            return await self._answer
        finally:
            timer.cancel()

    def close(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Up."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenAnswer(f"what it says is no HTTP ({error})"))

    def connection_lost(self, error: Exception | None) -> None:
        """Down: the end of an answer that did not say its length, or the loss of one that did."""
        if error is None and self._has_head and not self._is_framed:
            self._conclude()
        self._fail(error if isinstance(error, OSError) else BrokenAnswer("it was closed before the answer was whole"))

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for ends the connection."""
        self._body.clear()
        self._is_framed = self._has_head = False
        self._retry_after_s = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Whether the answer says where it ends, and how long to wait; a date to wait for is not read."""
        known = name.lower()
        self._is_framed = self._is_framed or known in _FRAMING
        if known == _PAUSE and value.isdigit():
            self._retry_after_s = int(value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._has_head = True

    def on_body(self, part: bytes) -> None:
        """A piece of the body."""
        self._body += part
        if len(self._body) > RECEIVED_BYTES_MOST:
            self._fail(BrokenAnswer("the answer is too long"))

    def on_message_complete(self) -> None:
        """The answer is whole; an interim one is none."""
        if self._parser.get_status_code() < _INTERIM_BELOW:
            return
        keeps = self._parser.should_keep_alive()
        self._conclude()
        if not keeps and self._transport is not None:
            self._transport.close()

    def _conclude(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:  # nobody asked
            self.close()
        elif not answer.done():
            answer.set_result(Answer(self._parser.get_status_code(), bytes(self._body), self._retry_after_s))

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.close()


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows, where a descriptor may have any number
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
