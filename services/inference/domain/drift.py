"""How far the newest feature rows lie from the training data: the population stability index of each feature.

PSI = Σ (live − trained) · ln(live / trained) over the bins of a feature (Karakoulas 2004; Yurdakul 2018). Rules of
thumb: below 0.1 nothing moved, above 0.25 much did.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BINS = 10
LARGE_SHIFT = 0.25
_SHARE_FLOOR = 1e-4
"""A bin that nobody is in counts as this share, so that one row there is a small surprise and no infinite one."""
_DIGITS = 9


class Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the values of one feature lay: E rising edges, the shares of the E + 1 bins they cut, and the mean.

    A value that equals an edge belongs to the bin above it.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float


Distributions = Mapping[str, Distribution]
"""By the name of the feature, as a model's manifest carries them."""


class FeatureDrift(NamedTuple):
    """How one feature moved: its index, and its mean now and in the training data."""

    feature: str
    psi: float
    mean: float
    trained_mean: float


def distributions(
    names: Sequence[str], features: npt.NDArray[np.floating], bins: int = BINS
) -> dict[str, Distribution]:
    """The distributions of (N, F) training rows: quantile edges, so that each bin holds about 1/bins of them.

    Equal quantiles, as of a feature that is mostly 0, are one edge. Raises ValueError without rows, or when a value
    is not finite.
    """
    if features.ndim != 2 or features.shape[1] != len(names) or not len(features):
        raise ValueError(f"Expected rows of {len(names)} features, was {features.shape}.")
    if not np.isfinite(features).all():
        raise ValueError("Expected finite features.")
    return {
        name: _distribution(column, bins) for name, column in zip(names, features.T.astype(np.float64), strict=True)
    }


def _distribution(column: Floats, bins: int) -> Distribution:
    quantiles = np.quantile(column, np.arange(1, bins) / bins, method="lower")
    edges = np.unique(np.round(quantiles, _DIGITS))
    edges = edges[edges > column.min()]
    shares = _shares(column, edges)
    return Distribution(tuple(edges.tolist()), tuple(shares.tolist()), float(column.mean()))


def misfit(trained: Distributions, features: Sequence[str]) -> str | None:
    """Why distributions cannot be those of a model with these features; None when they can, or when there are none."""
    if not trained:
        return None
    if set(trained) != set(features):
        return f"Expected distributions of {sorted(features)}, was {sorted(trained)}."
    unsound = [name for name, each in trained.items() if not _is_sound(each)]
    return f"Expected rising finite edges and shares that add up to 1 of {', '.join(unsound)}." if unsound else None


def _is_sound(found: Distribution) -> bool:
    numbers = np.array([*found.edges, *found.shares, found.mean])
    return bool(
        np.isfinite(numbers).all()
        and len(found.shares) == len(found.edges) + 1
        and (np.diff(found.edges) > 0).all()
        and min(found.shares) >= 0
        and abs(sum(found.shares) - 1) < 1e-6
    )


def psi(trained: Distribution, values: Floats) -> float:
    """The population stability index of N newest values; 0 without any."""
    if not len(values):
        return 0.0
    live = np.maximum(_shares(values, np.array(trained.edges)), _SHARE_FLOOR)
    expected = np.maximum(np.array(trained.shares), _SHARE_FLOOR)
    return float(((live - expected) * np.log(live / expected)).sum())


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.asarray(counts / len(values), np.float64)


class RowWindow:
    """The newest feature rows that a model was asked about live, every `stride`-th of them, in bounded memory.

    Neighbouring ticks look alike, so skipping some lets the same memory tell of a longer time.
    """

    def __init__(self, width: int, capacity: int, stride: int) -> None:
        self._rows = np.zeros((capacity, width))
        self._stride = stride
        self._left = 1
        self._kept = 0

    def see(self, row: Sequence[float]) -> None:
        """Take in one row; O(1)."""
        self._left -= 1
        if self._left:
            return
        self._left = self._stride
        self._rows[self._kept % len(self._rows)] = row
        self._kept += 1

    @property
    def rows(self) -> Floats:
        """The rows in the window, in no order."""
        return self._rows[: min(self._kept, len(self._rows))]


def drift(names: Sequence[str], trained: Distributions, rows: Floats) -> list[FeatureDrift]:
    """Each feature of (N, F) live rows against the training data, in the order of the columns.

    Empty when the model carries no distributions, or no row has been seen.
    """
    if not trained or not len(rows):
        return []
    return [
        FeatureDrift(name, psi(trained[name], column), float(column.mean()), trained[name].mean)
        for name, column in zip(names, rows.T, strict=True)
    ]
