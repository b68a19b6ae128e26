"""From our features to the inputs of one model: its columns in its order, and its windows of rows."""

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from services.inference.domain.features import FEATURES

Table = npt.NDArray[np.floating[Any]]
Row = Sequence[float]


@cache
def columns_of(features: tuple[str, ...]) -> tuple[int, ...] | None:
    """Where a model's features are among ours; None when they are ours in our order."""
    return None if features == FEATURES else tuple(FEATURES.index(name) for name in features)


@cache
def picker(features: tuple[str, ...]) -> Callable[[Row], Row]:
    """What takes a model's features out of one row of ours."""
    columns = columns_of(features)
    if columns is None:
        return _whole
    if len(columns) == 1:
        return lambda row: (row[columns[0]],)
    return itemgetter(*columns)


def _whole(row: Row) -> Row:
    return row


def picked(table: Table, features: tuple[str, ...]) -> Table:
    """A model's columns of rows of ours, along the last axis; the table itself when they are all of them."""
    columns = columns_of(features)
    return table if columns is None else table[..., list(columns)]


def windows_over(history: Table, rows: Table, steps: int) -> Table:
    """The windows (n, steps, F) that end in each of `rows` (N, F) and are whole, `history` being the rows before.

    Those of the first rows may be missing: n is at most N. A view; nothing is copied.
    """
    together = np.concatenate((history[len(history) - min(len(history), steps - 1) :], rows))
    if len(together) < steps:
        return np.empty((0, steps, rows.shape[1]), rows.dtype)
    return np.lib.stride_tricks.sliding_window_view(together, steps, axis=0).transpose(0, 2, 1)
