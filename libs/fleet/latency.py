"""Exact percentiles over the newest samples of a duration."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles of the window and the count of all samples; durations in ns."""

    p50_ns: int = 0
    p99_ns: int = 0
    mean_ns: int = 0
    count: int = 0


class LatencyWindow:
    """A ring of the newest samples; recording is O(1), summarising sorts the ring."""

    def __init__(self, capacity: int = 8192) -> None:
        self._samples = np.zeros(capacity, np.int64)
        self._count = 0

    def record(self, duration_ns: int) -> None:
        """Take in one sample; a negative one (a stepped clock) counts as 0."""
        self._samples[self._count % len(self._samples)] = max(duration_ns, 0)
        self._count += 1

    def summary(self) -> LatencySummary:
        """Percentiles of the newest samples; zeros before the first."""
        filled = self._samples[: min(self._count, len(self._samples))]
        if not len(filled):
            return LatencySummary()
        p50, p99 = np.percentile(filled, (50, 99))
        return LatencySummary(round(p50), round(p99), round(filled.mean()), self._count)
