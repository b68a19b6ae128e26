"""What is told of a model: its card, how it runs, and what it is used for."""

from dataclasses import dataclass
from enum import Enum

from services.inference.domain.model import ModelCard, Running
from services.inference.domain.registry import Deployment

TRAINABLE = frozenset({"mlp", "gru", "lstm", "tcn", "patchtst"})


class Residence(Enum):
    """Where a version is."""

    LOADED = "loaded"
    UNLOADED = "unloaded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One version of a model. `running` while it is in memory; a refused version has a card of its name alone."""

    card: ModelCard
    running: Running | None
    residence: Residence
    deployment: Deployment
    versions: tuple[str, ...]
    refusal: str = ""
    shadow: "ShadowCount | None" = None

    @property
    def trainable(self) -> bool:
        """New versions can be trained from it."""
        return self.card.architecture in TRAINABLE


@dataclass(slots=True)
class ShadowCount:
    """How a shadow compares with the active version on the same samples."""

    version: str
    samples: int = 0
    flips: int = 0
    shift: float = 0.0
    skipped: int = 0

    def add(self, flips: int, shift: float, samples: int) -> None:
        """Take in `samples` more, `flips` of another sign, `shift` being their summed |Δp|."""
        self.samples += samples
        self.flips += flips
        self.shift += shift


def unknown_card(name: str, version: str) -> ModelCard:
    """The card of a version that cannot be read."""
    return ModelCard(name, version, "", (), 0, None, "", {}, "")
