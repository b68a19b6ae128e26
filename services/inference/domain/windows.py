"""Windows over a table of feature rows: what a sequence model sees, without a copy of every row for every step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """N windows of `steps` rows of a (M, F) table, oldest step first; `ends` are the rows of their newest steps."""

    table: npt.NDArray[np.float32]
    ends: npt.NDArray[np.int64]
    steps: int

    @classmethod
    def ending_anywhere(cls, table: npt.NDArray[np.float32], steps: int) -> "Windows":
        """One for every row of one symbol's table, the first `steps` − 1 of which have no whole window."""
        return cls(table, np.arange(len(table)), steps)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, steps, F)."""
        return len(self.ends), self.steps, self.table.shape[1]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: Rows) -> "Windows":
        return Windows(self.table, self.ends[rows], self.steps)

    def dense(self) -> npt.NDArray[np.float32]:
        """The (N, steps, F) numbers themselves."""
        numbers: npt.NDArray[np.float32] = self.table[self.ends[:, None] + np.arange(1 - self.steps, 1)]
        return numbers


Features = npt.NDArray[np.floating] | Windows
"""What models learn from: rows (N, F), or windows of rows (N, steps, F)."""


def dense(inputs: Features) -> npt.NDArray[np.floating]:
    """Rows as they are, windows as numbers."""
    return inputs.dense() if isinstance(inputs, Windows) else inputs


def stacked(parts: Sequence[npt.NDArray[np.float64] | Windows]) -> npt.NDArray[np.float64] | Windows:
    """All rows, or all windows, of all parts; parts of one table share it still."""
    windows = [part for part in parts if isinstance(part, Windows)]
    if not windows:
        return np.concatenate([part for part in parts if not isinstance(part, Windows)])
    table = windows[0].table
    if all(part.table is table for part in windows):
        return Windows(table, np.concatenate([part.ends for part in windows]), windows[0].steps)
    offsets = np.cumsum([0, *(len(part.table) for part in windows)])
    ends = [part.ends + offset for part, offset in zip(windows, offsets, strict=False)]
    return Windows(np.concatenate([part.table for part in windows]), np.concatenate(ends), windows[0].steps)
