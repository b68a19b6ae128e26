"""The time a request has left, carried along with it from service to service."""

import time
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(remaining_s: float | None) -> None:
    """Note that the current request must end `remaining_s` from now; None means it has no end."""
    _ends_at.set(None if remaining_s is None else time.monotonic() + remaining_s)


def remaining(default_s: float) -> float:
    """Seconds that a call made now may take: the smaller of the default and what the request has left."""
    ends_at = _ends_at.get()
    return default_s if ends_at is None else max(min(default_s, ends_at - time.monotonic()), 0.001)
