"""Which ticks of a feed have been seen, by the sequence that each block carries."""

from typing import NamedTuple


class Taken(NamedTuple):
    """How many ticks at a block's start were seen before, and how many were missed before it."""

    repeated: int
    missed: int


class Feeds:
    """The next sequence expected of every venue and symbol."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], tuple[str, int]] = {}

    def take(self, venue: str, symbol: str, feed_id: str, first_sequence: int, count: int) -> Taken:
        """Note a block of `count` ticks.

        The first block ever heard sets the start: what came before it was nobody's loss. A feed that starts
        anew counts from 0, so what its first block skips was missed.
        """
        known = self._next.get((venue, symbol))
        expected = first_sequence if known is None else known[1] if known[0] == feed_id else 0
        self._next[venue, symbol] = (feed_id, max(expected, first_sequence + count))
        return Taken(min(max(expected - first_sequence, 0), count), max(first_sequence - expected, 0))
