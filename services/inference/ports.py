"""What inference needs of the world outside."""

from collections.abc import Sequence
from typing import Protocol

from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running
from services.inference.domain.prediction import Prediction, Signal


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
