"""What inference needs of the world outside."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running, TensorSpec
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.prediction import Prediction, Signal
from services.inference.domain.registry import Deployment, LoadOptions
from services.inference.domain.registry_status import ShadowCount
from services.inference.domain.rows import Rows
from services.inference.domain.training import TrainingJob, TrainingSet

Float32s = npt.NDArray[np.float32]
T = TypeVar("T")


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

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """The tensors that its graph takes; one of float32 for a model of features."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """The tensors that its graph gives; one column of float32 for a model of features."""
        ...

    async def logit(self, features: Sequence[float]) -> float:
        """The log odds of "up" of one feature row."""
        ...

    async def window_logit(self, window: Float32s) -> float:
        """The log odds of one window (T, F) of a sequence model, the newest row last."""
        ...

    async def logits(self, samples: npt.NDArray[np.floating[Any]]) -> Floats:
        """The log odds of (N, F) rows, or of (N, T, F) windows for a sequence model."""
        ...

    async def infer(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] = ()
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Any tensors by name, all outputs unless some are named; raises InvalidArgument for what does not fit."""
        ...


class LiveModels(Protocol):
    """The models that follow the market."""

    def following(self, name: str, symbol: str) -> AbstractContextManager[Model]:
        """The version of a model that a symbol's ticks go to, kept in memory for as long as it is used."""
        ...


class ShadowModels(Protocol):
    """The versions that predict beside the active ones."""

    def shadow_of(self, name: str) -> AbstractContextManager[Model] | None:
        """A model's shadow, when there is one and it is in memory."""
        ...

    def compared(self, name: str, version: str) -> ShadowCount:
        """How a shadow compares so far."""
        ...


class LoadedModel(Model, Protocol):
    """A model that somebody keeps in memory."""

    def close(self) -> None:
        """Give its memory back."""
        ...


class ModelLoader(Protocol):
    """What brings versions into memory."""

    async def load(self, name: str, version: str, options: LoadOptions) -> LoadedModel:
        """A version in memory; raises UnknownModel, or ModelRefused with its reason."""
        ...

    async def describe(self, name: str, version: str) -> ModelCard:
        """What a version on disk says of itself; raises UnknownModel or ModelRefused."""
        ...

    def forget(self) -> None:
        """Give memory that closed models have left back to the machine."""
        ...


class VersionStore(Protocol):
    """The registry on disk."""

    def names(self) -> Sequence[str]:
        """Sorted names of the models that have a version."""
        ...

    def versions(self, name: str) -> Sequence[str]:
        """Versions of a model, newest first."""
        ...

    def directory(self, name: str, version: str) -> Path:
        """Where a version lies; raises UnknownModel."""
        ...

    def is_shipped(self, name: str, version: str) -> bool:
        """Whether a version came with the service."""
        ...

    def remove(self, name: str, version: str) -> None:
        """Delete a version."""
        ...

    def read_state(self) -> Mapping[str, Deployment]:
        """What was in use by name; raises FailedPrecondition when that cannot be read."""
        ...

    def write_state(self, models: Mapping[str, Deployment]) -> None:
        """Keep what is in use; whole or not at all."""
        ...


class Models(Protocol):
    """Every model that can be asked."""

    @property
    def names(self) -> Sequence[str]:
        """Sorted names."""
        ...

    def get(self, name: str, version: str = "") -> Model:
        """A version in memory, "" meaning the default model and the one in use.

        Raises UnknownModel, or FailedPrecondition when it is on disk alone.
        """
        ...

    def versions(self, name: str) -> Sequence[str]:
        """Every version on disk, newest first."""
        ...

    def hold(self, name: str, version: str = "") -> AbstractAsyncContextManager[Model]:
        """A version for as long as it is needed, brought into memory when it is not; "" is the one in use.

        Raises UnknownModel, or ModelRefused when it cannot be loaded.
        """
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
        """Keep a new job with its rows; nothing of it when this raises Unavailable."""
        ...

    async def save(self, job: TrainingJob) -> None:
        """Keep a job as it is now; raises Unavailable when the disk does not take it."""
        ...

    async def all(self) -> list[TrainingJob]:
        """Every kept job, oldest first."""
        ...

    async def forget(self, job_id: str) -> None:
        """Keep nothing of a job any more."""
        ...


class TrainedModels(Protocol):
    """The registry's files, as training sees them."""

    async def spec(self, name: str, version: str) -> ModelSpec:
        """What a version is; raises UnknownModel, or NotTrainable for a file without a spec."""
        ...

    async def store(self, name: str, made: Made) -> str:
        """Keep what was made as a new version, not promoted; gives the version. The same file is kept once."""
        ...


class TrainingNews(Protocol):
    """Where the progress of jobs is told."""

    async def changed(self, job: TrainingJob) -> None:
        """Publish a job as it is now; may be lost."""
        ...


class Tables(Protocol):
    """Reads tables of market data."""

    def rows(self, stream: bytes) -> Rows:
        """The rows of an Arrow IPC stream; raises InvalidArgument that says what is wrong with it."""
        ...


class Workshop(Protocol):
    """Where long sums are done, so that the event loop goes on."""

    async def do(self, work: Callable[[], T]) -> T:
        """Do it after what was asked before, and give what it gives or raise what it raises."""
        ...
