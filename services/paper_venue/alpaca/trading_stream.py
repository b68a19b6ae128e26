"""Alpaca's trading stream: authorise, listen, then every order event as it happens, in binary frames of JSON."""

import asyncio
import contextlib
from functools import cached_property
from typing import Any

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.paper_venue.alpaca.auth import Credentials
from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.payloads import event_name, trade_update
from services.paper_venue.domain.orders import OrderEvent
from services.paper_venue.feed import Outbox
from services.paper_venue.patience import run_out

log = structlog.get_logger()

TRADE_UPDATES = "trade_updates"
_ATTEMPTS = 2


class TradingStream:
    """The stream endpoint; `tell` is the exchange's listener."""

    def __init__(self, listing: Listing, credentials: Credentials, outbox_messages: int, auth_timeout_s: float) -> None:
        self._listing = listing
        self.credentials = credentials
        self.outbox_messages = outbox_messages
        self.auth_timeout_s = auth_timeout_s
        self._connections: set[_Connection] = set()

    def tell(self, event: OrderEvent) -> None:
        """Queue an order event for every connection that listens; it is encoded once."""
        listening = [connection for connection in self._connections if connection.listening]
        if listening and event_name(event) is not None:
            update = _Update(event, self._listing)
            for connection in listening:
                connection.tell(update)

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection until either side closes it."""
        await websocket.accept()
        connection = _Connection(websocket, self)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)


class _Update:
    """An order event, encoded when the first connection sends it: the answer to the order itself goes first."""

    def __init__(self, event: OrderEvent, listing: Listing) -> None:
        self._event = event
        self._listing = listing

    @cached_property
    def data(self) -> bytes:
        """The message."""
        return msgspec.json.encode(trade_update(self._event, self._listing))


class _Connection:
    """One customer of the trading stream."""

    def __init__(self, websocket: WebSocket, stream: TradingStream) -> None:
        self._websocket = websocket
        self._stream = stream
        self._outbox: Outbox[_Update] = Outbox(stream.outbox_messages)
        self._authorized = stream.credentials.match_headers(websocket.headers)
        self._attempts = 0
        self._patience: asyncio.Timeout | None = None
        self.listening = False

    async def serve(self) -> None:
        """Read and answer; write in a task of its own."""
        writer = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(None if self._authorized else self._stream.auth_timeout_s) as patience:
                await self._read(patience)
        except TimeoutError:
            log.info("trading stream closed", authorized=self._authorized)
            with contextlib.suppress(WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._websocket.close(code=1008)
        except WebSocketDisconnect:
            log.debug("trading stream closed by customer")
        finally:
            self._outbox.close()
            writer.cancel()

    def tell(self, update: _Update) -> None:
        """Queue a message; who falls behind the bound is cut off, to catch up by REST."""
        if not self._outbox.offer(update):
            self.listening = False
            run_out(self._patience)

    async def _read(self, patience: asyncio.Timeout) -> None:
        self._patience = patience
        try:
            while self._attempts < _ATTEMPTS:
                event = await self._websocket.receive()
                if event["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(event.get("code", 1005))
                await self._obey(_parse(event))
        finally:
            self.listening, self._patience = False, None
        await self._websocket.close(code=1008)

    async def _obey(self, message: dict[str, Any]) -> None:
        action, data = message.get("action"), message.get("data")
        body = data if isinstance(data, dict) else {}
        if action in ("authenticate", "auth"):
            await self._authorize(message.get("key", body.get("key_id")), message.get("secret", body.get("secret_key")))
        elif action == "listen" and self._authorized:
            await self._listen(body.get("streams"))
        else:
            await self._say_authorization("unauthorized", "listen" if action == "listen" else "unknown")

    async def _authorize(self, key: object, secret: object) -> None:
        if self._stream.credentials.match(key, secret):
            self._authorized = True
            if self._patience is not None:
                self._patience.reschedule(None)
            await self._say_authorization("authorized", "authenticate")
        else:
            self._attempts += 1
            await self._say_authorization("unauthorized", "authenticate")

    async def _listen(self, streams: object) -> None:
        names = [TRADE_UPDATES] if isinstance(streams, list) and TRADE_UPDATES in streams else []
        await self._say({"stream": "listening", "data": {"streams": names}})
        self.listening = bool(names)

    async def _say_authorization(self, status: str, action: str) -> None:
        await self._say({"stream": "authorization", "data": {"status": status, "action": action}})

    async def _say(self, message: dict[str, Any]) -> None:
        """Answers go out at once: nothing that is queued may come after a goodbye, nor an update before its ack."""
        await self._websocket.send_bytes(msgspec.json.encode(message))

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await self._websocket.send_bytes((await self._outbox.get()).data)


def _parse(event: Any) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(event.get("bytes") or event.get("text") or "")
    except msgspec.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}
