"""The bars of this run, kept in memory and laid over what the venue's history says."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable

from trading.clock import SECOND_NS
from trading.market import Bar, Interval

_DOUBTS_KEPT = 64


class LiveBars:
    """The newest `capacity` bars of each symbol and interval; a bar given again replaces the earlier one."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._bars: defaultdict[tuple[str, str], OrderedDict[int, Bar]] = defaultdict(OrderedDict)
        self._doubts: defaultdict[str, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=_DOUBTS_KEPT))

    def add(self, bar: Bar) -> None:
        """Keep a closed bar; the oldest goes when there are too many."""
        bars = self._bars[bar.symbol, bar.interval]
        bars[bar.timestamp_ns] = bar
        if len(bars) > self._capacity:
            bars.popitem(last=False)

    def doubt(self, symbol: str, from_ns: int, to_ns: int) -> None:
        """Ticks in [from, to) were not seen: bars that overlap it are not whole."""
        self._doubts[symbol].append((from_ns, to_ns))

    def between(self, symbol: str, interval: str, start_ns: int, end_ns: int) -> list[Bar]:
        """Bars that start in [start, end), oldest first."""
        kept = self._bars.get((symbol, interval), OrderedDict[int, Bar]())
        return sorted((bar for bar in kept.values() if start_ns <= bar.timestamp_ns < end_ns), key=_start)

    def over(
        self, history: Iterable[Bar], symbol: str, start_ns: int, end_ns: int, interval: Interval = Interval.ONE_MINUTE
    ) -> list[Bar]:
        """One bar for each start in [start, end), oldest first: ours where it is whole, else the venue's, else ours."""
        ours = self.between(symbol, interval, start_ns, end_ns)
        by_start = {bar.timestamp_ns: bar for bar in ours}
        by_start.update({bar.timestamp_ns: bar for bar in history})
        by_start.update({bar.timestamp_ns: bar for bar in ours if self._is_whole(bar)})
        return [by_start[start] for start in sorted(by_start)]

    def _is_whole(self, bar: Bar) -> bool:
        end_ns = bar.timestamp_ns + Interval(bar.interval).seconds * SECOND_NS
        return not any(from_ns < end_ns and bar.timestamp_ns < to_ns for from_ns, to_ns in self._doubts[bar.symbol])


def _start(bar: Bar) -> int:
    return bar.timestamp_ns
