"""The statistics of a curve, beside NumPy."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.portfolio.domain.equity import UNIT, Point
from services.portfolio.domain.performance import (
    DayResult,
    max_drawdown,
    performance_of,
    sharpe_ratio,
    sortino_ratio,
    thinned,
    turnover,
    volatility,
)
from trading.clock import DAY_NS
from trading.money import ONE

MONDAY = 4  # 1970 began on a Thursday


def a_point(time_ns: int, equity: float = 1000, growth: float = 1.0, **words: int) -> Point:
    named = {"paid_in_nanos": 1000 * ONE, "traded_nanos": 0, "realized_nanos": 0, "fees_nanos": 0} | words
    return Point(
        time_ns=time_ns, equity_nanos=round(equity * ONE), growth=round(growth * UNIT), unpriced=(), basis={}, **named
    )


def a_curve(growths: list[float], first_day: int = MONDAY) -> list[Point]:
    """One point at the end of each day, without a break."""
    return [a_point((first_day + number) * DAY_NS + 5, 1000 * value, value) for number, value in enumerate(growths)]


def is_weekend(day: int) -> bool:
    return int(np.datetime64(day, "D").astype("datetime64[D]").item().weekday()) >= 5


@given(st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=60))
def test_every_statistic_is_numpys(returns: list[float]) -> None:
    growths = [1.0, *np.cumprod(1 + np.array(returns))]
    points = a_curve(growths)
    found = performance_of(points, points[-1].time_ns)
    days = [point.time_ns // DAY_NS for point in points[1:]]
    exact = np.array([(after.growth - before.growth) / before.growth for before, after in pairwise(points)])
    has_moved = any(value for day, value in zip(days, exact, strict=True) if is_weekend(day))
    kept = np.array([value for day, value in zip(days, exact, strict=True) if has_moved or not is_weekend(day)])
    year = 365 if has_moved else 252
    assert found.total_return == pytest.approx(points[-1].growth / points[0].growth - 1, abs=1e-12)
    assert [day.return_ for day in found.days] == pytest.approx(list(kept), abs=1e-12)
    if len(kept) >= 2:
        assert found.volatility == pytest.approx(np.std(kept, ddof=1) * math.sqrt(year), rel=1e-9, abs=1e-12)
        deviation = np.std(kept, ddof=1)
        if deviation > 1e-9:
            assert found.sharpe_ratio == pytest.approx(kept.mean() / deviation * math.sqrt(year), rel=1e-9)
        downside = math.sqrt(np.mean(np.minimum(kept, 0) ** 2))
        if downside > 1e-9:
            assert found.sortino_ratio == pytest.approx(kept.mean() / downside * math.sqrt(year), rel=1e-9)
    curve = np.array([point.growth for point in points], dtype=float)
    assert found.max_drawdown == pytest.approx(float(np.max(1 - curve / np.maximum.accumulate(curve))), abs=1e-12)


def test_too_few_days_have_no_deviation() -> None:
    assert (volatility([0.1], 252), sharpe_ratio([0.1], 252), sortino_ratio([0.1], 252)) == (None, None, None)
    assert sharpe_ratio([0.1, 0.1], 252) is None
    assert sortino_ratio([0.1, 0.2], 252) is None


def test_a_weekend_counts_when_something_moved_on_it() -> None:
    resting = performance_of(a_curve([1, 1.01, 1.02, 1.0, 1.01, 1.01, 1.01, 1.02]), 0)
    moving = performance_of(a_curve([1, 1.01, 1.02, 1.0, 1.01, 1.01, 1.03, 1.02]), 0)
    assert (len(resting.days), len(moving.days)) == (5, 7)
    returns = np.array([day.return_ for day in moving.days])
    assert moving.volatility == pytest.approx(np.std(returns, ddof=1) * math.sqrt(365))


def test_a_day_leads_from_the_last_point_before_it_to_its_own_last() -> None:
    start = MONDAY * DAY_NS
    points = [
        a_point(start, 1000, 1.0),
        a_point(start + 60, 1100, 1.1),
        a_point(start + DAY_NS + 60, 2090, 1.09, paid_in_nanos=2000 * ONE),
        a_point(start + DAY_NS + 120, 2110, 1.11, paid_in_nanos=2000 * ONE),
    ]
    first, second = performance_of(points, 0).days
    assert first == DayResult(start, 100 * ONE, pytest.approx(0.1))
    assert second == DayResult(start + DAY_NS, 10 * ONE, pytest.approx(1.11 / 1.1 - 1))


def test_sums_are_of_the_stretch_alone() -> None:
    points = [a_point(1, realized_nanos=5, fees_nanos=2), a_point(2, realized_nanos=9, fees_nanos=3)]
    found = performance_of(points, 2)
    assert (found.realized_nanos, found.fees_nanos) == (4, 1)


def test_turnover_is_traded_value_over_equity_that_is_averaged_over_time() -> None:
    points = [a_point(0, 1000), a_point(30, 2000, traded_nanos=600 * ONE), a_point(40, 500, traded_nanos=700 * ONE)]
    mean = (1000 * 30 + 2000 * 10 + 500 * 60) / 100
    assert turnover(points, 100) == pytest.approx(700 / mean)
    assert turnover(points[:1], 0) == 0.0
    assert turnover([a_point(0, -5), a_point(5, -5, traded_nanos=ONE)], 10) == 0.0


def test_a_curve_that_has_nothing_to_lose_falls_no_deeper() -> None:
    assert max_drawdown([]) == 0.0
    assert max_drawdown([0, 0]) == 0.0
    assert max_drawdown([UNIT, 0, 0]) == 1.0


def test_one_point_has_no_statistics() -> None:
    found = performance_of([a_point(5)], 9)
    assert (found.total_return, found.days, found.max_drawdown, found.volatility) == (0.0, (), 0.0, None)


@pytest.mark.parametrize("most", [2, 3, 7, 99, 100, 200])
def test_a_thinned_curve_keeps_its_ends(most: int) -> None:
    points = [a_point(number) for number in range(100)]
    found = thinned(points, most)
    assert len(found) == min(most, 100)
    assert (found[0], found[-1]) == (points[0], points[-1])
    assert [point.time_ns for point in found] == sorted({point.time_ns for point in found})
