"""The windows of aggregates: which bars make one, and which of them one page may hold."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import numpy as np

from services.paper_venue.domain.history import day_start_ns
from services.paper_venue.domain.sessions import NEW_YORK
from services.paper_venue.domain.ticks import Int64
from services.paper_venue.polygon.errors import bad_request
from services.paper_venue.polygon.times import day_span
from trading.clock import MINUTE_NS, SECOND_NS
from trading.instruments import AssetClass

_HOUR_NS = 60 * MINUTE_NS
_MOST_COUNT = 100_000
_COUNT = re.compile(r"[1-9]\d{0,5}")


class Span(StrEnum):
    """The units that a window's length counts."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @property
    def is_within_a_day(self) -> bool:
        return self in _LENGTHS_NS


_LENGTHS_NS = {Span.SECOND: SECOND_NS, Span.MINUTE: MINUTE_NS, Span.HOUR: _HOUR_NS}
_MONTHS = {Span.MONTH: 1, Span.QUARTER: 3, Span.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Window:
    """How long a window is: `count` spans; those within a day are counted from its start."""

    count: int
    span: Span

    @classmethod
    def parse(cls, count: str, span: str) -> "Window":
        """Of the words of an address; raises ApiError 400."""
        if span not in list(Span):
            raise bad_request(f"Could not parse the timespan {span!r}: expected one of {', '.join(Span)}.")
        if not _COUNT.fullmatch(count) or int(count) > _MOST_COUNT:
            raise bad_request(f"Could not parse the multiplier {count!r}: expected 1 to {_MOST_COUNT}.")
        return cls(int(count), Span(span))

    def starts_of(self, times_ns: Int64, asset_class: AssetClass) -> Int64:
        """The start of the window that each moment belongs to."""
        if not self.span.is_within_a_day:
            return np.array([self._start_of_days(time_ns, asset_class) for time_ns in times_ns.tolist()], np.int64)
        # A day starts on a whole hour everywhere that this venue is, so one look-up per hour is enough.
        hours, place = np.unique(times_ns // _HOUR_NS, return_inverse=True)
        days = np.array([day_start_ns(hour * _HOUR_NS, asset_class) for hour in hours.tolist()], np.int64)
        first = days[place] if len(days) else times_ns
        size = self.count * _LENGTHS_NS[self.span]
        return np.asarray(first + (times_ns - first) // size * size, np.int64)

    def start_of(self, time_ns: int, asset_class: AssetClass) -> int:
        """The same for one moment."""
        return int(self.starts_of(np.array([time_ns], np.int64), asset_class)[0])

    def _start_of_days(self, time_ns: int, asset_class: AssetClass) -> int:
        zone = UTC if asset_class is AssetClass.CRYPTO else NEW_YORK
        day = datetime.fromtimestamp(time_ns // SECOND_NS, zone).date()
        return day_span(self._first_day(day), asset_class)[0]

    def _first_day(self, day: date) -> date:
        """The first calendar day of the window; weeks begin on Sunday."""
        if self.span in _MONTHS:
            size = self.count * _MONTHS[self.span]
            year, month = divmod((day.year * 12 + day.month - 1) // size * size, 12)
            return date(max(1, year), month + 1, 1)
        size = self.count * (7 if self.span is Span.WEEK else 1)
        return day - timedelta(days=day.toordinal() % size)


def page_of(starts_ns: Int64, limit: int, descending: bool) -> slice:
    """The rows of the first page: at most `limit`, in whole windows, but never less than one window.

    `starts_ns` are the starts of the windows that the rows belong to, oldest first.
    """
    rows = len(starts_ns)
    if rows <= limit:
        return slice(0, rows)
    if descending:
        first = int(np.searchsorted(starts_ns, starts_ns[rows - limit - 1], "right"))
        whole = int(np.searchsorted(starts_ns, starts_ns[-1], "left"))
        return slice(min(first, whole), rows)
    end = int(np.searchsorted(starts_ns, starts_ns[limit], "left"))
    return slice(0, end or int(np.searchsorted(starts_ns, starts_ns[0], "right")))
