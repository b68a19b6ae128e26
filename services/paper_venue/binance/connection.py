"""What every WebSocket of this protocol has in common: an outbox, a bound on messages, a life of at most a day."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.paper_venue.feed import Outbox
from services.paper_venue.patience import run_out

log = structlog.get_logger()

_LAST_WORDS_S = 1.0
_GOING_AWAY, _POLICY_VIOLATION = 1001, 1008


@dataclass(frozen=True, slots=True)
class SocketRules:
    """Bounds of a connection; `messages_a_second` is what the customer may send, `notice_s` when the end is told."""

    outbox_frames: int = 32
    connections_most: int = 64
    messages_a_second: int = 5
    life_s: float = 86_400.0
    notice_s: float = 60.0


class Connection:
    """One customer's socket: messages are handed to `answer`, what it returns is sent."""

    def __init__(self, websocket: WebSocket, rules: SocketRules, answer: Callable[[str], str | None]) -> None:
        self.websocket = websocket
        self._rules = rules
        self._answer = answer
        self._outbox: Outbox[tuple[str, ...]] = Outbox(rules.outbox_frames)
        self._patience: asyncio.Timeout | None = None
        self._second, self._heard = 0, 0

    async def serve(self, notice: Callable[[], str]) -> None:
        """Read and write until either side ends it, or its life does."""
        loop = asyncio.get_running_loop()
        writer = asyncio.create_task(self._write())
        life_s = self._rules.life_s
        announcing = loop.call_later(max(life_s * 0.9, life_s - self._rules.notice_s), lambda: self.offer(notice()))
        try:
            async with asyncio.timeout(life_s) as self._patience:
                await self._read()
        except TimeoutError:
            await self.close(_GOING_AWAY)
        except WebSocketDisconnect:
            log.debug("connection closed by customer")
        finally:
            announcing.cancel()
            self._patience = None
            self._outbox.close()
            writer.cancel()

    async def close(self, code: int = _POLICY_VIOLATION) -> None:
        """Say goodbye; a customer who does not read is not waited for."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self.websocket.close(code)

    async def put(self, *texts: str) -> None:
        """Queue messages, waiting for room."""
        await self._outbox.put(texts)

    def offer(self, *texts: str) -> None:
        """Queue messages; who has no room is cut off, and catches up by REST."""
        if not self._outbox.offer(texts):
            self._outbox.close()
            run_out(self._patience)

    async def _read(self) -> None:
        while True:
            event = await self.websocket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            if self._too_many():
                await self.close()
                return
            text = event.get("text")
            said = self._answer(text if text is not None else (event.get("bytes") or b"").decode(errors="replace"))
            if said is not None:
                await self.put(said)

    def _too_many(self) -> bool:
        """The customer has sent more messages in this second than it may."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._heard = second, 0
        self._heard += 1
        return self._heard > self._rules.messages_a_second

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                for text in await self._outbox.get():
                    await self.websocket.send_text(text)


class Sockets:
    """Counts the connections of one endpoint; a newcomer beyond the most is refused."""

    def __init__(self, rules: SocketRules) -> None:
        self.rules = rules
        self._open = 0

    async def admit(self, websocket: WebSocket, serve: Callable[[], Awaitable[None]]) -> None:
        """Accept a connection and serve it."""
        await websocket.accept()
        if self._open >= self.rules.connections_most:
            await websocket.close(_POLICY_VIOLATION)
            return
        self._open += 1
        try:
            await serve()
        finally:
            self._open -= 1
