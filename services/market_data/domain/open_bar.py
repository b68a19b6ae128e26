"""A bar in the making, and how columns of ticks become one: exact integers, whatever the order and the cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from trading.market import Bar, Int64Column, QuoteBlock
from trading.money import ONE, divide_half_even


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


def by_start(times_ns: Int64Column, length_ns: int) -> Iterator[tuple[int, slice | np.ndarray]]:
    """The rows of each time bar, oldest bar first: one slice in the usual case that a block lies within one bar."""
    if not len(times_ns):
        return
    first_ns, last_ns = int(times_ns.min()) // length_ns * length_ns, int(times_ns.max()) // length_ns * length_ns
    if first_ns == last_ns:
        yield first_ns, slice(None)
        return
    starts = times_ns - times_ns % length_ns
    order = np.argsort(starts, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(starts[order])) + 1):
        yield int(starts[rows[0]]), rows


def mids(block: QuoteBlock) -> tuple[Int64Column, Int64Column]:
    """Times and mids: halfway between bid and ask, rounded down; the one side where the other is empty."""
    bid, ask, times_ns = block.bid_nanos, block.ask_nanos, block.event_time_ns
    halfway = (bid & ask) + ((bid ^ ask) >> 1)  # the sum of two prices may not fit 64 bits
    if min(int(bid.min()), int(ask.min())) > 0:
        return times_ns, halfway
    halfway = np.where((bid > 0) & (ask > 0), halfway, np.maximum(bid, ask))
    return times_ns[halfway > 0], halfway[halfway > 0]
