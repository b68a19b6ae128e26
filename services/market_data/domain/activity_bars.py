"""Bars that end with what was traded and not with time: so many trades, so much volume, so much value.

The trade that reaches the threshold belongs to the bar whole, as usual: nothing is split. Trades count in their
order of arrival, so a correction of the venue does not change these bars.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from services.market_data.domain.open_bar import OpenBar, fold
from trading.errors import InvalidArgument
from trading.market import Bar, TradeBlock
from trading.money import ONE

_FORM = re.compile(r"(tick|volume|value)-([1-9][0-9]{0,11})")


class Activity(StrEnum):
    """What is counted: trades, units, or units times price."""

    TICK = "tick"
    VOLUME = "volume"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class ActivityRule:
    """When a bar ends: at so many whole trades, units, or units of currency."""

    activity: Activity
    threshold: int

    def __str__(self) -> str:
        return f"{self.activity}-{self.threshold}"

    @property
    def limit(self) -> int:
        """The threshold as it is counted: trades, nanos or nanos²."""
        scales = {Activity.TICK: 1, Activity.VOLUME: ONE, Activity.VALUE: ONE * ONE}
        return self.threshold * scales[self.activity]

    def counted(self, bar: OpenBar) -> int:
        """How much of it a bar has."""
        counts = {Activity.TICK: bar.trade_count, Activity.VOLUME: bar.size_nanos, Activity.VALUE: bar.notional}
        return counts[self.activity]


def parse_rule(text: str) -> ActivityRule:
    """Read `tick-100`, `volume-5000` or `value-1000000`; raises InvalidArgument."""
    if (found := _FORM.fullmatch(text)) is None:
        raise InvalidArgument("Expected tick-N, volume-N or value-N.", field="interval", value=text[:32])
    return ActivityRule(Activity(found[1]), int(found[2]))


class ActivityBars:
    """The bars of one symbol, by every rule."""

    def __init__(self, venue: str, symbol: str, rules: Iterable[ActivityRule]) -> None:
        self._venue, self._symbol = venue, symbol
        self._open: dict[ActivityRule, OpenBar | None] = dict.fromkeys(rules)
        self._last_ns = dict.fromkeys(self._open, -1)

    def add_trades(self, block: TradeBlock) -> list[Bar]:
        """Take in trades; the bars that they ended, rule by rule."""
        return [bar for rule in self._open for bar in self._ended(rule, block)]

    def _ended(self, rule: ActivityRule, block: TradeBlock) -> Iterator[Bar]:
        begun = self._open[rule]
        start = 0
        for end in _ends(rule, rule.counted(begun) if begun else 0, block):
            part = _part(block, start, end)
            yield self._bar(rule, _joined(begun, part))
            begun, start = None, end
        self._open[rule] = _joined(begun, _part(block, start, len(block))) if start < len(block) else begun

    def _bar(self, rule: ActivityRule, whole: OpenBar) -> Bar:
        # Two bars may begin in one nanosecond; their names must differ, and a page must be able to end between them.
        self._last_ns[rule] = max(whole.open_time_ns, self._last_ns[rule] + 1)
        return whole.bar(self._venue, self._symbol, str(rule), self._last_ns[rule])


def _ends(rule: ActivityRule, counted: int, block: TradeBlock) -> Iterable[int]:
    """Rows after which a bar ends; `counted` is what the open bar has already."""
    if rule.activity is Activity.TICK:
        return range(rule.limit - counted, len(block) + 1, rule.limit)
    return _crossings(rule, counted, block)


def _crossings(rule: ActivityRule, counted: int, block: TradeBlock) -> Iterator[int]:
    amounts = block.size_nanos.tolist()
    if rule.activity is Activity.VALUE:
        amounts = [price * size for price, size in zip(block.price_nanos.tolist(), amounts, strict=True)]
    limit = rule.limit
    for row, amount in enumerate(amounts, 1):
        counted += amount
        if counted >= limit:
            yield row
            counted = 0


def _part(block: TradeBlock, start: int, end: int) -> OpenBar:
    rows = slice(start, end)
    return fold(block.event_time_ns[rows], block.price_nanos[rows], block.size_nanos[rows])


def _joined(begun: OpenBar | None, part: OpenBar) -> OpenBar:
    if begun is None:
        return part
    begun.include(part)
    return begun
