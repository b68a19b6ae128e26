"""Time bars from trades, in exact integers; from mid quotes for a symbol that has never traded in this run.

A bar is published when the symbol's own time has passed its end by the grace. For a while after that, trades that
come late and corrections of the venue still change it; then it is published again as its next revision.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from services.market_data.domain.activity_bars import ActivityBars, ActivityRule
from services.market_data.domain.corrections import TradeCorrection, TradeLog
from services.market_data.domain.market_days import MarketDays, StartOf, start_of
from services.market_data.domain.open_bar import OpenBar, by_start, fold, latest, merged, mids
from trading.clock import MINUTE_NS, SECOND_NS
from trading.market import Bar, Int64Column, Interval, QuoteBlock, TradeBlock

REVISABLE_NS = 15 * MINUTE_NS
TRADES_KEPT = 100_000
QUOTES_AHEAD = 16
"""Blocks of quotes that wait to be made into bars of mids."""


@dataclass(slots=True)
class _Made:
    """A bar, how often it was published, and whether all its trades were cancelled."""

    bar: OpenBar
    published: int = 0
    withdrawn: bool = False

    def include(self, part: OpenBar) -> None:
        if self.withdrawn:
            self.bar, self.withdrawn = part, False
        else:
            self.bar.include(part)

    def replace(self, bar: OpenBar | None) -> None:
        """Stand corrected; of a bar without trades the last price remains, and no volume."""
        self.withdrawn = bar is None
        if bar is not None:
            self.bar = bar
        else:
            self.bar.size_nanos = self.bar.notional = self.bar.trade_count = 0


@dataclass(slots=True)
class _Level:
    """The bars of one length, by their start."""

    interval: Interval
    start_of: StartOf
    made: dict[int, _Made] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    closed_until_ns: int = 0

    def include(self, time_ns: int, part: OpenBar) -> bool:
        """Take in a part, or a copy of it; whether its bar had been closed."""
        start_ns = self.start_of(time_ns)
        if (made := self.made.get(start_ns)) is None:
            self.made[start_ns] = _Made(replace(part))
        else:
            made.include(part)
        if start_ns >= self.closed_until_ns:
            return False
        self.changed.add(start_ns)
        return True

    def replace(self, start_ns: int, bar: OpenBar | None) -> None:
        self.made[start_ns].replace(bar)
        if start_ns < self.closed_until_ns:
            self.changed.add(start_ns)

    def close(self, time_ns: int, above: "_Level | None") -> list[int]:
        """Close what has ended at a moment and give it to the level above; starts of all bars to publish."""
        until_ns = self.start_of(time_ns)
        ended = [start for start in self.made if self.closed_until_ns <= start < until_ns]
        self.closed_until_ns = max(until_ns, self.closed_until_ns)
        if above is not None:
            for start in ended:
                if not (made := self.made[start]).withdrawn:
                    above.include(start, made.bar)
        changed, self.changed = self.changed.union(ended), set()
        return sorted(start for start in changed if self.made[start].published or not self.made[start].withdrawn)

    def parts(self, start_ns: int, above: "_Level") -> list[OpenBar]:
        """This level's closed bars that make up a bar of the level above."""
        return [
            self.made[start].bar
            for start in sorted(self.made)
            if start < self.closed_until_ns and above.start_of(start) == start_ns and not self.made[start].withdrawn
        ]

    def forget(self, before_ns: int) -> None:
        if self.made and next(iter(self.made)) < before_ns:  # the first is about the oldest
            self.made = {start: made for start, made in self.made.items() if start >= before_ns}


class SymbolBars:
    """The bars of one symbol, of several lengths that nest, the shortest first."""

    def __init__(
        self, venue: str, symbol: str, intervals: Sequence[Interval], days: MarketDays, grace_ns: int, revisable_ns: int
    ) -> None:
        self._venue, self._symbol = venue, symbol
        self._levels = [_Level(interval, start_of(interval, days)) for interval in intervals]
        self._shortest_ns = intervals[0].seconds * SECOND_NS
        self._grace_ns, self._revisable_ns = grace_ns, revisable_ns
        self._newest: tuple[int, int] | None = None
        self._trades_seen = self._is_revised = False
        self._quoted: list[QuoteBlock] = []
        self._final_until_ns = 0
        self.late = 0

    def add_trades(self, block: TradeBlock) -> list[Bar]:
        """Take in trades; the bars that they closed or changed, oldest first."""
        if not self._trades_seen:
            self._trades_seen = True
            self._quoted.clear()
            for level in self._levels:
                level.made.clear()  # mids are only for symbols without trades
        self._add(block.event_time_ns, block.price_nanos, block.size_nanos)
        return self._hear(block)

    def add_quotes(self, block: QuoteBlock) -> list[Bar]:
        """Take in quotes: they move the symbol's time and, as long as it has no trades, make its bars."""
        if not self._trades_seen:
            self._quoted.append(block)
            if len(self._quoted) == QUOTES_AHEAD:
                self._add_quoted()
        return self._hear(block)

    def wait(self, now_ns: int) -> list[Bar]:
        """Nothing came until `now_ns`: the venue's time has moved on by as much as ours since its newest tick."""
        event_ns, receive_ns = self._newest or (0, now_ns)
        return self._publish(event_ns + max(now_ns - receive_ns, 0))

    def correct(self, time_ns: int, log: TradeLog) -> list[Bar]:
        """A trade of that time was changed in the log; its bars, again where they had been published."""
        shortest = self._levels[0]
        start_ns = shortest.start_of(time_ns)
        if start_ns not in shortest.made or start_ns < self._final_until_ns:
            return []
        trades = log.between(self._symbol, start_ns, start_ns + self._shortest_ns)
        if trades is None:
            return []
        self._is_revised = True
        shortest.replace(start_ns, fold(*trades) if len(trades[0]) else None)
        for below, level in pairwise(self._levels):
            above_ns = level.start_of(start_ns)
            if above_ns in level.made:
                level.replace(above_ns, merged(below.parts(above_ns, level)))
        return self._publish(self._newest[0] if self._newest else 0)

    def _hear(self, block: QuoteBlock | TradeBlock) -> list[Bar]:
        event_ns = latest(block.event_time_ns)
        if self._newest is None or event_ns >= self._newest[0]:
            self._newest = event_ns, int(block.receive_time_ns[-1])
        return self._publish(self._newest[0])

    def _add(self, times_ns: Int64Column, prices: Int64Column, sizes: Int64Column | None) -> None:
        for start_ns, rows in by_start(times_ns, self._shortest_ns):
            if start_ns < self._final_until_ns:
                self.late += len(times_ns[rows])
                continue
            part = fold(times_ns[rows], prices[rows], None if sizes is None else sizes[rows])
            # A level takes in what the one below has closed; what comes after that goes into each that has it.
            for level in self._levels:
                if not level.include(start_ns, part):
                    break
                self._is_revised = True

    def _add_quoted(self) -> None:
        """Make bars of the quotes that wait: one at a time they would cost more than everything else about them."""
        if self._quoted:
            columns = [mids(block) for block in self._quoted]
            self._quoted.clear()
            times_ns, prices = map(np.concatenate, zip(*columns, strict=True))
            self._add(times_ns, prices, None)

    def _publish(self, time_ns: int) -> list[Bar]:
        past_ns = max(time_ns - self._grace_ns, 0)
        if past_ns < self._levels[0].closed_until_ns + self._shortest_ns and not self._is_revised:
            return []
        self._add_quoted()
        self._is_revised = False
        bars = [
            self._bar(level, start_ns)
            for level, above in zip(self._levels, [*self._levels[1:], None], strict=True)
            for start_ns in level.close(past_ns, above)
        ]
        self._forget(max(past_ns - self._revisable_ns, 0))
        return bars

    def _forget(self, before_ns: int) -> None:
        """Bars that can no longer change go, as soon as no longer bar is made of them."""
        self._final_until_ns = self._levels[0].start_of(before_ns)
        for level, above in zip(self._levels, [*self._levels[1:], self._levels[-1]], strict=True):
            level.forget(above.start_of(before_ns))

    def _bar(self, level: _Level, start_ns: int) -> Bar:
        made = level.made[start_ns]
        made.published += 1
        return made.bar.bar(self._venue, self._symbol, level.interval, start_ns, made.published - 1)


class BarBook:
    """The bars of every symbol of a venue: of time, and of activity where rules are given."""

    def __init__(
        self,
        venue: str,
        intervals: Iterable[Interval],
        grace_ns: int,
        *,
        revisable_ns: int = REVISABLE_NS,
        trades_kept: int = TRADES_KEPT,
        rules: Iterable[ActivityRule] = (),
        zone_of: Callable[[str], str] = lambda _symbol: "UTC",
    ) -> None:
        self._venue, self._grace_ns, self._revisable_ns = venue, grace_ns, revisable_ns
        self._intervals = sorted(intervals, key=lambda interval: interval.seconds)
        self._rules, self._zone_of = tuple(rules), zone_of
        self._log = TradeLog(trades_kept)
        self._symbols: dict[str, SymbolBars] = {}
        self._activity: dict[str, ActivityBars] = {}
        self.uncorrected = 0

    @property
    def late(self) -> int:
        """Trades that came when their bar could no longer change."""
        return sum(bars.late for bars in self._symbols.values())

    def add_trades(self, block: TradeBlock) -> list[Bar]:
        """Take in trades; the bars that they closed or changed."""
        if block.trade_ids:
            self._log.add(block)
        bars = self._of(block.symbol).add_trades(block)
        if self._rules:
            bars += self._activity_of(block.symbol).add_trades(block)
        return bars

    def add_quotes(self, block: QuoteBlock) -> list[Bar]:
        """Take in quotes; the bars that they closed."""
        return self._of(block.symbol).add_quotes(block)

    def wait(self, now_ns: int) -> list[Bar]:
        """Close what silence until `now_ns` (receive time) has ended."""
        return [bar for bars in self._symbols.values() for bar in bars.wait(now_ns)]

    def correct(self, correction: TradeCorrection) -> list[Bar]:
        """Take back or change a trade; the bars that are published again. Bars of activity stay as they were."""
        time_ns = self._log.correct(correction)
        bars = [] if time_ns is None else self._of(correction.symbol).correct(time_ns, self._log)
        self.uncorrected += not bars
        return bars

    def _of(self, symbol: str) -> SymbolBars:
        if (bars := self._symbols.get(symbol)) is None:
            days = MarketDays(self._zone_of(symbol))
            bars = self._symbols[symbol] = SymbolBars(
                self._venue, symbol, self._intervals, days, self._grace_ns, self._revisable_ns
            )
        return bars

    def _activity_of(self, symbol: str) -> ActivityBars:
        if (bars := self._activity.get(symbol)) is None:
            bars = self._activity[symbol] = ActivityBars(self._venue, symbol, self._rules)
        return bars
