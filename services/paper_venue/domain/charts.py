"""Bars of any length on request: the simulated past, then what the market has done since the venue's start."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import numpy as np

from services.paper_venue.domain.bars import BarTable
from services.paper_venue.domain.history import History, day_start_ns
from services.paper_venue.domain.sessions import NEW_YORK
from services.paper_venue.domain.ticks import Int64
from trading.clock import MINUTE_NS
from trading.instruments import AssetClass, Instrument
from trading.market import Bar


class Unit(StrEnum):
    """The units that a bar's length counts."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


@dataclass(frozen=True, slots=True)
class Length:
    """How long a bar is."""

    count: int
    unit: Unit


class Charts:
    """Knows every bar of every instrument of the market; `bars_kept` bounds live minute bars per instrument."""

    def __init__(self, instruments: Sequence[Instrument], history: History, bars_kept: int) -> None:
        self._classes = {instrument.symbol: instrument.asset_class for instrument in instruments}
        self._history = history
        self._live: dict[str, deque[Bar]] = {symbol: deque(maxlen=bars_kept) for symbol in self._classes}

    def add(self, bars: Sequence[Bar]) -> None:
        """Take in minute bars that have just closed."""
        for bar in bars:
            self._live[bar.symbol].append(bar)

    def find(self, symbol: str, length: Length, start_ns: int, end_ns: int) -> BarTable:
        """The bars that start from `start_ns` to `end_ns`, both included, oldest first."""
        asset_class = self._classes[symbol]
        if length.unit in (Unit.MINUTE, Unit.HOUR):
            return self._grouped(self._minutes(symbol), length, asset_class).between(start_ns, end_ns)
        return self._grouped(self._days(symbol, asset_class), length, asset_class).between(start_ns, end_ns)

    def past_minutes(self, symbol: str, start_ns: int) -> BarTable:
        """The simulated minutes from `start_ns` on, up to the first live one."""
        past, live = self._history.minutes(symbol), self._live[symbol]
        kept = past.start_ns >= start_ns
        return past[kept & (past.start_ns < live[0].timestamp_ns)] if live else past[kept]

    def _minutes(self, symbol: str) -> BarTable:
        return BarTable.concat([self.past_minutes(symbol, 0), BarTable.of(self._live[symbol])])

    def _days(self, symbol: str, asset_class: AssetClass) -> BarTable:
        """Daily bars; a day of which live minutes exist is made of all its minutes."""
        past, live = self._history.daily(symbol), self._live[symbol]
        if not live:
            return past
        since = day_start_ns(live[0].timestamp_ns, asset_class)
        minutes = self._minutes(symbol)
        recent = minutes[minutes.start_ns >= since]
        keys = np.array([day_start_ns(start, asset_class) for start in recent.start_ns.tolist()], np.int64)
        return BarTable.concat([past[past.start_ns < since], recent.grouped(keys)])

    @staticmethod
    def _grouped(table: BarTable, length: Length, asset_class: AssetClass) -> BarTable:
        if length == Length(1, Unit.MINUTE) or length == Length(1, Unit.DAY):
            return table
        return table.grouped(_keys(table.start_ns, length, asset_class))


def _keys(starts: Int64, length: Length, asset_class: AssetClass) -> Int64:
    """The start of the longer bar that each bar belongs to."""
    if length.unit in (Unit.MINUTE, Unit.HOUR):
        size = length.count * MINUTE_NS * (60 if length.unit is Unit.HOUR else 1)
        return np.asarray(starts // size * size)
    zone = UTC if asset_class is AssetClass.CRYPTO else NEW_YORK
    days = [datetime.fromtimestamp(start / 1e9, zone).date() for start in starts.tolist()]
    firsts = [_first_day(day, length) for day in days]
    return np.array(
        [round(datetime.combine(day, time(0), zone).timestamp()) * 1_000_000_000 for day in firsts], np.int64
    )


def _first_day(day: date, length: Length) -> date:
    """The first calendar day of the week or of the run of months; weeks start on Monday, months count from January."""
    if length.unit is Unit.DAY:
        return day
    if length.unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(month=(day.month - 1) // length.count * length.count + 1, day=1)
