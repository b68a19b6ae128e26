"""How much one caller may ask for: a token bucket for each, refilled by the clock."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from trading.clock import SECOND_NS, Clock
from trading.errors import ResourceExhausted


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request, for the X-RateLimit headers."""

    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The three headers."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset_s),
        }


class RateLimiter:
    """Buckets of `burst` tokens that refill at `per_second`; the longest idle callers are forgotten."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int, callers_max: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._callers_max = callers_max
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, caller: str) -> Allowance:
        """Take one token; raises ResourceExhausted with `retry_after_s` when there is none."""
        now_ns = self._clock.monotonic_ns()
        tokens = self._tokens(caller, now_ns)
        left = tokens - 1 if tokens >= 1 else tokens
        self._keep(caller, left, now_ns)
        if tokens < 1:
            raise ResourceExhausted(
                "Too many requests.",
                reason="RATE_LIMITED",
                retry_after_s=math.ceil((1 - tokens) / self._per_second),
                limit=self._burst,
            )
        return Allowance(self._burst, int(left), math.ceil((self._burst - left) / self._per_second))

    def _tokens(self, caller: str, now_ns: int) -> float:
        tokens, seen_ns = self._buckets.get(caller, (float(self._burst), now_ns))
        return min(self._burst, tokens + (now_ns - seen_ns) / SECOND_NS * self._per_second)

    def _keep(self, caller: str, tokens: float, now_ns: int) -> None:
        self._buckets[caller] = (tokens, now_ns)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._callers_max:
            self._buckets.popitem(last=False)
