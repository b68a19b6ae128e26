"""A clock tells nanoseconds; a manual one moves only by hand."""

import time

from trading.clock import DAY_NS, MINUTE_NS, SECOND_NS, ManualClock, SystemClock


def test_the_system_clock_tells_the_host_s_time() -> None:
    before = time.time_ns()
    assert before <= SystemClock().now_ns() <= time.time_ns()


def test_durations_never_step_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic_ns() for _ in range(1_000)]
    assert readings == sorted(readings)


def test_a_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(5)
    clock.advance(10 * SECOND_NS)
    assert clock.now_ns() == clock.monotonic_ns() == 5 + 10 * SECOND_NS


def test_a_day_is_made_of_minutes() -> None:
    assert DAY_NS == 24 * 60 * MINUTE_NS
