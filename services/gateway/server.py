"""uvicorn as a part of the service: starts, stops, and says clearly when its port is taken."""

import asyncio
import errno
import importlib.util
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from services.gateway.websocket.protocol import StreamProtocol
from trading.errors import Unavailable

BACKLOG = 2048
PING_INTERVAL_S = 20.0
KEEP_ALIVE_S = 30


@dataclass(frozen=True, slots=True)
class WireLimits:
    """How much a client may send before anybody looks at who it is, and how long that may take."""

    message_bytes_max: int
    head_bytes_max: int
    head_s: float


class _Uvicorn(uvicorn.Server):
    """uvicorn without signal handlers of its own: the service has them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield


def _protocol(limits: WireLimits) -> Any:
    """What makes uvicorn's protocol; where httptools is not to be had, uvicorn's other one, with its own bounds."""
    if importlib.util.find_spec("httptools") is None:
        return "h11"
    from services.gateway.http_protocol import BoundedProtocol

    return partial(BoundedProtocol, head_s=limits.head_s, head_bytes_max=limits.head_bytes_max)


class HttpServer:
    """REST and WebSocket on one port."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, limits: WireLimits, on_stop: Callable[[], None]) -> None:
        self._host = host
        self._port = port
        self._on_stop = on_stop
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=_protocol(limits),
            ws=StreamProtocol,
            ws_max_size=limits.message_bytes_max,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_INTERVAL_S,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._server = _Uvicorn(config)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    async def start(self) -> None:
        """Listen; raises Unavailable when the port is taken."""
        listener = self._listen()
        self._task = asyncio.create_task(self._server.serve([listener]), name="uvicorn")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            listening.cancel()
            self._task.result()

    async def stop(self, grace_s: float) -> None:
        """Tell streaming clients to go, let requests finish for `grace_s` seconds, close."""
        self._on_stop()
        self._server.config.timeout_graceful_shutdown = max(round(grace_s), 1)
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
            message = f"Cannot listen on {self._host}:{self._port}: {reason}."
            raise Unavailable(message, port=self._port) from error
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        return listener
