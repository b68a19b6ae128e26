"""Time as an argument: nanoseconds UTC for events, a monotonic count for durations."""

import time
from typing import Protocol

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS


class Clock(Protocol):
    """Where a use case gets its time from."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC; may step when the host's clock is set."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds for durations; never steps back."""
        ...


class SystemClock:
    """The host's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()


class ManualClock:
    """A clock that a test or a replay moves by hand."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def advance(self, by_ns: int) -> None:
        """Let `by_ns` nanoseconds pass."""
        self._now_ns += by_ns
