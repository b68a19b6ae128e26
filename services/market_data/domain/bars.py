"""Time bars from trades, in exact integers; from mid quotes for a symbol that has never traded in this run.

A bar stays open until the symbol's own time has passed its end by the grace, so trades may come late and out
of order within it. Open and close are the first and last by venue time, and by arrival among equals.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trading.market import Bar, Int64Column, Interval, QuoteBlock, TradeBlock
from trading.money import ONE, divide_half_even


@dataclass(slots=True)
class OpenBar:
    """A bar in the making; prices in nanos, `size_nanos` and `notional` (nanos²) are unbounded ints."""

    open_time_ns: int
    open_nanos: int
    high_nanos: int
    low_nanos: int
    close_time_ns: int
    close_nanos: int
    size_nanos: int = 0
    notional: int = 0
    trade_count: int = 0

    def include(self, later: "OpenBar") -> None:
        """Take in the prices of ticks that arrived after all of this bar's."""
        if later.open_time_ns < self.open_time_ns:
            self.open_time_ns, self.open_nanos = later.open_time_ns, later.open_nanos
        if later.close_time_ns >= self.close_time_ns:
            self.close_time_ns, self.close_nanos = later.close_time_ns, later.close_nanos
        self.high_nanos = max(self.high_nanos, later.high_nanos)
        self.low_nanos = min(self.low_nanos, later.low_nanos)
        self.size_nanos += later.size_nanos
        self.notional += later.notional
        self.trade_count += later.trade_count

    @property
    def vwap_nanos(self) -> int:
        """Σ price × size / Σ size, rounded half-even; the close when nothing was traded."""
        return divide_half_even(self.notional, self.size_nanos) if self.size_nanos else self.close_nanos


class SymbolBars:
    """The open bars of one symbol; at most two with trades that are late by no more than the grace."""

    def __init__(self, venue: str, symbol: str, interval: Interval, grace_ns: int) -> None:
        self._venue, self._symbol, self._interval = venue, symbol, interval
        self._length_ns = interval.seconds * ONE
        self._grace_ns = grace_ns
        self._open: dict[int, OpenBar] = {}
        self._closed_until_ns = 0
        self._newest: tuple[int, int] | None = None
        self._trades_seen = False
        self.late = 0

    def add_trades(self, block: TradeBlock) -> list[Bar]:
        """Take in trades; the bars that they closed, oldest first."""
        if not self._trades_seen:
            self._trades_seen = True
            self._open.clear()  # mids are only for symbols without trades
        self._add(block.event_time_ns, block.price_nanos, block.size_nanos)
        return self._hear(block)

    def add_quotes(self, block: QuoteBlock) -> list[Bar]:
        """Take in quotes: they move the symbol's time and, as long as it has no trades, make its bars."""
        if not self._trades_seen:
            self._add(*_mids(block), None)
        return self._hear(block)

    def wait(self, now_ns: int) -> list[Bar]:
        """Nothing came until `now_ns`: the venue's time has moved on by as much as ours since its newest tick."""
        event_ns, receive_ns = self._newest or (0, now_ns)
        return self._close(event_ns + max(now_ns - receive_ns, 0))

    def _hear(self, block: QuoteBlock | TradeBlock) -> list[Bar]:
        event_ns = int(block.event_time_ns.max())
        if self._newest is None or event_ns >= self._newest[0]:
            self._newest = event_ns, int(block.receive_time_ns[-1])
        return self._close(self._newest[0])

    def _add(self, times_ns: Int64Column, prices: Int64Column, sizes: Int64Column | None) -> None:
        for start_ns, rows in _by_start(times_ns, self._length_ns):
            if start_ns < self._closed_until_ns:
                self.late += len(times_ns[rows])
                continue
            part = _fold(times_ns[rows], prices[rows], None if sizes is None else sizes[rows])
            if (bar := self._open.get(start_ns)) is None:
                self._open[start_ns] = part
            else:
                bar.include(part)

    def _close(self, time_ns: int) -> list[Bar]:
        until_ns = (time_ns - self._grace_ns) // self._length_ns * self._length_ns
        if until_ns <= self._closed_until_ns:
            return []
        self._closed_until_ns = until_ns
        ended = sorted(start_ns for start_ns in self._open if start_ns < until_ns)
        return [self._bar(start_ns, self._open.pop(start_ns)) for start_ns in ended]

    def _bar(self, start_ns: int, bar: OpenBar) -> Bar:
        return Bar(
            symbol=self._symbol,
            interval=self._interval,
            timestamp_ns=start_ns,
            open_nanos=bar.open_nanos,
            high_nanos=bar.high_nanos,
            low_nanos=bar.low_nanos,
            close_nanos=bar.close_nanos,
            volume=bar.size_nanos / ONE,
            vwap_nanos=bar.vwap_nanos,
            trade_count=bar.trade_count,
            venue=self._venue,
        )


class BarBook:
    """The bars of every symbol of a venue."""

    def __init__(self, venue: str, interval: Interval, grace_ns: int) -> None:
        self._venue, self._interval, self._grace_ns = venue, interval, grace_ns
        self._symbols: dict[str, SymbolBars] = {}

    @property
    def late(self) -> int:
        """Trades that came after their bar was closed."""
        return sum(bars.late for bars in self._symbols.values())

    def add_trades(self, block: TradeBlock) -> list[Bar]:
        """Take in trades; the bars that they closed."""
        return self._of(block.symbol).add_trades(block)

    def add_quotes(self, block: QuoteBlock) -> list[Bar]:
        """Take in quotes; the bars that they closed."""
        return self._of(block.symbol).add_quotes(block)

    def wait(self, now_ns: int) -> list[Bar]:
        """Close what silence until `now_ns` (receive time) has ended."""
        return [bar for bars in self._symbols.values() for bar in bars.wait(now_ns)]

    def _of(self, symbol: str) -> SymbolBars:
        if (bars := self._symbols.get(symbol)) is None:
            bars = self._symbols[symbol] = SymbolBars(self._venue, symbol, self._interval, self._grace_ns)
        return bars


def _by_start(times_ns: Int64Column, length_ns: int) -> Iterator[tuple[int, slice | np.ndarray]]:
    """The rows of each bar: one slice in the usual case that a block lies within one bar."""
    if not len(times_ns):
        return
    first_ns, last_ns = int(times_ns.min()) // length_ns * length_ns, int(times_ns.max()) // length_ns * length_ns
    if first_ns == last_ns:
        yield first_ns, slice(None)
        return
    starts = times_ns - times_ns % length_ns
    for start_ns in np.unique(starts):
        yield int(start_ns), np.flatnonzero(starts == start_ns)


def _fold(times_ns: Int64Column, prices: Int64Column, sizes: Int64Column | None) -> OpenBar:
    first = int(times_ns.argmin())
    last = len(times_ns) - 1 - int(times_ns[::-1].argmax())
    bar = OpenBar(
        open_time_ns=int(times_ns[first]),
        open_nanos=int(prices[first]),
        high_nanos=int(prices.max()),
        low_nanos=int(prices.min()),
        close_time_ns=int(times_ns[last]),
        close_nanos=int(prices[last]),
    )
    if sizes is not None:
        # Python ints: a product of two nanos does not fit 64 bits.
        amounts = sizes.tolist()
        bar.size_nanos = sum(amounts)
        bar.notional = sum(price * size for price, size in zip(prices.tolist(), amounts, strict=True))
        bar.trade_count = len(amounts)
    return bar


def _mids(block: QuoteBlock) -> tuple[Int64Column, Int64Column]:
    """Times and mids: halfway between bid and ask, rounded down; the one side where the other is empty."""
    bid, ask, times_ns = block.bid_nanos, block.ask_nanos, block.event_time_ns
    mids = (bid & ask) + ((bid ^ ask) >> 1)  # the sum of two prices may not fit 64 bits
    if min(int(bid.min()), int(ask.min())) > 0:
        return times_ns, mids
    mids = np.where((bid > 0) & (ask > 0), mids, np.maximum(bid, ask))
    return times_ns[mids > 0], mids[mids > 0]
