"""The real servicer of the Open Inference Protocol over a registry in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from builders.inference import a_card
from fakes.inference import FakeModel

from services.inference.domain.infer_counts import InferCounts
from services.inference.domain.model import ModelCard
from services.inference.domain.registry import Deployment, LoadOptions
from services.inference.ports import LoadedModel
from services.inference.rpc.open_inference import OpenInferenceRpc
from services.inference.usecases.infer import Infer
from services.inference.usecases.repository import Repository
from services.inference.usecases.serve_models import ServeModels
from trading.clock import SystemClock
from trading.errors import UnknownModel

ROWS_MAX = 1_000
VERSION = "3"


class FakeVersions:
    """The `VersionStore` and the `ModelLoader` of some models, each in one version."""

    def __init__(self, *models: LoadedModel) -> None:
        self._models = {model.card.name: model for model in models}

    def names(self) -> Sequence[str]:
        return sorted(self._models)

    def versions(self, name: str) -> Sequence[str]:
        return [self._models[name].card.version] if name in self._models else []

    def directory(self, name: str, version: str) -> Path:
        if version not in self.versions(name):
            raise UnknownModel(f"No version {version!r} of model {name!r} is known.", model=name)
        return Path(name) / version

    def is_shipped(self, name: str, version: str) -> bool:
        return True

    def remove(self, name: str, version: str) -> None:
        del self._models[name]

    def read_state(self) -> Mapping[str, Deployment]:
        return {}

    def write_state(self, models: Mapping[str, Deployment]) -> None:
        """There is nowhere to write to."""

    async def load(self, name: str, version: str, options: LoadOptions) -> LoadedModel:
        return self._models[name]

    async def describe(self, name: str, version: str) -> ModelCard:
        return self._models[name].card

    def forget(self) -> None:
        """There is nothing to forget."""


class FakeOpenInference:
    """Serves a model that follows the market, and one that may be unloaded.

    The first is momentum-v1, which says 0.5 of all, unless a test brings its own.
    """

    def __init__(self, own: LoadedModel | None = None) -> None:
        self.model = FakeModel(a_card(name="momentum-v1", version=VERSION), 0.5)
        served = own or self.model
        versions = FakeVersions(served, FakeModel(a_card(name="spare", version=VERSION)))
        log = structlog.get_logger()
        self._models = ServeModels(versions, versions, served.card.name, most_loaded=4, log=log)

    async def start(self) -> None:
        """Bring the models into memory."""
        await self._models.start()

    def servicer(self) -> OpenInferenceRpc:
        """What a server registers."""
        counts = InferCounts()
        infer = Infer(self._models, counts, SystemClock(), ROWS_MAX)
        return OpenInferenceRpc(infer, Repository(self._models, counts), "9.9", ROWS_MAX)
