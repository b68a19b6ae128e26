"""Judges stored series: what is missing, impossible, double, unlikely, or looks like a split."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trading.clock import DAY_NS, SECOND_NS
from trading.market import Interval

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SHOWN_MOST = 5
_SPREADS_OF_AN_OUTLIER = 12.0
_LEAST_OUTLIER = 0.01
_NORMAL_OF_MAD = 1.4826  # a normal distribution's standard deviation ÷ its median absolute deviation
_SILENCE_NS = 300 * SECOND_NS
_LONGEST_CLOSURE_DAYS = 4
_SPLIT_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
_SPLIT_TOLERANCE = 0.025


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is worth a look: from when to when (ns UTC), and how big it is."""

    start_ns: int
    end_ns: int
    size: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found in one series: how often, and the worst of each kind.

    `gaps` sizes are seconds without rows where rows were to be expected; `outliers` sizes are returns more than twelve
    robust standard deviations from their median; `splits` sizes are the ratios of prices before ÷ after.
    """

    rows: int
    duplicates: int = 0
    impossible: int = 0
    gaps: int = 0
    outliers: int = 0
    splits: int = 0
    worst_gaps: list[Finding] = field(default_factory=list)
    worst_outliers: list[Finding] = field(default_factory=list)
    likely_splits: list[Finding] = field(default_factory=list)


def judge_bars(times_ns: Int64s, prices: Sequence[Floats], interval: Interval) -> Quality:
    """Bars sorted by start; `prices` are open, high, low and close."""
    first, high, low, last = prices
    impossible = (low <= 0) | (high < np.maximum(first, last)) | (low > np.minimum(first, last))
    gaps = _missing_bars(times_ns, interval)
    outliers = _outliers(times_ns, last)
    splits = _splits(times_ns, first, last) if interval is Interval.ONE_DAY else []
    return Quality(
        len(times_ns),
        duplicates=int((np.diff(times_ns) == 0).sum()),
        impossible=int(impossible.sum()),
        gaps=len(gaps),
        outliers=len(outliers),
        splits=len(splits),
        worst_gaps=_worst(gaps),
        worst_outliers=_worst(outliers),
        likely_splits=_worst(splits),
    )


def judge_ticks(times_ns: Int64s, prices: Floats, impossible: int, duplicates: int) -> Quality:
    """Quotes (by their mids) or trades, sorted by time; more than five minutes of silence within a day is a gap."""
    gaps = _gaps(times_ns, np.diff(times_ns) > _SILENCE_NS, 0)
    outliers = _outliers(times_ns, prices)
    return Quality(
        len(times_ns),
        duplicates=duplicates,
        impossible=impossible,
        gaps=len(gaps),
        outliers=len(outliers),
        worst_gaps=_worst(gaps),
        worst_outliers=_worst(outliers),
    )


def _missing_bars(times_ns: Int64s, interval: Interval) -> list[Finding]:
    """Holes between two bars of one day; between days for daily bars, where a long weekend is none."""
    length_ns = interval.seconds * SECOND_NS
    steps = np.diff(times_ns)
    if interval is not Interval.ONE_DAY:
        return _gaps(times_ns, steps > length_ns, length_ns)
    weekdays = (times_ns // DAY_NS + 4) % 7  # 1970-01-01 was a Thursday; 0 is Sunday
    never_closes = bool(np.isin(weekdays, (0, 6)).mean() > 0.2) if len(times_ns) else False
    longest_ns = length_ns if never_closes else _LONGEST_CLOSURE_DAYS * DAY_NS
    return _found(times_ns, steps > longest_ns, length_ns)


def _gaps(times_ns: Int64s, is_wide: npt.NDArray[np.bool_], length_ns: int) -> list[Finding]:
    """Wide steps within one UTC day: between days, markets close."""
    days = times_ns // DAY_NS
    return _found(times_ns, is_wide & (np.diff(days) == 0), length_ns)


def _found(times_ns: Int64s, is_wide: npt.NDArray[np.bool_], length_ns: int) -> list[Finding]:
    holes = [(int(times_ns[at]) + length_ns, int(times_ns[at + 1])) for at in np.flatnonzero(is_wide)]
    return [Finding(start_ns, end_ns, (end_ns - start_ns) / 1e9) for start_ns, end_ns in holes]


def _outliers(times_ns: Int64s, prices: Floats) -> list[Finding]:
    """Returns beyond twelve robust standard deviations and one percent; what never moves has none."""
    if len(prices) < 3:
        return []
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = prices[1:] / prices[:-1] - 1.0
    moves = returns[np.isfinite(returns) & (returns != 0)]
    if not len(moves):
        return []
    middle = np.median(moves)
    spread = _NORMAL_OF_MAD * float(np.median(np.abs(moves - middle)))
    limit = max(_SPREADS_OF_AN_OUTLIER * spread, _LEAST_OUTLIER)
    found = np.flatnonzero(np.isfinite(returns) & (np.abs(returns - middle) > limit))
    return [Finding(int(times_ns[at]), int(times_ns[at + 1]), float(returns[at])) for at in found]


def _splits(times_ns: Int64s, first: Floats, last: Floats) -> list[Finding]:
    """Nights over which the price fell or rose by a ratio in which shares are split or merged."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = last[:-1] / first[1:]
    up_or_down = np.where(ratios >= 1, ratios, 1 / ratios)
    distance = np.min(np.abs(up_or_down[:, None] / np.array(_SPLIT_RATIOS) - 1), axis=1)
    found = np.flatnonzero(np.isfinite(ratios) & (distance <= _SPLIT_TOLERANCE))
    return [Finding(int(times_ns[at]), int(times_ns[at + 1]), float(ratios[at])) for at in found]


def _worst(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: -abs(finding.size))[:SHOWN_MOST]
