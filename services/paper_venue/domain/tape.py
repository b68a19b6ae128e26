"""The tape: what the market has said so far, for customers who ask for it afterwards."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from services.paper_venue.domain.ticks import Kind, Ticks


@dataclass(slots=True)
class _Chunk:
    """A chunk of the market and how many of its rows have been said."""

    ticks: Ticks
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
        self._chunks.append(_Chunk(ticks))
        while len(self._chunks) > 1 and self._said_before - self._chunks[0].said >= self._rows_kept:
            self._said_before -= self._chunks.popleft().said

    def advance(self, rows: int) -> None:
        """The next `rows` rows of the newest chunk have been said."""
        self._chunks[-1].said += rows

    def find(self, kind: Kind, instrument: int, start_ns: int, end_ns: int) -> Ticks:
        """Every said row of one kind and instrument from `start_ns` to `end_ns`, both included, oldest first."""
        parts = [self._in_chunk(chunk, kind, instrument, start_ns, end_ns) for chunk in self._chunks]
        return Ticks.concat([part for part in parts if len(part)])

    def latest(self, kind: Kind, instrument: int) -> Ticks:
        """The newest said row of one kind and instrument; empty when there is none."""
        for chunk in reversed(self._chunks):
            said = chunk.ticks[: chunk.said]
            rows = np.flatnonzero((said.kind == kind) & (said.instrument == instrument))
            if len(rows):
                return said[rows[-1:]]
        return Ticks.empty()

    @staticmethod
    def _in_chunk(chunk: _Chunk, kind: Kind, instrument: int, start_ns: int, end_ns: int) -> Ticks:
        said = chunk.ticks[: chunk.said]
        first = int(np.searchsorted(said.time_ns, start_ns, "left"))
        last = int(np.searchsorted(said.time_ns, end_ns, "right"))
        within = said[first:last]
        return within[(within.kind == kind) & (within.instrument == instrument)]
