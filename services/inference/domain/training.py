"""Training jobs: what is asked for, whether it can be learnt from, and the life of a job as facts."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.inference.domain.architectures import Architecture, Gru, Lstm, Mlp, PatchTst, Tcn, misfit
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.training_errors import BadTrainingSet
from trading.errors import FailedPrecondition

Floats = npt.NDArray[np.float64]

MOST_EPOCHS = 10_000
MOST_LEARNING_RATE = 1.0
FEWEST_ROWS = 4
LONGEST_ERROR = 500
DEFAULT_EPOCHS, DEFAULT_LEARNING_RATE = 10, 0.001


DEFAULTS: dict[str, Architecture] = {
    "mlp": Mlp((64, 32)),
    "tcn": Tcn(channels=16, levels=4, kernel=3),
    "gru": Gru(32),
    "lstm": Lstm(32),
    "patchtst": PatchTst(patch=8, width=32, heads=4, layers=2, feed=64),
}
"""The network of a kind, where the version in use is of another."""


class TrainingState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


ENDED = frozenset({TrainingState.SUCCEEDED, TrainingState.FAILED, TrainingState.CANCELED})


class TrainingWish(NamedTuple):
    """What a caller sent; absent numbers are the defaults, an empty architecture means that of the version in use."""

    model: str
    features_f64le: bytes | bytearray
    labels: Floats
    epochs: int
    learning_rate: float
    seed: int
    architecture: str


class TrainingPiece(NamedTuple):
    """A piece of a training set: bytes of float64, and in the first one what is wanted of all of it."""

    wish: TrainingWish | None
    features_f64le: bytes
    labels_f64le: bytes


class TrainingPlan(msgspec.Struct, frozen=True):
    """What a job makes: the network, the columns it reads, and how it is trained."""

    architecture: Architecture
    features: tuple[str, ...]
    window: int
    horizon_ns: int
    epochs: int
    learning_rate: float
    seed: int

    @property
    def columns(self) -> int:
        """Numbers in one row of the training set: all features of every step, the oldest step first."""
        return len(self.features) * self.window


class TrainingJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job and how far it is; times in ns UTC, 0 before they have come."""

    id: str
    model: str
    plan: TrainingPlan
    rows: int
    created_ns: int
    state: TrainingState = TrainingState.QUEUED
    loss: tuple[float, ...] = ()
    accuracy: float | None = None
    version: str = ""
    error: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    metrics: dict[str, float] = {}

    @property
    def has_ended(self) -> bool:
        """Nothing about it changes any more."""
        return self.state in ENDED

    def started(self, at_ns: int) -> "TrainingJob":
        """A process works on it; one that goes on after a kill keeps its first start."""
        return self._with(state=TrainingState.RUNNING, started_ns=self.started_ns or at_ns)

    def advanced(self, losses: tuple[float, ...]) -> "TrainingJob":
        """The mean log loss of every epoch so far."""
        return self._with(loss=losses)

    def succeeded(self, version: str, accuracy: float, metrics: Mapping[str, float], at_ns: int) -> "TrainingJob":
        """It is a version of the registry now."""
        return self._with(
            state=TrainingState.SUCCEEDED, version=version, accuracy=accuracy, metrics=dict(metrics), ended_ns=at_ns
        )

    def failed(self, error: str, at_ns: int) -> "TrainingJob":
        """It ended without a version."""
        return self._with(state=TrainingState.FAILED, error=error[:LONGEST_ERROR], ended_ns=at_ns)

    def canceled(self, at_ns: int) -> "TrainingJob":
        """Somebody ended it; raises FailedPrecondition when it has ended by itself."""
        if self.has_ended:
            raise FailedPrecondition(
                f"Training job {self.id} has ended: {self.state}.", reason="TRAINING_JOB_ENDED", state=str(self.state)
            )
        return self._with(state=TrainingState.CANCELED, ended_ns=at_ns)

    def _with(self, **changes: object) -> "TrainingJob":
        return msgspec.structs.replace(self, **changes)


class TrainingSet:
    """R rows of features, float64 (R, columns), in the order of time, and their labels in 0..1."""

    __slots__ = ("features", "labels")

    def __init__(self, features: Floats, labels: Floats) -> None:
        self.features = features
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


def training_set(features_f64le: bytes | bytearray, labels: Floats, columns: int, most_rows: int) -> TrainingSet:
    """Read and judge a training set; raises BadTrainingSet with a reason for each thing that can be wrong."""
    row_bytes = 8 * columns
    rows, rest = divmod(len(features_f64le), row_bytes)
    if len(labels) > most_rows or rows > most_rows:
        raise BadTrainingSet(
            f"Expected at most {most_rows} rows, was {max(rows, len(labels))}.",
            reason="TRAINING_SET_TOO_LARGE",
            field="features",
            rows=max(rows, len(labels)),
            rows_max=most_rows,
        )
    if rest:
        raise BadTrainingSet(
            f"Expected rows of {columns} numbers, was {len(features_f64le) / 8:g} numbers for {len(labels)} labels.",
            reason="FEATURES_NOT_RECTANGULAR",
            field="features",
            columns=columns,
        )
    if rows != len(labels):
        raise BadTrainingSet(
            f"Expected one label for each of {rows} rows of {columns} numbers, was {len(labels)}.",
            reason="LABELS_LENGTH",
            field="labels",
            rows=rows,
            labels=len(labels),
        )
    features = np.frombuffer(features_f64le, "<f8").reshape(rows, columns)
    _check_values(features, labels)
    return TrainingSet(features, labels)


def _check_values(features: Floats, labels: Floats) -> None:
    if len(labels) < FEWEST_ROWS:
        raise BadTrainingSet(
            f"Expected at least {FEWEST_ROWS} rows, was {len(labels)}.", reason="TOO_FEW_ROWS", field="features"
        )
    finite = np.isfinite(features)
    if not finite.all():
        row, column = divmod(int(finite.argmin()), features.shape[1])
        raise BadTrainingSet(
            f"Expected finite numbers, features[{row}][{column}] was {features[row, column]}.",
            reason="FEATURES_NOT_FINITE",
            field=f"features[{row}][{column}]",
        )
    outside = ~((labels >= 0) & (labels <= 1))
    if outside.any():
        row = int(outside.argmax())
        raise BadTrainingSet(
            f"Expected labels in 0..1 (1 is up, 0.5 neither), labels[{row}] was {labels[row]}.",
            reason="LABELS_OUT_OF_RANGE",
            field=f"labels[{row}]",
        )
    if labels.min() == labels.max():
        raise BadTrainingSet(
            f"Expected labels of two classes, all {len(labels)} were {labels[0]:g}.", reason="ONE_CLASS", field="labels"
        )


def check_numbers(epochs: int, learning_rate: float, seed: int) -> None:
    """Raise BadTrainingSet unless all are in their range."""
    if seed < 0:
        raise BadTrainingSet(f"Expected a seed of at least 0, was {seed}.", reason="SEED_OUT_OF_RANGE", field="seed")
    if not 1 <= epochs <= MOST_EPOCHS:
        raise BadTrainingSet(
            f"Expected 1 to {MOST_EPOCHS} epochs, was {epochs}.", reason="EPOCHS_OUT_OF_RANGE", field="epochs"
        )
    if not 0 < learning_rate <= MOST_LEARNING_RATE:
        raise BadTrainingSet(
            f"Expected a learning rate above 0 and at most {MOST_LEARNING_RATE:g}, was {learning_rate:g}.",
            reason="LEARNING_RATE_OUT_OF_RANGE",
            field="learning_rate",
        )


def plan_of(spec: ModelSpec, kind: str, epochs: int, learning_rate: float, seed: int) -> TrainingPlan:
    """A new version with the features and the horizon of the one in use, and its network unless another is named.

    Raises BadTrainingSet for a kind that nobody trains, or one that does not fit the window.
    """
    architecture = spec.architecture if kind in ("", kind_of(spec.architecture)) else _default(kind, spec.window)
    return TrainingPlan(architecture, spec.features, spec.window, spec.horizon_ns, epochs, learning_rate, seed)


def kind_of(architecture: Architecture) -> str:
    """The name of a kind of network, as in model files."""
    return str(architecture.__struct_config__.tag)


def _default(kind: str, window: int) -> Architecture:
    if kind not in DEFAULTS:
        raise BadTrainingSet(
            f"Expected an architecture of {', '.join(DEFAULTS)}, was {kind[:40]!r}.",
            reason="UNKNOWN_ARCHITECTURE",
            field="architecture",
        )
    why = misfit(DEFAULTS[kind], window)
    if why:
        raise BadTrainingSet(why, reason="ARCHITECTURE_MISFIT", field="architecture")
    return DEFAULTS[kind]
