"""Alpaca's order stream: connected again at once after a loss, then with growing waits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidURI, WebSocketException

from services.execution.adapters.alpaca_orders import venue_update
from services.execution.adapters.venue_socket import StreamPatience, decoded, open_socket
from services.execution.domain.venue import StreamOpened, VenueUpdate
from trading.errors import InvalidArgument, Unavailable

_STREAM = "trade_updates"


class AlpacaTradeUpdates:
    """One connection to the order stream of one key."""

    def __init__(
        self, url: str, key_id: str, secret: SecretStr, log: Any, metrics: Any, patience: StreamPatience | None = None
    ) -> None:
        self._url = url
        self._key_id = key_id
        self._secret = secret
        self._log = log
        self._metrics = metrics
        self._patience = patience or StreamPatience()
        self.connected = False

    async def updates(self) -> AsyncGenerator[VenueUpdate | StreamOpened, None]:
        """Updates for ever; each (re)connection is announced, for what was said meanwhile is not said again."""
        failures = 0
        while True:
            try:
                async with aclosing(self._session()) as session:
                    async for update in session:
                        failures = 0
                        yield update
            except (OSError, TimeoutError, WebSocketException, Unavailable) as error:
                if isinstance(error, InvalidURI):
                    raise
                self._log.warning("venue.stream_lost", error=str(error), failures=failures)
            finally:
                self.connected = False
            self._metrics.venue_reconnects_total.labels("trade_updates").inc()
            await asyncio.sleep(self._patience.wait_s(failures))
            failures += 1

    async def _session(self) -> AsyncGenerator[VenueUpdate | StreamOpened, None]:
        patience = self._patience
        async with open_socket(self._url, patience) as socket:
            async with asyncio.timeout(patience.connect_s):
                await self._log_in(socket)
            self.connected = True
            yield StreamOpened()
            async for frame in socket:
                update = self._read(frame)
                if update is not None:
                    yield update

    async def _log_in(self, socket: ClientConnection) -> None:
        credentials = {"key_id": self._key_id, "secret_key": self._secret.get_secret_value()}
        await socket.send(_encode({"action": "authenticate", "data": credentials}))
        answer = decoded(await socket.recv())
        if answer.get("data", {}).get("status") != "authorized":
            raise Unavailable("The venue does not accept the key for its order stream.")
        await socket.send(_encode({"action": "listen", "data": {"streams": [_STREAM]}}))
        answer = decoded(await socket.recv())
        if _STREAM not in answer.get("data", {}).get("streams", []):
            raise Unavailable("The venue does not offer trade updates to the key.")

    def _read(self, frame: str | bytes) -> VenueUpdate | None:
        try:
            message = decoded(frame)
            return venue_update(message["data"]) if message.get("stream") == _STREAM else None
        except (InvalidArgument, KeyError) as error:
            self._log.error("venue.unreadable_update", error=str(error))
            return None


def _encode(message: Any) -> str:
    return msgspec.json.encode(message).decode()
