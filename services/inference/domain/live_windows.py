"""The newest feature rows of each symbol, for models that see more than one: O(1) a tick, in bounded memory."""

from collections.abc import Hashable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
_BYTES = 4


class RowRing:
    """The newest `steps` rows as one contiguous array: every row is written twice, `steps` apart."""

    __slots__ = ("_at", "_rows", "count", "steps")

    def __init__(self, steps: int, width: int) -> None:
        self._rows = np.zeros((2 * steps, width), np.float32)
        self._at = 0
        self.steps = steps
        self.count = 0

    def push(self, row: Sequence[float] | Rows) -> None:
        """Take in the next row."""
        self._rows[self._at] = self._rows[self._at + self.steps] = row
        self._at = (self._at + 1) % self.steps
        self.count += 1

    def newest(self, count: int) -> Rows:
        """The newest `count` rows, or as many as there are, oldest first; a view that the next push changes."""
        end = self._at + self.steps
        return self._rows[end - min(count, self.count, self.steps) : end]


class LiveWindows:
    """A ring for each symbol that has ticked since a sequence model came; symbols beyond `most_bytes` get none."""

    def __init__(self, width: int, most_bytes: int) -> None:
        self._width = width
        self._most_bytes = most_bytes
        self._rings: dict[Hashable, RowRing] = {}
        self.steps = 1

    def remember(self, steps: int) -> None:
        """Keep at least `steps` rows from now on; what is kept already stays."""
        if steps <= self.steps:
            return
        self.steps = steps
        for key, old in self._rings.items():
            ring = self._rings[key] = RowRing(steps, self._width)
            for row in old.newest(old.steps).copy():
                ring.push(row)

    @property
    def wanted(self) -> bool:
        """Some model sees more than one row."""
        return self.steps > 1

    def push(self, key: Hashable, rows: Sequence[Sequence[float]] | Rows) -> None:
        """Take in the next warm rows of a symbol, oldest first."""
        ring = self._rings.get(key) or self._new(key)
        if ring is not None:
            for row in islice(rows, max(len(rows) - self.steps, 0), None):
                ring.push(row)

    def newest(self, key: Hashable, count: int) -> Rows:
        """The newest `count` warm rows of a symbol, or as many as there are; a view that the next push changes."""
        ring = self._rings.get(key)
        return ring.newest(count) if ring is not None else np.empty((0, self._width), np.float32)

    def _new(self, key: Hashable) -> RowRing | None:
        each = 2 * self.steps * self._width * _BYTES
        if (len(self._rings) + 1) * each > self._most_bytes:
            return None
        ring = self._rings[key] = RowRing(self.steps, self._width)
        return ring
