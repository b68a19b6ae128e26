"""What inference needs of the world outside."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.prediction import Prediction, Signal
from services.inference.domain.training import TrainingJob, TrainingSet


class Model(Protocol):
    """A loaded model."""

    @property
    def card(self) -> ModelCard:
        """What it is."""
        ...

    @property
    def running(self) -> Running:
        """How it runs."""
        ...

    async def logit(self, features: Sequence[float]) -> float:
        """The log odds of "up" of one feature row."""
        ...

    async def logits(self, features: Floats) -> Floats:
        """The log odds of the (N, F) rows."""
        ...


class Models(Protocol):
    """Every model that can be asked."""

    @property
    def names(self) -> Sequence[str]:
        """Sorted names."""
        ...

    def get(self, name: str) -> Model:
        """The version in use of a model, "" meaning the default one; raises UnknownModel."""
        ...

    def versions(self, name: str) -> Sequence[str]:
        """Every version on disk, newest first."""
        ...


class Opinions(Protocol):
    """Where predictions and signals go."""

    async def predicted(self, prediction: Prediction) -> None:
        """Publish a prediction; may be lost."""
        ...

    async def signalled(self, signal: Signal) -> None:
        """Publish a signal; may be lost."""
        ...


class Instruments(Protocol):
    """The instruments that the fleet knows."""

    def canonical(self, spelling: str) -> str:
        """The symbol behind any spelling; raises UnknownSymbol, or Unavailable while none are known yet."""
        ...


class Made(NamedTuple):
    """What a training job made: a model file and its card, the share of right signs, and held-out figures."""

    model: Path
    card: Path
    accuracy: float
    metrics: dict[str, float]


class TrainingProgress(NamedTuple):
    """The mean log loss of every epoch so far, and at the end what was made."""

    losses: tuple[float, ...]
    made: Made | None


class Trainer(Protocol):
    """Where training happens: never on the serving process."""

    def train(self, job: TrainingJob) -> AsyncGenerator[TrainingProgress, None]:
        """Train a kept job, going on where a killed process stopped; closing the iterator ends the work.

        Raises FailedPrecondition with a reason when the job cannot succeed, Unavailable when trying again may help.
        """
        ...


class TrainingStore(Protocol):
    """Training jobs that outlive the process."""

    async def add(self, job: TrainingJob, rows: TrainingSet) -> None:
        """Keep a new job with its rows."""
        ...

    async def save(self, job: TrainingJob) -> None:
        """Keep a job as it is now."""
        ...

    async def all(self) -> list[TrainingJob]:
        """Every kept job, oldest first."""
        ...


class TrainedModels(Protocol):
    """The registry, as training sees it."""

    async def spec(self, name: str) -> ModelSpec:
        """What the version in use is; raises UnknownModel, or NotTrainable for a file without a spec."""
        ...

    async def store(self, name: str, made: Made) -> str:
        """Keep what was made as a new version, not promoted; gives the version. The same file is kept once."""
        ...


class TrainingNews(Protocol):
    """Where the progress of jobs is told."""

    async def changed(self, job: TrainingJob) -> None:
        """Publish a job as it is now; may be lost."""
        ...
