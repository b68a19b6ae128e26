"""A bar in the making, and how columns of ticks become one: exact integers, whatever the order and the cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from trading.market import Bar, Int64Column, QuoteBlock
from trading.money import ONE, divide_half_even

FEW = 16
"""Ticks up to which Python's own lists are faster than NumPy."""


@dataclass(slots=True)
class OpenBar:
    """Prices in nanos; `size_nanos` and `notional` (nanos²) are unbounded ints.

    Open and close are the first and last by venue time, and by arrival among equals.
    """

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

    def bar(self, venue: str, symbol: str, interval: str, start_ns: int, revision: int = 0) -> Bar:
        """As it stands."""
        return Bar(
            symbol=symbol,
            interval=interval,
            timestamp_ns=start_ns,
            open_nanos=self.open_nanos,
            high_nanos=self.high_nanos,
            low_nanos=self.low_nanos,
            close_nanos=self.close_nanos,
            volume=self.size_nanos / ONE,
            vwap_nanos=self.vwap_nanos,
            trade_count=self.trade_count,
            venue=venue,
            revision=revision,
            close_time_ns=self.close_time_ns,
        )


def merged(parts: Iterable[OpenBar]) -> OpenBar | None:
    """One bar of several that follow one another; None of none."""
    whole: OpenBar | None = None
    for part in parts:
        if whole is None:
            whole = replace(part)
        else:
            whole.include(part)
    return whole


def fold(times_ns: Int64Column, prices: Int64Column, sizes: Int64Column | None) -> OpenBar:
    """The bar of some ticks, at least one, in their order of arrival; without sizes nothing was traded."""
    if len(times_ns) <= FEW:
        return _fold_few(times_ns.tolist(), prices.tolist(), None if sizes is None else sizes.tolist())
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
        _trade(bar, prices.tolist(), sizes.tolist())
    return bar


def _fold_few(times_ns: list[int], prices: list[int], sizes: list[int] | None) -> OpenBar:
    """The same without NumPy, whose calls cost more than a few ticks."""
    first_ns, last_ns = min(times_ns), max(times_ns)
    first, last = times_ns.index(first_ns), len(times_ns) - 1 - times_ns[::-1].index(last_ns)
    bar = OpenBar(first_ns, prices[first], max(prices), min(prices), last_ns, prices[last])
    if sizes is not None:
        _trade(bar, prices, sizes)
    return bar


def _trade(bar: OpenBar, prices: list[int], sizes: list[int]) -> None:
    # Python ints: a product of two nanos does not fit 64 bits.
    bar.size_nanos = sum(sizes)
    bar.notional = sum(price * size for price, size in zip(prices, sizes, strict=True))
    bar.trade_count = len(sizes)


def by_start(times_ns: Int64Column, length_ns: int) -> Iterator[tuple[int, slice | np.ndarray]]:
    """The rows of each time bar, oldest bar first: one slice in the usual case that a block lies within one bar."""
    if not len(times_ns):
        return
    first_ns, last_ns = earliest(times_ns), latest(times_ns)
    first_ns -= first_ns % length_ns
    if last_ns < first_ns + length_ns:
        yield first_ns, slice(None)
        return
    starts = times_ns - times_ns % length_ns
    order = np.argsort(starts, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(starts[order])) + 1):
        yield int(starts[rows[0]]), rows


def earliest(times_ns: Int64Column) -> int:
    """The least of some times, at least one."""
    return min(times_ns.tolist()) if len(times_ns) <= FEW else int(times_ns.min())


def latest(times_ns: Int64Column) -> int:
    """The greatest of some times, at least one."""
    return max(times_ns.tolist()) if len(times_ns) <= FEW else int(times_ns.max())


def mids(block: QuoteBlock) -> tuple[Int64Column, Int64Column]:
    """Times and mids: halfway between bid and ask, rounded down; the one side where the other is empty."""
    bid, ask, times_ns = block.bid_nanos, block.ask_nanos, block.event_time_ns
    if len(times_ns) <= FEW and min(bids := bid.tolist()) > 0 and min(asks := ask.tolist()) > 0:
        return times_ns, np.array([(one + other) >> 1 for one, other in zip(bids, asks, strict=True)], np.int64)
    halfway = (bid & ask) + ((bid ^ ask) >> 1)  # the sum of two prices may not fit 64 bits
    if min(int(bid.min()), int(ask.min())) > 0:
        return times_ns, halfway
    halfway = np.where((bid > 0) & (ask > 0), halfway, np.maximum(bid, ask))
    return times_ns[halfway > 0], halfway[halfway > 0]
