"""Percentiles are those of the newest samples, exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.latency import LatencySummary, LatencyWindow

SAMPLES = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)


@given(SAMPLES, st.integers(1, 64))
def test_the_summary_is_numpy_s_of_the_newest_samples(samples: list[int], capacity: int) -> None:
    window = LatencyWindow(capacity)
    for sample in samples:
        window.record(sample)
    newest = samples[-capacity:]
    p50, p99 = np.percentile(newest, (50, 99))
    expected = LatencySummary(round(p50), round(p99), round(np.mean(newest)), len(samples))
    assert window.summary() == expected


def test_an_empty_window_is_all_zeros() -> None:
    assert LatencyWindow().summary() == LatencySummary(0, 0, 0, 0)


def test_a_stepped_clock_counts_as_no_time() -> None:
    window = LatencyWindow()
    window.record(-5)
    assert window.summary() == LatencySummary(0, 0, 0, 1)


@pytest.mark.parametrize("capacity", [1, 8192])
def test_a_window_never_grows(capacity: int) -> None:
    window = LatencyWindow(capacity)
    for sample in range(3 * capacity):
        window.record(sample)
    assert window.summary().count == 3 * capacity
    assert window.summary().p50_ns >= 2 * capacity
