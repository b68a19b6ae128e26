"""What the registry holds, in the Open Inference Protocol's words."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.inference.domain.infer_counts import InferCount, InferCounts
from services.inference.domain.questions import IndexEntry
from services.inference.domain.registry import LoadOptions
from services.inference.domain.registry_status import ModelStatus, Residence
from services.inference.ports import Model
from services.inference.usecases.infer import expect_name
from services.inference.usecases.serve_models import ServeModels

_REASONS = {Residence.LOADED: "", Residence.UNLOADED: "on disk; a request or a load brings it into memory"}


class Repository:
    """Answers what is there, what is in memory, and how often it was asked."""

    def __init__(self, models: ServeModels, counts: InferCounts) -> None:
        self._models = models
        self._counts = counts

    async def is_ready(self) -> bool:
        """Whether the model that follows the market is in memory."""
        return (await self._models.status("")).residence is Residence.LOADED

    async def is_loaded(self, name: str, version: str) -> bool:
        """Whether a version is in memory; raises UnknownModel when there is none."""
        return (await self._models.status(expect_name(name), version)).residence is Residence.LOADED

    @asynccontextmanager
    async def model(self, name: str, version: str) -> AsyncIterator[Model]:
        """A version of a model, brought into memory to be asked what it takes; raises UnknownModel or ModelRefused."""
        async with self._models.hold_exactly(expect_name(name), version) as model:
            yield model

    def versions(self, name: str) -> Sequence[str]:
        """Every version of a model, newest first."""
        return self._models.versions(name)

    async def counts(self, name: str, version: str) -> Sequence[InferCount]:
        """Counters of one version, of each one of a model that was asked, or of all; raises UnknownModel."""
        if not name:
            return self._counts.all()
        card = (await self._models.status(name, version)).card
        if version:
            return [self._counts.of(card.name, card.version)]
        return [count for count in self._counts.all() if count.name == card.name]

    async def index(self, *, only_ready: bool) -> Sequence[IndexEntry]:
        """Every version of every model, by name and newest first."""
        found = [each for name in self._models.names for each in await self._models.all_versions(name)]
        entries = [_entry(each) for each in found]
        return [entry for entry in entries if entry.loaded or not only_ready]

    async def load(self, name: str) -> None:
        """Bring a model's version in use into memory; raises UnknownModel or ModelRefused."""
        await self._models.load(expect_name(name), "", LoadOptions())

    async def unload(self, name: str) -> None:
        """Take a model out of memory; raises UnknownModel, or FailedPrecondition while it follows the market."""
        await self._models.unload(expect_name(name))


def _entry(status: ModelStatus) -> IndexEntry:
    loaded = status.residence is Residence.LOADED
    return IndexEntry(status.card.name, status.card.version, loaded, status.refusal or _REASONS[status.residence])
