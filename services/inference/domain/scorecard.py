"""How good probabilities are: Brier skill, hit rate, calibration error, and how often they dare to be sure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SURE = 0.8
_BINS = 10
_RESAMPLES = 500
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Figures over N probabilities; labels of ½ (neither up nor down) count half towards a hit.

    `brier_skill` is 1 − Brier/Brier(base rate), with a 95 % interval from a block bootstrap: above zero there
    is an edge. `calibration_error` is the expected |hit share − confidence| over ten equal bins.
    """

    rows: int
    base_rate: float
    brier: float
    brier_skill: float
    brier_skill_low: float
    brier_skill_high: float
    hit_rate: float
    calibration_error: float
    sure_share: float
    sure_hit_rate: float

    @property
    def has_edge(self) -> bool:
        """The whole interval of the skill lies above zero."""
        return self.brier_skill_low > 0


@dataclass(frozen=True, slots=True)
class Decile:
    """A tenth of the rows, by confidence: their number, mean confidence, and share of hits."""

    rows: int
    confidence: float
    hit_rate: float


def score(probabilities: Floats, labels: Floats, base_rate: float | Floats, blocks: npt.NDArray[np.int64]) -> Scorecard:
    """Judge probabilities of "up" against labels in {0, ½, 1}.

    `base_rate` is the share of "up" known beforehand (of the training data), for all rows or for each. Rows
    of one block stay together in the bootstrap, because their labels overlap in time.
    """
    errors, base_errors = (probabilities - labels) ** 2, (base_rate - labels) ** 2
    low, high = _skill_interval(errors, base_errors, blocks)
    confidence = np.maximum(probabilities, 1 - probabilities)
    hits = np.where(probabilities >= 0.5, labels, 1 - labels)
    sure = confidence > SURE
    return Scorecard(
        rows=len(labels),
        base_rate=float(np.mean(base_rate)),
        brier=float(errors.mean()),
        brier_skill=_skill(errors.sum(), base_errors.sum()),
        brier_skill_low=low,
        brier_skill_high=high,
        hit_rate=float(hits.mean()),
        calibration_error=_calibration_error(confidence, hits),
        sure_share=float(sure.mean()),
        sure_hit_rate=float(hits[sure].mean()) if sure.any() else 0.0,
    )


def deciles(probabilities: Floats, labels: Floats) -> tuple[Decile, ...]:
    """Hit rates by tenths of the confidence, the least sure first; fewer than ten rows give fewer tenths."""
    confidence = np.maximum(probabilities, 1 - probabilities)
    hits = np.where(probabilities >= 0.5, labels, 1 - labels)
    parts = np.array_split(np.argsort(confidence, kind="stable"), _BINS)
    return tuple(
        Decile(len(rows), float(confidence[rows].mean()), float(hits[rows].mean())) for rows in parts if len(rows)
    )


def _skill(error: float, base_error: float) -> float:
    return float(1 - error / base_error) if base_error > 0 else 0.0


def _skill_interval(errors: Floats, base_errors: Floats, blocks: npt.NDArray[np.int64]) -> tuple[float, float]:
    _, index = np.unique(blocks, return_inverse=True)
    own, base = np.bincount(index, errors), np.bincount(index, base_errors)
    draws = np.random.default_rng(0).integers(0, len(own), (_RESAMPLES, len(own)))
    totals = np.maximum(base[draws].sum(axis=1), np.finfo(float).tiny)
    low, high = np.percentile(1 - own[draws].sum(axis=1) / totals, _INTERVAL)
    return float(low), float(high)


def _calibration_error(confidence: Floats, hits: Floats) -> float:
    bins = np.minimum(((confidence - 0.5) * 2 * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    gaps = np.abs(np.bincount(bins, hits, _BINS) - np.bincount(bins, confidence, _BINS))
    return float(gaps[counts > 0].sum() / len(hits))
