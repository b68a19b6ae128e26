"""Serves the venue on one port: REST and WebSocket by uvicorn, the market beside it, until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette

from services.paper_venue.wiring import Venue

log = structlog.get_logger()

_BACKLOG = 1024
_LARGEST_MESSAGE = 1 << 20
_LONGEST_ADDRESS = 65_536
_PING_S = 60.0
_DRAIN_S = 2


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its own signals, telling when it has begun."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()


async def serve(venue: Venue, listener: socket.socket, on_started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then close every connection; a market that dies takes the venue down."""
    server = _Server(_config(Starlette(routes=venue.routes)), on_started)
    venue.wires.attach(server.server_state.connections)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, _stop, server)
    async with asyncio.TaskGroup() as tasks:
        market = tasks.create_task(venue.pump.run())
        days = tasks.create_task(venue.keep_days())
        await server.serve(sockets=[listener])
        market.cancel()
        days.cancel()


def _stop(server: uvicorn.Server) -> None:
    log.info("stopping")
    server.should_exit = True


def _config(app: Any) -> uvicorn.Config:
    # websockets reads this when it is first imported, by uvicorn, below; Binance's customers name up to 1,024 streams
    # in one address, and a longer line than websockets takes would be left without an answer.
    os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(_LONGEST_ADDRESS))
    return uvicorn.Config(
        app,
        http="auto",
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=_PING_S,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
