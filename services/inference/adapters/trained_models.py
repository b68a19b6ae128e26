"""The registry as training sees it: what a version on disk is, and a new one beside it, checked like any other."""

import asyncio
import shutil
from pathlib import Path

from services.inference.adapters.model_files import SAFETENSORS_FILE, describe_version, load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.registry_files import VERSION_TAKEN, RegistryFiles
from services.inference.adapters.safetensors_file import FileLimits, read_model
from services.inference.adapters.storage import storing
from services.inference.adapters.training_files import CARD
from services.inference.domain.errors import ModelRefused
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.training_errors import NotTrainable
from services.inference.ports import Made
from trading.errors import FailedPrecondition

_ATTEMPTS = 3


class TrainedModelFiles:
    """The `TrainedModels` port over the registry's directories."""

    def __init__(self, files: RegistryFiles, limits: FileLimits) -> None:
        self._files, self._limits = files, limits

    async def spec(self, name: str, version: str) -> ModelSpec:
        """What a version is; raises UnknownModel, ModelRefused, or NotTrainable when it is no file of ours."""
        return await asyncio.to_thread(self._spec, name, version)

    async def store(self, name: str, made: Made) -> str:
        """Put a made model beside the other versions; gives its version. The same file is kept once.

        Raises ModelRefused when the runtime does not say of the golden samples what the trainer said.
        """
        return await asyncio.to_thread(self.keep, name, made.model, made.card)

    def _spec(self, name: str, version: str) -> ModelSpec:
        path = self._files.directory(name, version) / SAFETENSORS_FILE
        if not path.exists():
            raise NotTrainable(
                f"Model {name!r} came as a file without a description of its network; it can be served, not trained.",
                model=name,
            )
        return read_model(path, self._limits).spec

    def keep(self, name: str, model: Path, card: Path) -> str:
        """The same as `store`, at once; another version that comes meanwhile is no matter."""
        for _ in range(_ATTEMPTS):
            try:
                return self._keep(name, model, card)
            except FailedPrecondition as error:
                if error.reason != VERSION_TAKEN:
                    raise
        raise FailedPrecondition(f"Versions of {name!r} come too fast.", reason=VERSION_TAKEN)

    def _keep(self, name: str, model: Path, card: Path) -> str:
        version = self._files.next_version(name)
        with self._files.incoming() as aside:
            directory = aside / name / version
            with storing("The new version"):
                directory.mkdir(parents=True)
                shutil.copyfile(model, directory / SAFETENSORS_FILE)
                shutil.copyfile(card, directory / CARD)
            facts = describe_version(directory, self._limits)
            for known in self._files.versions(name):
                if self._sha256(name, known) == facts.sha256:
                    return known
            load_model(directory, SessionRules(gpu="off"), limits=self._limits).close()
            self._files.keep(directory, facts)
        return version

    def _sha256(self, name: str, version: str) -> str:
        try:
            return describe_version(self._files.directory(name, version), self._limits).sha256
        except ModelRefused:
            return ""
