"""The registry's directories as training sees them: the newest version's spec, and a new version beside it."""

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from services.inference.adapters.safetensors_file import FileLimits, read_model
from services.inference.adapters.training_files import CARD, MODEL
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.training_errors import NotTrainable
from services.inference.ports import Made
from trading.errors import UnknownModel


class TrainedModelFiles:
    """The `TrainedModels` port over `<name>/<version>/model.safetensors`."""

    def __init__(self, directories: Sequence[Path], target: Path) -> None:
        self._directories, self._target = directories, target

    async def spec(self, name: str) -> ModelSpec:
        """What the newest version is; raises UnknownModel, or NotTrainable when it is no file of ours."""
        return await asyncio.to_thread(self._spec, name)

    async def store(self, name: str, made: Made) -> str:
        """Put a made model beside the other versions; gives its version. The same file is kept once."""
        return await asyncio.to_thread(self.keep, name, made.model, made.card)

    def keep(self, name: str, model: Path, card: Path) -> str:
        """The same, at once."""
        digest = hashlib.sha256(model.read_bytes()).digest()
        for version, directory in self._versions(name).items():
            kept = directory / MODEL
            if kept.exists() and hashlib.sha256(kept.read_bytes()).digest() == digest:
                return str(version)
        return self._place(name, model, card)

    def _spec(self, name: str) -> ModelSpec:
        versions = self._versions(name)
        if not versions:
            raise UnknownModel(f"No model is called {name!r}.", model=name)
        newest = versions[max(versions)] / MODEL
        if not newest.exists():
            raise NotTrainable(
                f"Model {name!r} came as a file without a description of its network; it can be served, not trained.",
                model=name,
            )
        return read_model(newest, FileLimits()).spec

    def _versions(self, name: str) -> dict[int, Path]:
        found = (
            path
            for root in self._directories
            if root.is_dir()
            for path in root.glob("*/*/")
            if path.parent.name == name and path.name.isdecimal()
        )
        return {int(path.name): path for path in found}

    def _place(self, name: str, model: Path, card: Path) -> str:
        """A directory written aside and renamed: a version is there whole or not at all."""
        parent = self._target / name
        parent.mkdir(parents=True, exist_ok=True)
        version = max(self._versions(name), default=0) + 1
        aside = parent / f".{version}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        shutil.copyfile(model, aside / MODEL)
        shutil.copyfile(card, aside / CARD)
        aside.rename(parent / str(version))
        return str(version)
