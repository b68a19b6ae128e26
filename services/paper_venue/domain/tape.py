"""The tape: what the market has said so far, for customers who ask for it afterwards."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from services.paper_venue.domain.ticks import Int64, Kind, Ticks


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows with their positions among everything that the market has said, counted from 1."""

    ticks: Ticks
    positions: Int64

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: slice) -> "Placed":
        return Placed(self.ticks[rows], self.positions[rows])


@dataclass(slots=True)
class _Chunk:
    """A chunk of the market, how many rows came before it, and how many of its own have been said."""

    ticks: Ticks
    before: int
    said: int = 0


class Tape:
    """The newest chunks of the market, as views; whole chunks are forgotten beyond `rows_kept` said rows."""

    def __init__(self, rows_kept: int) -> None:
        self._rows_kept = rows_kept
        self._chunks: deque[_Chunk] = deque()
        self._said_before = 0

    def load(self, ticks: Ticks) -> None:
        """Take in the next chunk; none of its rows is visible yet."""
        if self._chunks:
            self._said_before += self._chunks[-1].said
        self._chunks.append(_Chunk(ticks, self.said))
        while len(self._chunks) > 1 and self._said_before - self._chunks[0].said >= self._rows_kept:
            self._said_before -= self._chunks.popleft().said

    @property
    def said(self) -> int:
        """How many rows have been said, forgotten ones included."""
        return self._chunks[-1].before + self._chunks[-1].said if self._chunks else 0

    def advance(self, rows: int) -> int:
        """The next `rows` rows of the newest chunk have been said; returns the position of the first of them."""
        self._chunks[-1].said += rows
        return self.said - rows + 1

    def find(self, kind: Kind, instrument: int, start_ns: int, end_ns: int) -> Ticks:
        """Every said row of one kind and instrument from `start_ns` to `end_ns`, both included, oldest first."""
        return self.find_placed(kind, instrument, start_ns, end_ns).ticks

    def find_placed(self, kind: Kind, instrument: int, start_ns: int, end_ns: int) -> Placed:
        """The same rows with their positions."""
        parts = [self._in_chunk(chunk, kind, instrument, start_ns, end_ns) for chunk in self._chunks]
        found = [part for part in parts if len(part)]
        positions = [part.positions for part in found] or [np.zeros(0, np.int64)]
        return Placed(Ticks.concat([part.ticks for part in found]), np.concatenate(positions))

    def latest(self, kind: Kind, instrument: int) -> Ticks:
        """The newest said row of one kind and instrument; empty when there is none."""
        return self.latest_placed(kind, instrument).ticks

    def latest_placed(self, kind: Kind, instrument: int) -> Placed:
        """The same row with its position."""
        for chunk in reversed(self._chunks):
            said = chunk.ticks[: chunk.said]
            rows = np.flatnonzero((said.kind == kind) & (said.instrument == instrument))[-1:]
            if len(rows):
                return Placed(said[rows], rows + chunk.before + 1)
        return Placed(Ticks.empty(), np.zeros(0, np.int64))

    @staticmethod
    def _in_chunk(chunk: _Chunk, kind: Kind, instrument: int, start_ns: int, end_ns: int) -> Placed:
        said = chunk.ticks[: chunk.said]
        first = int(np.searchsorted(said.time_ns, start_ns, "left"))
        last = int(np.searchsorted(said.time_ns, end_ns, "right"))
        within = said[first:last]
        rows = np.flatnonzero((within.kind == kind) & (within.instrument == instrument))
        return Placed(within[rows], rows + first + chunk.before + 1)
