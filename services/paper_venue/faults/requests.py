"""HTTP under faults: what a request is about, and answers that come late, wrongly or never."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from services.paper_venue.faults.fault import Board, Fault, Kind, Message, Place, Protocol
from services.paper_venue.faults.messages import Reader

Event = Any
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]
_LONGEST_SILENCE_S = 3_600.0
_SYMBOL_NAMES = ("symbol", "symbols", "ticker", "tickers")
_WORDS = {
    403: "forbidden.",
    418: "too many requests.",
    422: "unprocessable request.",
    429: "too many requests.",
    504: "timeout waiting for response from backend server; execution status unknown.",
}
_BINANCE_CODES = {401: -1002, 403: -1002, 418: -1003, 422: -1000, 429: -1003, 504: -1007}
_BODIES: dict[Protocol, Callable[[int, int, str], dict[str, object]]] = {
    Protocol.ALPACA: lambda status, code, words: {"code": code or status * 100_000 + 10_000, "message": words},
    Protocol.POLYGON: lambda status, code, words: {"status": "ERROR", "request_id": "0" * 32, "error": words},
    Protocol.BINANCE: lambda status, code, words: {"code": code or _BINANCE_CODES.get(status, -1001), "msg": words},
}


class FaultyRequest:
    """One HTTP request of a protocol."""

    def __init__(self, place: Place, board: Board, reader: Reader, cut: Callable[[], None]) -> None:
        self._place = place
        self._board = board
        self._reader = reader
        self._cut = cut

    async def serve(self, app: App, scope: Any, receive: Receive, send: Send) -> None:
        """Handle the request as far as the first fault that strikes it allows."""
        covering = self._board.covering(self._place)
        if any(armed.fault.symbols for armed in covering):
            body, receive = await _read(receive)
            about = Message(symbols=self._symbols(scope, body))
        else:
            about = Message()
        for armed in covering:
            if armed.fault.picks(about) and self._board.strike(armed):
                await self._suffer(armed.fault, app, scope, receive, send)
                return
        await app(scope, receive, send)

    async def _suffer(self, fault: Fault, app: App, scope: Any, receive: Receive, send: Send) -> None:
        match fault.kind:
            case Kind.STATUS:
                await answer(fault, self._place.protocol, "http.response", send)
            case Kind.REFUSE:
                await self._reset(receive)
            case Kind.DROP:
                await _gone(receive)
            case Kind.DELAY:
                await app(scope, receive, _Delayed(fault.delay_s, send))
            case Kind.MUTE:
                await app(scope, receive, _swallow)
                await _gone(receive)
            case _:
                await app(scope, receive, _swallow)
                await self._reset(receive)

    async def _reset(self, receive: Receive) -> None:
        self._cut()
        await _gone(receive)

    def _symbols(self, scope: Any, body: bytes) -> frozenset[str]:
        """Every symbol that the path, the query or the body names."""
        named = [value for name, value in parse_qsl(scope["query_string"].decode()) if name in _SYMBOL_NAMES]
        named += [value for name, value in _members(body).items() if name in _SYMBOL_NAMES and isinstance(value, str)]
        words = [*scope["path"].split("/"), *(word for value in named for word in value.split(","))]
        return frozenset(self._reader.canonical(word) for word in words if word)


async def answer(fault: Fault, protocol: Protocol, kind: str, send: Send) -> None:
    """Answer with the fault's status in the venue's words; `kind` is the prefix of the ASGI events."""
    headers = [(b"content-type", b"application/json")]
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", str(fault.retry_after_s).encode()))
    words = fault.message or _WORDS.get(fault.status, "internal error occurred.")
    body = msgspec.json.encode(_BODIES[protocol](fault.status, fault.error_code or 0, words))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": f"{kind}.start", "status": fault.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


class _Delayed:
    """Sends an answer, all of it, after a while."""

    def __init__(self, delay_s: float, send: Send) -> None:
        self._delay_s = delay_s
        self._send = send

    async def __call__(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            await asyncio.sleep(self._delay_s)
        await self._send(event)


async def _swallow(event: Event) -> None:
    """Lose an event of an answer."""


async def _gone(receive: Receive) -> None:
    """Wait until the customer has given the connection up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_SILENCE_S):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a `receive` that gives it once more."""
    events = [await receive()]
    while events[-1].get("more_body", False):
        events.append(await receive())
    body = b"".join(event.get("body", b"") for event in events)

    async def again() -> Event:
        return events.pop(0) if events else await receive()

    return body, again


def _members(body: bytes) -> dict[str, Any]:
    """The members of a body in JSON, or in the form that Binance's customers use."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return dict(parse_qsl(body.decode(errors="replace")))
    return found if isinstance(found, dict) else {}
