"""What was published and waits to be written down: blocks as they are, in bounded memory."""

from collections import deque
from dataclasses import dataclass

from trading.market import Bar, Interval, QuoteBlock, TradeBlock

_TIME_BARS = frozenset(Interval)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one flush writes."""

    quotes: tuple[QuoteBlock, ...] = ()
    trades: tuple[TradeBlock, ...] = ()
    bars: tuple[Bar, ...] = ()

    @property
    def rows(self) -> int:
        """All ticks and bars."""
        return sum(map(len, self.quotes)) + sum(map(len, self.trades)) + len(self.bars)


class HistoryBuffer:
    """Keeps references to published blocks; at `rows_most` rows the oldest blocks go, and are counted."""

    def __init__(self, rows_most: int) -> None:
        self._rows_most = rows_most
        self._waiting: deque[QuoteBlock | TradeBlock | Bar] = deque()
        self.rows = 0
        self.dropped = 0

    def quotes(self, block: QuoteBlock) -> None:
        """Keep quotes."""
        self._add(block, len(block))

    def trades(self, block: TradeBlock) -> None:
        """Keep trades."""
        self._add(block, len(block))

    def bar(self, bar: Bar) -> None:
        """Keep a time bar; bars that end with what was traded can be made again from the trades."""
        if bar.interval in _TIME_BARS:
            self._add(bar, 1)

    def take(self) -> Recorded:
        """Everything that waits, in order of arrival."""
        waiting, self._waiting, self.rows = self._waiting, deque(), 0
        return Recorded(
            tuple(item for item in waiting if isinstance(item, QuoteBlock)),
            tuple(item for item in waiting if isinstance(item, TradeBlock)),
            tuple(item for item in waiting if isinstance(item, Bar)),
        )

    def _add(self, item: QuoteBlock | TradeBlock | Bar, rows: int) -> None:
        self._waiting.append(item)
        self.rows += rows
        while self.rows > self._rows_most:
            oldest = self._waiting.popleft()
            lost = 1 if isinstance(oldest, Bar) else len(oldest)
            self.rows -= lost
            self.dropped += lost
