"""uvicorn's HTTP protocol, with bounds for the head of a request and a problem document for what is no HTTP."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.gateway.problems import MEDIA_TYPE, title_of
from trading.ids import new_id


class BoundedProtocol(HttpToolsProtocol):
    """Parts from a client whose head does not end, whether it comes too slowly or is too long.

    uvicorn waits for the end of a head for ever and keeps as much of it as is sent: one caller without a key could
    hold every connection, or all the memory.
    """

    def __init__(self, *args: Any, head_s: float, head_bytes_max: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_s = head_s
        self._head_bytes_max = head_bytes_max
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to a head that has not ended; a whole request never meets the timer."""
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._head_bytes_max:
            self._refuse(431, "HEAD_TOO_LARGE", f"Expected a head of at most {self._head_bytes_max} bytes.")
        elif self._head_timer is None:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, "MALFORMED_REQUEST", msg)

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_s, self._give_up)

    def _end_head(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(408, "REQUEST_TIMEOUT", "The head of the request did not come in time.")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer and part, unless an answer to an earlier request is under way, which this would garble."""
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(_refusal(status, code, detail))
        self.transport.close()


def _refusal(status: int, code: str, detail: str) -> bytes:
    request_id = new_id()
    body = msgspec.json.encode(
        {
            "type": f"urn:neural-trader:problem:{code.lower().replace('_', '-')}",
            "title": title_of(status),
            "status": status,
            "detail": detail,
            "code": code,
            "instance": "",
            "request_id": request_id,
        }
    )
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        "connection": "close",
    }
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    return STATUS_LINE[status] + lines + b"\r\n" + body
