"""uvicorn's WebSocket protocol, with a way to part from a client that no longer reads."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

EXTENSION = "neural_trader.close_now"
LINGER_S = 1.0
"""How long the last words may take to leave before the connection is cut."""


class StreamProtocol(WebSocketsSansIOProtocol):
    """Offers `close_now(code, reason)` to the application as an ASGI extension.

    The ASGI close waits until the client has taken what was sent before, which a stalled client never does.
    """

    def handle_connect(self, event: Any) -> None:
        """Accept the handshake as uvicorn does, and hand out the extension."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)  # missing when the handshake was refused
        if scope is not None:
            scope["extensions"][EXTENSION] = self.close_now

    async def send(self, message: Any) -> None:
        """Send as uvicorn does; a refusal in HTTP ends the handshake too, which uvicorn would call an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def close_now(self, code: int, reason: str) -> None:
        """Write the close frame behind whatever waits, and cut the connection soon after."""
        if self.close_sent or self.transport.is_closing():
            return
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            self.transport.abort()
            return
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)
