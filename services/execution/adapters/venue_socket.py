"""What the order streams of all venues share: how a WebSocket is opened, how long is waited after it was lost."""

import random
from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.asyncio.client import connect

from trading.errors import InvalidArgument

_MESSAGE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamPatience:
    """Waits of a stream in seconds: the first reconnect within the jitter, later ones doubled up to the cap."""

    connect_s: float = 5.0
    ping_s: float = 5.0
    close_s: float = 0.5
    jitter_s: float = 0.25
    first_wait_s: float = 0.5
    longest_wait_s: float = 10.0

    def wait_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        jitter = random.uniform(0, self.jitter_s)  # noqa: S311 - spreads reconnects, guards nothing
        if failures == 0:
            return jitter
        return min(self.first_wait_s * 2.0 ** (failures - 1), self.longest_wait_s) + jitter


def open_socket(url: str, patience: StreamPatience) -> connect:
    """A connection that pings, bounded in everything; to be awaited or entered."""
    return connect(
        url,
        proxy=None,
        open_timeout=patience.connect_s,
        ping_interval=patience.ping_s,
        ping_timeout=patience.ping_s,
        close_timeout=patience.close_s,
        compression=None,
        max_size=_MESSAGE_BYTES_MAX,
    )


def decoded(frame: str | bytes) -> dict[str, Any]:
    """A frame's JSON object, empty for other JSON; raises InvalidArgument for what is no JSON."""
    try:
        message = msgspec.json.decode(frame)
    except msgspec.DecodeError as error:
        raise InvalidArgument("The venue's message is no JSON.", message=str(frame)[:100]) from error
    return message if isinstance(message, dict) else {}
