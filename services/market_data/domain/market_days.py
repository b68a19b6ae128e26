"""When bars begin: at round times of UTC, and days at midnight of the market's own place."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from trading.clock import SECOND_NS
from trading.market import Interval

StartOf = Callable[[int], int]


class MarketDays:
    """The days of one time zone; the zone's hours must differ from UTC's by whole hours, so that bars nest."""

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = ZoneInfo(zone)
        self._start_ns, self._end_ns = 0, 0

    def start_of(self, time_ns: int) -> int:
        """Midnight before a moment; both in ns UTC."""
        if not self._start_ns <= time_ns < self._end_ns:
            self._turn_to(time_ns)
        return self._start_ns

    def _turn_to(self, time_ns: int) -> None:
        day = datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone(self._zone).date()
        self._start_ns, self._end_ns = (
            round(datetime(at.year, at.month, at.day, tzinfo=self._zone).timestamp()) * SECOND_NS
            for at in (day, day + timedelta(days=1))
        )


def start_of(interval: Interval, days: MarketDays) -> StartOf:
    """Gives the start of the bar that a moment belongs to."""
    if interval is Interval.ONE_DAY:
        return days.start_of
    length_ns = interval.seconds * SECOND_NS
    return lambda time_ns: time_ns - time_ns % length_ns
