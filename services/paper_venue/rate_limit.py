"""How many calls per minute a customer has, for the protocols that count calls."""

import time
from collections.abc import Callable

_WINDOW_S = 60


class RateLimit:
    """So many calls in each minute of the clock."""

    def __init__(self, per_minute: int, now_s: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._now_s = now_s
        self._window = 0
        self._used = 0

    def take(self) -> bool:
        """Count one call; says whether it was within the limit."""
        window = int(self._now_s()) // _WINDOW_S
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used <= self.per_minute

    @property
    def left(self) -> int:
        """How many calls are left in this minute."""
        return max(0, self.per_minute - self._used)

    @property
    def ends_s(self) -> int:
        """When the limit is whole again, in unix seconds."""
        return (self._window + 1) * _WINDOW_S

    @property
    def left_s(self) -> int:
        """How many seconds it is until then, at least 1."""
        return max(1, self.ends_s - int(self._now_s()))
