"""Daily closes of several symbols, laid side by side as simple returns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.matrices import Floats
from trading.clock import DAY_NS
from trading.errors import FailedPrecondition, InvalidArgument

WINDOW_DAYS_MOST = 2520
"""Ten years of sessions."""
_CALENDAR_DAYS_PER_SESSION = 1.6
_SPARE_DAYS = 14

Closes = Mapping[int, float]
"""Close by day, counted in whole days since 1970."""


class Span(NamedTuple):
    """A stretch of time, ns UTC: the first moment is part of it, the last is not."""

    start_ns: int
    end_ns: int


def span_of(days: int, now_ns: int) -> Span:
    """Time that surely holds `days` returns, up to the last finished UTC day.

    A day that still goes on has no close yet. Raises InvalidArgument for a window that makes no sense.
    """
    if not 2 <= days <= WINDOW_DAYS_MOST:
        raise InvalidArgument(f"Expected a window of 2-{WINDOW_DAYS_MOST} days.", field="window_days", was=days)
    end_ns = now_ns // DAY_NS * DAY_NS
    return Span(end_ns - int(days * _CALENDAR_DAYS_PER_SESSION + _SPARE_DAYS) * DAY_NS, end_ns)


def aligned_returns(symbols: Sequence[str], closes: Sequence[Closes], days: int) -> Floats:
    """The newest `days` simple returns, days × symbols, over the days that every symbol traded; oldest first.

    Raises FailedPrecondition INSUFFICIENT_HISTORY, naming the symbol with the fewest days.
    """
    common = sorted(set.intersection(*(set(column) for column in closes)))[-days - 1 :]
    if len(common) <= days:
        available = max(len(common) - 1, 0)
        shortest = min(range(len(symbols)), key=lambda index: len(closes[index]))
        raise FailedPrecondition(
            f"Expected {days} common daily returns, was {available}.",
            reason="INSUFFICIENT_HISTORY",
            constraint="window_days",
            wanted=days,
            available=available,
            shortest=symbols[shortest],
        )
    prices = np.array([[column[day] for column in closes] for day in common], dtype=np.float64)
    returns: Floats = prices[1:] / prices[:-1] - 1.0
    return returns
