"""A venue's order book kept here: a snapshot and then the changes, in which nothing may be missing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

Level = tuple[int, int]
"""Price and size, nanos."""


@dataclass(frozen=True, slots=True)
class DepthChange:
    """Absolute sizes of the levels that changed from book `first` to book `last`; size 0 removes a level."""

    first: int
    last: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(slots=True)
class DepthBook:
    """The levels of one symbol. Before its snapshot, and after a hole, changes wait for the next snapshot."""

    changes_most: int = 10_000
    _number: int | None = None
    _bids: dict[int, int] = field(default_factory=dict)
    _asks: dict[int, int] = field(default_factory=dict)
    _waiting: list[DepthChange] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """The levels are those of the venue; otherwise a snapshot is needed."""
        return self._number is not None

    @property
    def best(self) -> tuple[Level, Level]:
        """The best bid and ask; (0, 0) where a side is empty."""
        bid, ask = max(self._bids, default=0), min(self._asks, default=0)
        return (bid, self._bids.get(bid, 0)), (ask, self._asks.get(ask, 0))

    def levels(self, count: int) -> tuple[list[Level], list[Level]]:
        """The best levels of both sides, best first."""
        bids, asks = sorted(self._bids.items(), reverse=True), sorted(self._asks.items())
        return bids[:count], asks[:count]

    def change(self, change: DepthChange) -> bool:
        """Take in a change; whether the book is whole after it."""
        if self._number is None:
            self._wait(change)
        elif change.last > self._number:
            if change.first > self._number + 1:
                self.lose()
                self._wait(change)
            else:
                self._apply(change)
        return self.is_whole

    def lose(self) -> None:
        """Changes were missed: the book is not whole before the next snapshot."""
        self._number = None
        self._waiting.clear()

    def load(self, number: int, bids: Iterable[Level], asks: Iterable[Level]) -> bool:
        """Take in a snapshot of book `number` and what has waited; whether the book is whole.

        A snapshot that is older than the first waiting change cannot be joined to it: ask for another one.
        """
        later = [change for change in self._waiting if change.last > number]
        if later and later[0].first > number + 1:
            return False
        self._number, self._bids, self._asks = number, dict(bids), dict(asks)
        self._waiting.clear()
        for change in later:
            self.change(change)
        return self.is_whole

    def _wait(self, change: DepthChange) -> None:
        self._waiting.append(change)
        if len(self._waiting) > self.changes_most:
            del self._waiting[0]

    def _apply(self, change: DepthChange) -> None:
        self._number = change.last
        for side, levels in ((self._bids, change.bids), (self._asks, change.asks)):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
