"""Walk-forward evaluation: learn from the past, calibrate on what followed, judge on what came after that, again later.

Between two slices the rows whose label looks past the cut are purged, and an embargo is left after it, longer than the
features remember (López de Prado 2018, chapter 7). The past grows from fold to fold; nothing of the future is used, not
even the base rate that skill is measured against.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain import calibration
from services.inference.domain.samples import Samples, Slices
from services.inference.domain.scorecard import Decile, Floats, Scorecard, deciles, score
from services.inference.domain.training_errors import TooLittleData
from services.inference.domain.windows import Features

Logits = Callable[[Features], npt.NDArray[np.floating]]
Learn = Callable[[Samples], Logits]
"""Trains on samples and gives the function from features to log odds."""

FEWEST_ROWS = 50
"""Rows in a slice below which nothing can be learnt, calibrated or judged."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How to walk: `first_share` of the time is only learnt from; the newest `calibrate_share` of a past calibrates."""

    horizon_ns: int
    embargo_ns: int
    folds: int = 5
    first_share: float = 0.4
    calibrate_share: float = 0.2


@dataclass(frozen=True, slots=True)
class FoldScore:
    """One step of the walk: the span that was judged (ns UTC), the rows learnt from, and the figures."""

    start_ns: int
    end_ns: int
    trained_rows: int
    score: Scorecard


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures over all judged rows together, by tenths of confidence, and of each fold."""

    score: Scorecard
    deciles: tuple[Decile, ...]
    folds: tuple[FoldScore, ...]


def walk_forward(samples: Samples, walk: Walk, learn: Learn) -> Evaluation:
    """Judge a way to learn on samples of one or more symbols; raises TooLittleData."""
    judged = [_judge(slices, learn) for slices in folds(samples, walk)]
    probabilities, base_rates = (np.concatenate(column) for column in list(zip(*judged, strict=True))[:2])
    held_out = [fold.judge for fold in folds(samples, walk)]
    labels = np.concatenate([part.labels for part in held_out])
    blocks = np.concatenate([part.block for part in held_out])
    return Evaluation(
        score(probabilities, labels, base_rates, blocks),
        deciles(probabilities, labels),
        tuple(fold for _, _, fold in judged),
    )


def folds(samples: Samples, walk: Walk) -> Iterator[Slices]:
    """The slices of every fold, the oldest first; raises TooLittleData when one of them is too short."""
    start, end = int(samples.time_ns.min()), int(samples.time_ns.max())
    span = end - start
    cuts = np.linspace(start + walk.first_share * span, end, walk.folds + 1).astype(np.int64)
    time_ns = samples.time_ns
    for number, (now, until) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        middle = round(now - walk.calibrate_share * (now - start))
        last = time_ns <= until if number == walk.folds - 1 else time_ns < until
        slices = Slices(
            samples[time_ns < middle - walk.horizon_ns],
            samples[(time_ns >= middle + walk.embargo_ns) & (time_ns < now - walk.horizon_ns)],
            samples[(time_ns >= now + walk.embargo_ns) & last],
        )
        _check(slices, number + 1)
        yield slices


def _check(slices: Slices, fold: int) -> None:
    for name, part in (("train", slices.train), ("calibrate", slices.calibrate), ("judge", slices.judge)):
        if len(part) < FEWEST_ROWS:
            raise TooLittleData(
                f"Expected at least {FEWEST_ROWS} rows to {name} in fold {fold}, was {len(part)}.",
                fold=fold,
                slice=name,
                rows=len(part),
            )


def _judge(slices: Slices, learn: Learn) -> tuple[Floats, Floats, FoldScore]:
    logits = learn(slices.train)
    platt = calibration.fit(logits(slices.calibrate.features), slices.calibrate.labels)
    held_out = slices.judge
    probabilities = np.asarray(platt.probabilities(logits(held_out.features)))
    base_rate = float(slices.train.labels.mean())
    card = score(probabilities, held_out.labels, base_rate, held_out.block)
    fold = FoldScore(int(held_out.time_ns.min()), int(held_out.time_ns.max()), len(slices.train), card)
    return probabilities, np.full(len(held_out), base_rate), fold
