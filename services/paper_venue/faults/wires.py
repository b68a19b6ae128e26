"""The TCP connections below the protocols, for what only they can do: be reset."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Any

_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset instead of a farewell


class Wires:
    """Finds the connection of a customer by its address; `attach` gives the server's own set of connections."""

    def __init__(self) -> None:
        self._connections: Iterable[Any] = ()

    def attach(self, connections: Iterable[Any]) -> None:
        """Take the set that the server keeps; each has a `client` and a `transport`."""
        self._connections = connections

    def cut(self, client: tuple[str, int] | None) -> None:
        """Reset a customer's connection, if it is still there."""
        for connection in tuple(self._connections):
            if connection.client == client:
                _reset(connection.transport)


def _reset(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the customer was faster
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
