"""What the quality report finds, and what it leaves alone."""

import numpy as np
import pytest

from services.market_data.domain.quality import Finding, Quality, judge_bars, judge_ticks
from trading.clock import DAY_NS, MINUTE_NS
from trading.market import Interval

MONDAY_NS = 1_772_409_600 * 10**9  # 2026-03-02


def bars(closes: list[float], starts: list[int], interval: Interval, **changes: list[float]) -> Quality:
    """Bars that know one price each."""
    close = np.array(closes, np.float64)
    columns = {name: np.array(changes.get(name, closes), np.float64) for name in ("open", "high", "low")}
    times = np.array(starts, np.int64)
    return judge_bars(times, [columns["open"], columns["high"], columns["low"], close], interval)


def minutes(*at: int) -> list[int]:
    return [MONDAY_NS + one * MINUTE_NS for one in at]


def test_a_hole_within_a_day_is_a_gap_with_its_range() -> None:
    found = bars([1, 1, 1], minutes(0, 1, 4), Interval.ONE_MINUTE)

    assert (found.gaps, found.duplicates) == (1, 0)
    assert found.worst_gaps == [Finding(MONDAY_NS + 2 * MINUTE_NS, MONDAY_NS + 4 * MINUTE_NS, 120.0)]


def test_a_night_is_no_gap() -> None:
    assert bars([1, 1], minutes(0, 1440), Interval.ONE_MINUTE).gaps == 0


@pytest.mark.parametrize(("days", "gaps"), [((0, 1, 4), 0), ((0, 1, 2, 3, 4, 5, 6, 8), 1), ((0, 6), 1)])
def test_a_weekend_is_a_gap_only_where_markets_never_close(days: tuple[int, ...], gaps: int) -> None:
    assert bars([1] * len(days), [MONDAY_NS + day * DAY_NS for day in days], Interval.ONE_DAY).gaps == gaps


def test_two_bars_of_one_start_are_duplicates() -> None:
    assert bars([1, 1, 2], minutes(0, 0, 1), Interval.ONE_MINUTE).duplicates == 1


def test_prices_that_cannot_be_are_counted() -> None:
    found = bars([5, 5, 5, 5], minutes(0, 1, 2, 3), Interval.ONE_MINUTE, high=[4, 5, 5, 5], low=[5, 6, 5, -1])

    assert found.impossible == 3


def test_a_jump_far_out_of_the_usual_is_an_outlier() -> None:
    closes = [100 + (at % 2) * 0.1 for at in range(100)]
    closes[50] = 120

    found = bars(closes, minutes(*range(100)), Interval.ONE_MINUTE)

    assert found.outliers == 2
    assert [round(outlier.size, 2) for outlier in found.worst_outliers] == [0.2, -0.17]


def test_a_price_that_never_moves_has_no_outliers() -> None:
    assert bars([5.0] * 10, minutes(*range(10)), Interval.ONE_MINUTE).outliers == 0


@pytest.mark.parametrize(("before", "after", "splits"), [(400, 100, 1), (10, 100, 1), (100, 80, 0), (150, 100, 1)])
def test_a_night_that_divides_the_price_looks_like_a_split(before: float, after: float, splits: int) -> None:
    days = [MONDAY_NS + day * DAY_NS for day in range(4)]

    found = bars([before, before, after, after], days, Interval.ONE_DAY)

    assert found.splits == splits
    assert [finding.size for finding in found.likely_splits] == [before / after] * splits


def test_ticks_are_judged_by_silence_and_not_by_equal_times() -> None:
    times = np.array([0, 0, 0, 301, 302, 86_400], np.int64) * 10**9 + MONDAY_NS

    found = judge_ticks(times, np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), impossible=2, duplicates=3)

    assert (found.gaps, found.impossible, found.duplicates, found.rows) == (1, 2, 3, 6)
    assert found.worst_gaps[0].size == 301


def test_one_row_is_enough_to_be_judged() -> None:
    assert judge_ticks(np.array([1]), np.array([1.0]), 0, 0).rows == 1
    assert bars([1.0], minutes(0), Interval.ONE_DAY).splits == 0
