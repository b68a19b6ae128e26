"""uvicorn as a part of the service: starts, stops, and says clearly when its port is taken."""

import asyncio
import errno
import importlib.util
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from services.gateway.websocket.protocol import StreamProtocol
from trading.errors import Unavailable

BACKLOG = 2048
PING_INTERVAL_S = 20.0
KEEP_ALIVE_S = 30


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


class HttpServer:
    """REST and WebSocket on one port."""

    def __init__(
        self, app: ASGIApp, *, host: str, port: int, message_bytes_max: int, on_stop: Callable[[], None]
    ) -> None:
        self._host = host
        self._port = port
        self._on_stop = on_stop
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http="httptools" if importlib.util.find_spec("httptools") else "h11",
            ws=StreamProtocol,
            ws_max_size=message_bytes_max,
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
