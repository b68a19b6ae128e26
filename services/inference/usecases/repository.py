"""What the registry holds, in the Open Inference Protocol's words."""

from collections.abc import Sequence

from services.inference.domain.infer_counts import InferCount, InferCounts
from services.inference.domain.questions import IndexEntry
from services.inference.ports import Model, Models
from services.inference.usecases.infer import model_asked
from trading.errors import FailedPrecondition, UnknownModel


class Repository:
    """Answers what is there, what is in memory, and how often it was asked."""

    def __init__(self, models: Models, counts: InferCounts) -> None:
        self._models = models
        self._counts = counts

    @property
    def ready(self) -> bool:
        """Whether the model that follows the market is in memory; the service does not start without it."""
        return self._models.get("") is not None

    def model(self, name: str, version: str) -> Model:
        """A version of a model; raises UnknownModel."""
        return model_asked(self._models, name, version)

    def versions(self, name: str) -> Sequence[str]:
        """Every version of a model, newest first; raises UnknownModel."""
        return self._models.versions(model_asked(self._models, name, "").card.name)

    def is_loaded(self, name: str, version: str) -> bool:
        """Whether a version is in memory; raises UnknownModel when there is none."""
        known = self.versions(name)
        if version and version not in known:
            raise UnknownModel(f"No version {version!r} of model {name!r} is known.", model=name, version=version)
        return version in ("", self._models.get(name).card.version)

    async def load(self, name: str) -> None:
        """Bring a model into memory, where the registry keeps every model it could load; raises UnknownModel."""
        self.model(name, "")

    async def unload(self, name: str) -> None:
        """Take a model out of memory; raises UnknownModel, or FailedPrecondition while it is in use."""
        card = self.model(name, "").card
        raise FailedPrecondition(f"Model {card.name!r} is in use.", reason="MODEL_IN_USE", model=card.name)

    def counts(self, name: str, version: str) -> Sequence[InferCount]:
        """Counters of one version, of each one of a model, or of all; raises UnknownModel."""
        if not name:
            return self._counts.all()
        if version:
            card = self.model(name, version).card
            return [self._counts.of(card.name, card.version)]
        used = self.model(name, "").card.version
        return [self._counts.of(name, used), *(c for c in self._counts.all() if c.name == name and c.version != used)]

    def index(self, *, only_ready: bool) -> Sequence[IndexEntry]:
        """Every version of every model, by name and newest first."""
        entries = [
            IndexEntry(name, version, loaded := self.is_loaded(name, version), "" if loaded else "not in use")
            for name in self._models.names
            for version in self._models.versions(name)
        ]
        return [entry for entry in entries if entry.loaded or not only_ready]
