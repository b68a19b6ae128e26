"""Exponential averages of many rows at once, y ← y + α·(v − y), over columns and without a loop over time.

A chunk's averages are its values times a triangular matrix of weights. What the average before the chunk adds is
that of a first value made larger by carry·(1 − α)/α; the carries are such a recursion themselves, a chunk shorter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHUNK = 32
_FEW = 64
"""Up to this many steps a plain loop is faster than another level."""


@dataclass(frozen=True, slots=True)
class _Level:
    """For R rows: the (R, C, C) weights of a chunk, those of its last average, and how a carry enters and decays."""

    weights: Floats
    last: Floats
    entry: Floats
    decay: Floats

    @classmethod
    def of(cls, weight: Floats, rest: Floats) -> "_Level":
        """The recursion y ← rest·y + weight·v."""
        steps = np.arange(CHUNK)
        lag = steps[None, :] - steps[:, None]
        powers = rest[:, None, None] ** np.maximum(lag, 0)
        weights = np.where(lag >= 0, weight[:, None, None] * powers, 0.0)
        return cls(weights, weights[:, :, -1:].copy(), (rest / weight)[:, None], rest**CHUNK)


class Averages:
    """The averages of R rows, each with an α of its own."""

    def __init__(self, alphas: Sequence[float]) -> None:
        rest = 1 - np.array(alphas)
        self._levels = [_Level.of(1 - rest, rest)]

    def __call__(self, values: Floats, start: Floats, averages: Floats) -> None:
        """Put the averages after each of N values (R, N) into `averages`, from those before them (R,).

        `values` is used up. N must be a multiple of CHUNK: pad at the end. Rows may lie apart, values in a row not.
        """
        self._fold(values, start, averages, 0)

    def _fold(self, values: Floats, start: Floats, averages: Floats, depth: int) -> None:
        if depth == len(self._levels):
            rest = self._levels[-1].decay
            self._levels.append(_Level.of(np.ones_like(rest), rest))
        level, shape = self._levels[depth], (len(values), -1, CHUNK)
        chunks = values.reshape(shape)
        values[:, ::CHUNK] += level.entry * self._carries(chunks, start, depth)
        np.matmul(chunks, level.weights, out=averages.reshape(shape))

    def _carries(self, chunks: Floats, start: Floats, depth: int) -> Floats:
        """The averages before each chunk (R, C)."""
        level, (rows, count, _) = self._levels[depth], chunks.shape
        carries = np.empty((rows, count))
        carries[:, 0] = start
        if count <= _FEW:
            ends = (chunks[:, :-1] @ level.last)[:, :, 0]
            carries[:, 1:] = _recursion(ends, level.decay, start)
        else:
            ends = np.zeros((rows, padded_count(count - 1)))
            np.matmul(chunks[:, :-1], level.last, out=ends[:, : count - 1, None])
            averages = np.empty_like(ends)
            self._fold(ends, start, averages, depth + 1)
            carries[:, 1:] = averages[:, : count - 1]
        return carries


def padded_count(count: int) -> int:
    """The next multiple of CHUNK."""
    return -(-count // CHUNK) * CHUNK


def _recursion(values: Floats, decay: Floats, start: Floats) -> list[list[float]]:
    """y ← decay·y + v, step by step."""
    found = []
    for row, rest, carry in zip(values.tolist(), decay.tolist(), start.tolist(), strict=True):
        steps, last = [], carry
        for value in row:
            last = value + rest * last
            steps.append(last)
        found.append(steps)
    return found
