"""Feature rows with what happened next, cut by time so that no row knows the future of another."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Floats, Ticks, fold
from services.inference.domain.features import WARM_UP_TICKS, FeatureState
from services.inference.domain.windows import Windows, stacked

Int64 = npt.NDArray[np.int64]

TRAIN_SHARE, CALIBRATE_SHARE = 0.6, 0.2
EMBARGO_NS = 30_000_000_000
"""Silence between two slices, longer than the features remember."""


@dataclass(frozen=True, slots=True)
class Samples:
    """N rows: features (N, F), labels in {0, ½, 1}, the time of each, and the block its label overlaps with.

    For a sequence model the features are N windows, (N, steps, F).
    """

    features: Floats | Windows
    labels: Floats
    time_ns: Int64
    block: Int64

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_]) -> "Samples":
        return Samples(self.features[rows], self.labels[rows], self.time_ns[rows], self.block[rows])


@dataclass(frozen=True, slots=True)
class Slices:
    """Three slices of time, oldest first: to train, to calibrate, and to judge."""

    train: Samples
    calibrate: Samples
    judge: Samples


def sample(
    ticks: Ticks, time_ns: Int64, horizon_ns: int, block: int = 0, *, block_ns: int = EMBARGO_NS, steps: int = 1
) -> Samples:
    """The warm rows of one symbol whose horizon lies within the data; the mid unchanged is labelled ½.

    Rows of one block of time stay together when figures are judged. With `steps` above 1 each row is the window of
    the newest `steps` feature rows, all of them warm.
    """
    features = fold(FeatureState(), ticks)
    later = np.searchsorted(time_ns, time_ns + horizon_ns, side="right") - 1
    labels = (np.sign(ticks.price[later] - ticks.price) + 1) / 2
    known = (np.arange(len(ticks)) >= WARM_UP_TICKS + steps - 1) & (time_ns + horizon_ns <= time_ns[-1])
    blocks = block + (time_ns - time_ns[0]) // block_ns
    seen = features if steps == 1 else Windows.ending_anywhere(features.astype(np.float32), steps)
    return Samples(seen, labels, time_ns, blocks)[known]


def cut(samples: Samples, horizon_ns: int, embargo_ns: int = EMBARGO_NS) -> Slices:
    """Cut by time, 60/20/20; before each cut the rows whose label looks past it are purged, after it an embargo."""
    start, end = int(samples.time_ns.min()), int(samples.time_ns.max())
    first = start + round((end - start) * TRAIN_SHARE)
    second = start + round((end - start) * (TRAIN_SHARE + CALIBRATE_SHARE))
    time_ns = samples.time_ns
    return Slices(
        samples[time_ns < first - horizon_ns],
        samples[(time_ns >= first + embargo_ns) & (time_ns < second - horizon_ns)],
        samples[time_ns >= second + embargo_ns],
    )


def joined(parts: list[Samples]) -> Samples:
    """All rows of all parts."""
    return Samples(
        stacked([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.block for part in parts]),
    )
