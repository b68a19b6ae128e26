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
_FEW = 32
"""Up to this many chunks one triangle of weights carries on what another level would."""


@dataclass(frozen=True, slots=True)
class _Level:
    """For R rows: the (R, C, C) weights of a chunk, those of its last average, and how a carry enters and decays.

    `tail` (R, F, F) weighs what a few chunks carry on, `fade` (R, F) what was carried into the first of them.
    """

    weights: Floats
    last: Floats
    entry: Floats
    decay: Floats
    tail: Floats
    fade: Floats

    @classmethod
    def of(cls, weight: Floats, rest: Floats) -> "_Level":
        """The recursion y ← rest·y + weight·v."""
        weights, decay = weight[:, None, None] * _powers(rest, CHUNK), rest**CHUNK
        fade = decay[:, None] ** np.arange(1, _FEW)
        return cls(weights, weights[:, :, -1:].copy(), (rest / weight)[:, None], decay, _powers(decay, _FEW - 1), fade)


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
            ends, few = (chunks[:, :-1] @ level.last).transpose(0, 2, 1), count - 1
            np.matmul(ends, level.tail[:, :few, :few], out=carries[:, None, 1:])
            carries[:, 1:] += start[:, None] * level.fade[:, :few]
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


def _powers(rest: Floats, count: int) -> Floats:
    """The (R, N, N) triangles whose rows i hold rest^(j − i) from column i on."""
    steps = np.arange(count)
    lag = steps[None, :] - steps[:, None]
    return np.where(lag >= 0, rest[:, None, None] ** np.maximum(lag, 0), 0.0)
