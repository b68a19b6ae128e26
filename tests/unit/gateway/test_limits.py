"""Token buckets, by a clock that the test moves."""

import pytest

from services.gateway.limits import RateLimiter
from trading.clock import SECOND_NS, ManualClock
from trading.errors import ResourceExhausted


def limiter(clock: ManualClock, callers_max: int = 10) -> RateLimiter:
    """Three at once, two a second."""
    return RateLimiter(clock, per_second=2, burst=3, callers_max=callers_max)


def test_a_burst_is_taken_and_the_next_is_refused() -> None:
    limits = limiter(ManualClock())
    assert [limits.take("a").remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(ResourceExhausted) as refusal:
        limits.take("a")
    assert refusal.value.metadata == {"retry_after_s": 1, "limit": 3}


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    clock = ManualClock()
    limits = limiter(clock)
    for _ in range(3):
        limits.take("a")
    clock.advance(SECOND_NS // 2)
    assert limits.take("a").remaining == 0
    clock.advance(1000 * SECOND_NS)
    assert limits.take("a").remaining == 2


def test_a_refusal_costs_nothing() -> None:
    clock = ManualClock()
    limits = limiter(clock)
    for _ in range(3):
        limits.take("a")
    for _ in range(50):
        with pytest.raises(ResourceExhausted):
            limits.take("a")
    clock.advance(SECOND_NS // 2)
    limits.take("a")


def test_callers_do_not_share() -> None:
    limits = limiter(ManualClock())
    for _ in range(3):
        limits.take("a")
    assert limits.take("b").remaining == 2


def test_the_longest_idle_caller_is_forgotten() -> None:
    limits = limiter(ManualClock(), callers_max=2)
    for caller in ("a", "a", "b", "c"):
        limits.take(caller)
    assert limits.take("a").remaining == 2


def test_the_headers_say_when_the_bucket_is_full_again() -> None:
    allowance = limiter(ManualClock()).take("a")
    assert allowance.headers() == {"x-ratelimit-limit": "3", "x-ratelimit-remaining": "2", "x-ratelimit-reset": "1"}
