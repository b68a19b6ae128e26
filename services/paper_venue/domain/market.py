"""The market as a whole: each piece of it that is said moves orders, the tape and the bars, in that order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.paper_venue.domain.bars import RunningBars, extended, recorded_bars
from services.paper_venue.domain.charts import Charts
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.history import day_start_ns
from services.paper_venue.domain.tape import Tape
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.market import Bar

_BAR = int(Kind.BAR)  # comparing a column with an IntEnum costs ten times as much


@dataclass(frozen=True, slots=True)
class Batch:
    """One piece of the market for its listeners: ticks by time, and the bars that they closed.

    `first` is the position of the first tick among all that the market has said, counted from 1. `encoded` lets
    listeners who want the same bytes share the work. `repeated` marks quotes said again after a recording has ended.
    """

    ticks: Ticks
    minutes: Sequence[Bar] = ()
    days: Sequence[Bar] = ()
    repeated: bool = False
    first: int = 1
    encoded: dict[object, object] = field(default_factory=dict)


class Market:
    """Says ticks: the exchange matches against them, the tape remembers them, bars grow by them."""

    def __init__(self, exchange: Exchange, tape: Tape, charts: Charts, opens_ns: int = 0) -> None:
        self.exchange = exchange
        self.tape = tape
        self.charts = charts
        self._minutes = [RunningBars(symbol) for symbol in exchange.symbols]
        self._days: dict[str, Bar] = {}
        self._repeated = 0
        self.time_ns = opens_ns
        """The market's own clock: the time of the newest row that was said."""
        self.said = np.zeros((len(Kind), len(exchange.symbols)), np.int64)
        """How many rows of each kind and instrument have been said, repetitions excluded."""

    def say(self, ticks: Ticks, now_ns: int) -> Batch:
        """Let the next rows of the tape's newest chunk happen at `now_ns`."""
        self.exchange.apply(ticks, now_ns)
        self.time_ns = int(ticks.time_ns[-1]) if len(ticks) else self.time_ns
        first = self.tape.advance(len(ticks))
        self.said += ticks.counted(len(self.exchange.symbols))
        return self._with_bars(ticks, [bar for each in self._by_instrument(ticks) for bar in each], first)

    def repeat(self, quotes: Ticks, now_ns: int) -> Batch:
        """Say quotes again, so that orders still fill after the end of a recording."""
        self.exchange.apply(quotes, now_ns)
        self._repeated += len(quotes)
        return Batch(quotes, repeated=True, first=self.tape.said + self._repeated - len(quotes) + 1)

    def finish(self) -> Batch:
        """The recording is over: close the bars in the making."""
        return self._with_bars(Ticks.empty(), [bar for minutes in self._minutes for bar in minutes.finish()])

    def _by_instrument(self, ticks: Ticks) -> list[list[Bar]]:
        present = set(ticks.instrument.tolist())
        if len(present) == 1:
            closed = [self._minutes[present.pop()].take(ticks)]
        else:
            closed = [self._minutes[index].take(ticks[ticks.instrument == index]) for index in sorted(present)]
        if (ticks.kind == _BAR).any():
            closed.append(recorded_bars(ticks, self.exchange.symbols))
        return closed

    def _with_bars(self, ticks: Ticks, minutes: list[Bar], first: int = 1) -> Batch:
        if not minutes:
            return Batch(ticks, first=first)
        self.charts.add(minutes)
        return Batch(ticks, minutes, [self._extend_day(bar) for bar in minutes], first=first)

    def _extend_day(self, minute: Bar) -> Bar:
        asset_class = self.exchange.instruments.get(minute.symbol).asset_class
        day = extended(self._days.get(minute.symbol), minute, day_start_ns(minute.timestamp_ns, asset_class))
        self._days[minute.symbol] = day
        return day
