"""What a stretch of the equity curve amounts to; definitions with their sources.

Returns are those of `growth`: without what was paid in or out. The return of a UTC day leads from the last point of the
day before (of the stretch's beginning on its first day) to its own last point; a day without a point is no
observation. Saturdays and Sundays count only when something moved on one of them; a year then has 365 days, else 252.
The risk-free rate is zero.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from services.portfolio.domain.equity import Point
from trading.clock import DAY_NS

_THURSDAY = 4
"""1970 began on one: day 2 was a Saturday."""
TRADING_DAYS, CALENDAR_DAYS = 252, 365


class DayResult(NamedTuple):
    """A UTC day that was observed: when it began, what it earned in nanos, and its return."""

    start_time_ns: int
    pnl_nanos: int
    return_: float


class Performance(NamedTuple):
    """Statistics of a stretch; amounts in nanos of the account's currency."""

    total_return: float
    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float
    turnover: float
    volatility: float | None
    days: tuple[DayResult, ...]
    realized_nanos: int
    fees_nanos: int


def performance_of(points: Sequence[Point], end_ns: int) -> Performance:
    """Statistics of points by time, at least one; the last one holds until `end_ns`."""
    first, last = points[0], points[-1]
    days = _observed(_days(points))
    returns = [day.return_ for day in days]
    year = CALENDAR_DAYS if any(_is_weekend(day) for day in days) else TRADING_DAYS
    return Performance(
        total_return=_return(first.growth, last.growth),
        sharpe_ratio=sharpe_ratio(returns, year),
        sortino_ratio=sortino_ratio(returns, year),
        max_drawdown=max_drawdown([point.growth for point in points]),
        turnover=turnover(points, end_ns),
        volatility=volatility(returns, year),
        days=tuple(days),
        realized_nanos=last.realized_nanos - first.realized_nanos,
        fees_nanos=last.fees_nanos - first.fees_nanos,
    )


def volatility(returns: Sequence[float], year: int) -> float | None:
    """√year × the sample standard deviation (n − 1) of daily returns; None before there are two."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    return math.sqrt(year * math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1))


def sharpe_ratio(returns: Sequence[float], year: int) -> float | None:
    """year × mean ÷ volatility (Sharpe 1994, "The Sharpe Ratio", ex post, against zero); None without deviation."""
    deviation = volatility(returns, year)
    return year * math.fsum(returns) / len(returns) / deviation if deviation else None


def sortino_ratio(returns: Sequence[float], year: int) -> float | None:
    """year × mean ÷ (√year × downside deviation) (Sortino and Price 1994, with zero as the target).

    The downside deviation is √(mean of min(r, 0)²) over all observations; None before there are two or without a loss.
    """
    if len(returns) < 2:
        return None
    downside = math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns))
    return math.sqrt(year) * math.fsum(returns) / len(returns) / downside if downside else None


def max_drawdown(growth: Sequence[int]) -> float:
    """The deepest fall below an earlier peak of the compounded curve, a positive fraction of that peak."""
    peaks = accumulate(growth, max)
    return max((1 - value / peak for value, peak in zip(growth, peaks, strict=True) if peak), default=0.0)


def turnover(points: Sequence[Point], end_ns: int) -> float:
    """Value of all that was bought and sold ÷ equity, which is averaged over time; 0 without a positive equity."""
    traded = points[-1].traded_nanos - points[0].traded_nanos
    times = [*(point.time_ns for point in points), max(end_ns, points[-1].time_ns)]
    spans = [after - before for before, after in pairwise(times)]
    whole = sum(spans)
    held = sum(point.equity_nanos * span for point, span in zip(points, spans, strict=True))
    mean = held / whole if whole else points[-1].equity_nanos
    return traded / mean if mean > 0 else 0.0


def _days(points: Sequence[Point]) -> list[DayResult]:
    closes: dict[int, Point] = {}
    for point in points[1:]:
        closes[point.time_ns // DAY_NS] = point
    ends = [points[0], *closes.values()]
    return [
        DayResult(day * DAY_NS, _earned(before, after), _return(before.growth, after.growth))
        for day, (before, after) in zip(closes, pairwise(ends), strict=True)
    ]


def _earned(before: Point, after: Point) -> int:
    return after.equity_nanos - before.equity_nanos - (after.paid_in_nanos - before.paid_in_nanos)


def _return(before: int, after: int) -> float:
    return (after - before) / before if before else 0.0


def _observed(days: list[DayResult]) -> list[DayResult]:
    """Without the weekends, unless something moved on one of them."""
    if any(day.return_ for day in days if _is_weekend(day)):
        return days
    return [day for day in days if not _is_weekend(day)]


def _is_weekend(day: DayResult) -> bool:
    return (day.start_time_ns // DAY_NS + _THURSDAY) % 7 in {6, 0}


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points (two at least), evenly by their number: the first, the last, and some between."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[number * last // (most - 1)] for number in range(most)]
