"""When the market is open: always, or New York hours on weekdays (no holidays: this is a practice ground)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from trading.instruments import ALWAYS_OPEN

NEW_YORK = ZoneInfo("America/New_York")
OPENS, CLOSES = time(9, 30), time(16, 0)
SESSION_MINUTES = 390


class SessionRule(StrEnum):
    """ALWAYS is open round the clock, its trading day ending at midnight in New York; NYSE keeps exchange hours."""

    ALWAYS = "always"
    NYSE = "nyse"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Answers what a clock and a calendar are asked; all times in ns UTC."""

    rule: SessionRule

    def is_open(self, now_ns: int) -> bool:
        """The market of shares trades at this moment."""
        if self.rule is SessionRule.ALWAYS:
            return True
        local = _new_york(now_ns)
        return is_trading_day(local.date()) and OPENS <= local.time() < CLOSES

    def next_open_ns(self, now_ns: int) -> int:
        """When the market opens next, after now."""
        if self.rule is SessionRule.ALWAYS:
            return self.next_close_ns(now_ns)
        return self._next(now_ns, OPENS)

    def next_close_ns(self, now_ns: int) -> int:
        """When the trading day of shares ends next, after now."""
        if self.rule is SessionRule.ALWAYS:
            return at_new_york(_new_york(now_ns).date() + timedelta(days=1), time(0))
        return self._next(now_ns, CLOSES)

    def day_ends_ns(self, now_ns: int, trading_hours: str) -> int:
        """When DAY orders expire next, after now: at the close, or at midnight where nothing closes."""
        rule = SessionRule.ALWAYS if trading_hours == ALWAYS_OPEN else self.rule
        return Sessions(rule).next_close_ns(now_ns)

    @staticmethod
    def _next(now_ns: int, moment: time) -> int:
        day = _new_york(now_ns).date()
        while not is_trading_day(day) or at_new_york(day, moment) <= now_ns:
            day += timedelta(days=1)
        return at_new_york(day, moment)


def is_trading_day(day: date) -> bool:
    """Monday to Friday."""
    return day.weekday() < 5


def at_new_york(day: date, moment: time) -> int:
    """That moment in New York in ns UTC."""
    return round(datetime.combine(day, moment, NEW_YORK).timestamp()) * 1_000_000_000


def midnight_utc(day: date) -> int:
    """The start of a day in UTC, in ns."""
    return round(datetime.combine(day, time(0), UTC).timestamp()) * 1_000_000_000


def new_york_date(now_ns: int) -> date:
    """The date in New York."""
    return _new_york(now_ns).date()


def _new_york(now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns / 1e9, NEW_YORK)
