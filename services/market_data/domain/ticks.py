"""Ticks on their way in: what one drain of a venue's session gave, and their places in the feed."""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.sessions import Halt, PriceBands
from trading.market import QuoteBlock, TradeBlock

News = TradeCorrection | Halt | PriceBands
"""What a venue says beside ticks."""


class Carried(NamedTuple):
    """A quote that came alone and was published at once, and its place in the feed."""

    block: QuoteBlock
    first_sequence: int


@dataclass(frozen=True, slots=True)
class Ticks:
    """Blocks of the ticks read since the last drain, one per symbol and kind; `refused` were unreadable.

    What was `carried` came before all others, and is published already.
    """

    quotes: tuple[QuoteBlock, ...] = ()
    trades: tuple[TradeBlock, ...] = ()
    refused: int = 0
    news: tuple[News, ...] = ()
    carried: tuple[Carried, ...] = ()

    @property
    def count(self) -> int:
        """All readable ticks."""
        return sum(map(len, self.quotes)) + sum(map(len, self.trades)) + len(self.carried)


class Sequences:
    """Numbers the ticks of each symbol without holes, from 0 at the start of the run."""

    def __init__(self) -> None:
        self._next: defaultdict[str, int] = defaultdict(int)

    def next(self, symbol: str) -> int:
        """The number that the next tick of a symbol gets."""
        return self._next.get(symbol, 0)

    def take(self, symbol: str, count: int) -> int:
        """Reserve `count` numbers and give the first."""
        first = self._next[symbol]
        self._next[symbol] = first + count
        return first
