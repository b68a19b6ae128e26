"""The rolling windows of every symbol: of its trades, or of its mid quotes as long as it has not traded."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from services.market_data.domain.open_bar import mids
from services.market_data.domain.windows import Floats, Window, WindowRule, window
from trading.market import Int64Column, QuoteBlock, TradeBlock
from trading.money import ONE

_TICKS_AHEAD = 4096
_BLOCKS_AHEAD = 32


class WindowValue(NamedTuple):
    """One window as of its newest tick; None while there are not enough ticks."""

    name: str
    value: float | None
    ticks: int
    warm: bool


class SymbolWindows(NamedTuple):
    """All windows of a symbol; `as_of_ns` is 0 before the first tick."""

    windows: tuple[WindowValue, ...]
    as_of_ns: int
    from_quotes: bool


class WindowBoard:
    """Takes in what the market says; a block costs next to nothing until many have come or somebody asks."""

    def __init__(self, rules: Iterable[WindowRule] = ()) -> None:
        self._rules = tuple(rules)
        self._symbols: dict[str, _Symbol] = {}

    def put_trades(self, block: TradeBlock) -> None:
        """Take in trades; the first of a symbol begin its windows anew."""
        if self._rules:
            self._of(block.symbol).put_trades(block)

    def put_quotes(self, block: QuoteBlock) -> None:
        """Take in quotes; they count only until the symbol trades."""
        if self._rules:
            self._of(block.symbol).put_quotes(block)

    def get(self, symbol: str) -> SymbolWindows:
        """The windows of a symbol, in the order of the rules."""
        return self._of(symbol).read()

    def _of(self, symbol: str) -> "_Symbol":
        if (found := self._symbols.get(symbol)) is None:
            found = self._symbols[symbol] = _Symbol(self._rules)
        return found


class _Symbol:
    def __init__(self, rules: tuple[WindowRule, ...]) -> None:
        self._rules = rules
        self._traded = False
        self._begin()

    def put_trades(self, block: TradeBlock) -> None:
        if not self._traded:
            self._traded = True
            self._begin()
        self._put(block)

    def put_quotes(self, block: QuoteBlock) -> None:
        if not self._traded:
            self._put(block)

    def read(self) -> SymbolWindows:
        self._catch_up()
        values = [
            WindowValue(rule.name, None if np.isnan(value) else value, one.count, one.is_full)
            for rule, one, value in zip(self._rules, self._windows, self._values, strict=True)
        ]
        return SymbolWindows(tuple(values), self._as_of_ns, bool(self._as_of_ns) and not self._traded)

    def _begin(self) -> None:
        self._windows: list[Window] = [window(rule) for rule in self._rules]
        self._values = [float("nan")] * len(self._rules)
        self._waiting: list[QuoteBlock | TradeBlock] = []
        self._waiting_ticks, self._as_of_ns = 0, 0

    def _put(self, block: QuoteBlock | TradeBlock) -> None:
        self._waiting.append(block)
        self._waiting_ticks += len(block)
        if self._waiting_ticks >= _TICKS_AHEAD or len(self._waiting) >= _BLOCKS_AHEAD:
            self._catch_up()

    def _catch_up(self) -> None:
        waiting, self._waiting, self._waiting_ticks = self._waiting, [], 0
        if not waiting:
            return
        times, prices, sizes = (np.concatenate(parts) for parts in zip(*map(_columns, waiting), strict=True))
        if not len(times):
            return
        self._values = [float(one.push(times, prices, sizes)[-1]) for one in self._windows]
        self._as_of_ns = max(self._as_of_ns, int(times.max()))


def _columns(block: QuoteBlock | TradeBlock) -> tuple[Int64Column, Floats, Floats]:
    if isinstance(block, TradeBlock):
        return block.event_time_ns, block.price_nanos / ONE, block.size_nanos / ONE
    times, prices = mids(block)
    return times, prices / ONE, np.zeros(len(prices))
