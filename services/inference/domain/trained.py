"""From a training set to a judged model: learn on the oldest rows, calibrate on later ones, judge on the newest."""

import hashlib
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.inference.domain import calibration, model_card
from services.inference.domain.architectures import Mlp
from services.inference.domain.drift import distributions
from services.inference.domain.learning import Learning, Tensors
from services.inference.domain.model_spec import GOLDEN_SAMPLES, Golden, ModelSpec, Platt, Provenance, Scaler
from services.inference.domain.scorecard import Decile, Scorecard, deciles, score
from services.inference.domain.training import TrainingPlan, TrainingSet
from services.inference.domain.walk_forward import FEWEST_ROWS

Floats = npt.NDArray[np.float64]

TRAIN_SHARE, CALIBRATE_SHARE, GAP_SHARE = 0.6, 0.2, 0.01
BLOCKS = 100
"""Blocks of neighbouring rows that stay together when the interval of the skill is drawn."""


class Parts(NamedTuple):
    """Slices of rows in the order of time; the last two are empty when there are too few rows for them."""

    train: slice
    calibrate: slice
    judge: slice

    @property
    def is_judged(self) -> bool:
        """There is something to calibrate with and to judge by."""
        return bool(self.judge.stop > self.judge.start)


class Trained(NamedTuple):
    """A network with its spec, and what its maker says of some samples; without a score nothing could be judged."""

    spec: ModelSpec
    tensors: Tensors
    golden: Golden
    score: Scorecard | None
    tenths: tuple[Decile, ...]
    accuracy: float


def parts(rows: int) -> Parts:
    """60 % to train, 20 % to calibrate, 20 % to judge; the last 1 % before each cut is left out.

    Labels look ahead by a horizon that rows do not tell; the gap keeps neighbours across a cut apart.
    """
    gap = max(1, round(GAP_SHARE * rows))
    first, second = round(TRAIN_SHARE * rows), round((TRAIN_SHARE + CALIBRATE_SHARE) * rows)
    found = Parts(slice(0, first - gap), slice(first, second - gap), slice(second, rows))
    if min(part.stop - part.start for part in found) < FEWEST_ROWS:
        nothing = slice(rows, rows)
        return Parts(slice(0, rows), nothing, nothing)
    return found


def samples_of(training: TrainingSet, plan: TrainingPlan) -> Floats:
    """The features as the network reads them: (R, F), or (R, steps, F) of a sequence model."""
    if isinstance(plan.architecture, Mlp):
        return training.features
    return training.features.reshape(len(training), plan.window, len(plan.features))


def newest_step(features: Floats) -> Floats:
    """(N, F) rows as they are; of (N, steps, F) windows the newest row."""
    return features if features.ndim == 2 else features[:, -1]


def conclude(
    learning: Learning, scaler: Scaler, training: TrainingSet, plan: TrainingPlan, code_version: str
) -> Trained:
    """Calibrate and judge what was learnt on `parts(rows).train`."""
    cut, features = parts(len(training)), samples_of(training, plan)
    platt = _platt(learning, features[cut.calibrate], training.labels[cut.calibrate])
    card: Scorecard | None = None
    tenths: tuple[Decile, ...] = ()
    held_out = cut.judge if cut.is_judged else cut.train
    logits = np.asarray(learning.logits(features[held_out]), np.float64)
    labels = training.labels[held_out]
    if platt and cut.is_judged:
        probabilities = np.asarray(platt.probabilities(logits))
        base_rate = float(training.labels[cut.train].mean())
        blocks = np.arange(len(labels)) * BLOCKS // len(labels)
        card, tenths = score(probabilities, labels, base_rate, blocks), deciles(probabilities, labels)
    accuracy = card.hit_rate if card else float(np.where(logits >= 0, labels, 1 - labels).mean())
    spec = ModelSpec(
        architecture=plan.architecture,
        features=plan.features,
        window=plan.window,
        horizon_ns=plan.horizon_ns,
        scaler=scaler,
        calibration=Platt(platt.slope, platt.intercept) if platt else None,
        provenance=_provenance(training, card, accuracy, code_version),
        distributions=distributions(plan.features, newest_step(features[cut.train])),
    )
    return Trained(spec, learning.tensors(), _golden(learning, features), card, tenths, accuracy)


def describe(name: str, trained: Trained, plan: TrainingPlan, losses: list[float]) -> str:
    """The card of a version that was made of rows somebody sent."""
    method = (
        f"Adam on the log loss, {plan.epochs} epochs, learning rate {plan.learning_rate:g}, seed {plan.seed}; log loss "
        f"{losses[0]:.4f} in the first epoch and {losses[-1]:.4f} in the last. In the order of the rows 60 % to train, "
        "20 % to calibrate (Platt), 20 % to judge, with a gap of 1 % of the rows before each cut. The network was "
        "trained anew; nothing of an earlier version is in it."
    )
    data = (
        f"{trained.spec.provenance.training_data}\n\nSHA-256 of the rows and labels: "
        f"`{trained.spec.provenance.training_data_sha256}`."
    )
    scores = {"the newest fifth": trained.score} if trained.score else {}
    return model_card.card(name, trained.spec, data, method, model_card.judgement(scores, trained.tenths))


def metrics(score: Scorecard | None) -> dict[str, float]:
    """The figures of a scorecard by name."""
    return {name: float(value) for name, value in asdict(score).items()} if score else {}


def _platt(learning: Learning, features: Floats, labels: Floats) -> calibration.Calibration | None:
    if not len(labels) or labels.min() == labels.max():
        return None
    return calibration.fit(np.asarray(learning.logits(features), np.float64), labels)


def _provenance(training: TrainingSet, card: Scorecard | None, accuracy: float, code_version: str) -> Provenance:
    digest = hashlib.sha256(np.ascontiguousarray(training.features).data)
    digest.update(np.ascontiguousarray(training.labels).data)
    up, down = int((training.labels > 0.5).sum()), int((training.labels < 0.5).sum())
    told = (
        f"{len(training):,} rows that a caller sent ({up:,} up, {down:,} down, {len(training) - up - down:,} neither); "
        "where they come from is not known here."
    )
    return Provenance(told, digest.hexdigest(), code_version, {"accuracy": accuracy} | metrics(card))


def _golden(learning: Learning, features: Floats) -> Golden:
    """Samples spread over the whole set, and what the trainer's own network says of them."""
    rows = np.linspace(0, len(features) - 1, min(len(features), GOLDEN_SAMPLES)).astype(np.int64)
    inputs = features[rows].astype(np.float32)
    return Golden(inputs, np.asarray(learning.logits(inputs), np.float32))
