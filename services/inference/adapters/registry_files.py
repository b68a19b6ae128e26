"""The registry on disk: `<name>/<version>/` in the shipped directory and in our own, and `registry.json` in ours.

Only plain names are looked at, and never through a link. A version is there whole or not at all: it is written aside
and renamed. So is the state.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from services.inference.adapters.model_files import MANIFEST_FILE, ONNX_FILE, SAFETENSORS_FILE, manifest_of
from services.inference.adapters.storage import storing
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model import ModelCard
from services.inference.domain.registry import NAME, VERSION, Deployment
from trading.errors import FailedPrecondition, UnknownModel

STATE_FILE = "registry.json"
VERSION_TAKEN = "MODEL_EXISTS"
_INCOMING = ".incoming"
_REGISTRY = "The registry of models"
_LARGEST_STATE_BYTES = 4 * 1024 * 1024


class _State(msgspec.Struct, frozen=True):
    models: dict[str, Deployment]


class RegistryFiles:
    """Versions of models in directories; the earlier directory wins a version that two have. The last one is ours."""

    def __init__(self, shipped: Path, own: Path) -> None:
        self._roots = (shipped, own)
        self._own = own

    def names(self) -> list[str]:
        """Sorted names of the models that have a version."""
        found = {each.name for root in self._roots for each in _directories(root, NAME.fullmatch)}
        return sorted(name for name in found if self.versions(name))

    def versions(self, name: str) -> list[str]:
        """Versions of a model, newest first; none for a name that is no name."""
        if not NAME.fullmatch(name):
            return []
        parents = (root / name for root in self._roots if not (root / name).is_symlink())
        return _newest_first({each.name for parent in parents for each in _directories(parent, VERSION.fullmatch)})

    def directory(self, name: str, version: str) -> Path:
        """Where a version lies; raises UnknownModel."""
        if NAME.fullmatch(name) and VERSION.fullmatch(version):
            for root in self._roots:
                found = root / name / version
                if found.is_dir() and not found.is_symlink() and not found.parent.is_symlink():
                    return found
        raise UnknownModel(
            f"No version {version[:80]!r} of model {name[:80]!r} is known.", model=name[:80], version=version[:80]
        )

    def is_shipped(self, name: str, version: str) -> bool:
        """Whether a version came with the service."""
        return self._roots[0] in self.directory(name, version).parents

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new directory of ours, to be filled and kept by `keep`; what is left of it goes at the end."""
        parent = self._own / _INCOMING
        with storing(_REGISTRY):
            parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def next_version(self, name: str) -> str:
        """The number after the highest one."""
        return str(max((int(each) for each in self.versions(name) if each.isdecimal()), default=0) + 1)

    @storing(_REGISTRY)
    def keep(self, filled: Path, card: ModelCard) -> None:
        """Rename a filled directory to a version, with its manifest; raises FailedPrecondition when it is there."""
        self.write_manifest(filled, card)
        target = self._own / card.name / card.version
        target.parent.mkdir(parents=True, exist_ok=True)
        for file in filled.iterdir():
            file.chmod(0o444)
            _sync(file)
        if target.exists():
            raise FailedPrecondition(f"Version {card.version} of {card.name!r} is there already.", reason=VERSION_TAKEN)
        filled.chmod(0o755)
        filled.rename(target)
        _sync(target.parent)

    @storing(_REGISTRY)
    def write_manifest(self, directory: Path, card: ModelCard) -> None:
        """Put a card's manifest into a directory."""
        (directory / MANIFEST_FILE).write_bytes(manifest_of(card))

    @storing(_REGISTRY)
    def remove(self, name: str, version: str) -> None:
        """Delete a version of ours: renamed aside first, so that it is there whole or not at all."""
        directory = self.directory(name, version)
        with self.incoming() as aside:
            directory.rename(aside / version)
        with contextlib.suppress(OSError):  # other versions are left in it
            directory.parent.rmdir()

    def read_state(self) -> dict[str, Deployment]:
        """What was in use; raises FailedPrecondition for a file that cannot be read rather than forgetting it."""
        path = self._own / STATE_FILE
        try:
            content = path.read_bytes()[:_LARGEST_STATE_BYTES]
        except FileNotFoundError:
            return {}
        try:
            return msgspec.json.decode(content, type=_State).models
        except msgspec.DecodeError as error:
            raise FailedPrecondition(
                f"{STATE_FILE} cannot be read: {error}. Mend it, or remove it to serve the newest versions.",
                reason="REGISTRY_STATE",
            ) from error

    @storing(_REGISTRY)
    def write_state(self, models: Mapping[str, Deployment]) -> None:
        """Keep what is in use; whole or not at all."""
        self._own.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.format(msgspec.json.encode(_State(dict(models))), indent=2)
        with tempfile.NamedTemporaryFile(dir=self._own, prefix=f".{STATE_FILE}.", delete=False) as file:
            written = Path(file.name)
            try:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
                written.replace(self._own / STATE_FILE)
            except OSError:
                written.unlink(missing_ok=True)
                raise
        _sync(self._own)


def file_of(directory: Path) -> Path:
    """The model file of a version; raises ModelRefused unless it is a regular file."""
    for name in (SAFETENSORS_FILE, ONNX_FILE):
        path = directory / name
        if path.is_symlink():
            raise ModelRefused(Refusal.PATH, f"{name} is a link.", file=name)
        if path.exists() and stat.S_ISREG(path.stat().st_mode):
            return path
    raise ModelRefused(Refusal.NOT_A_FILE, f"Expected {SAFETENSORS_FILE} or {ONNX_FILE}, there is none.")


def _directories(root: Path, fits: object) -> Iterator[Path]:
    """Plain directories whose names fit."""
    if not root.is_dir() or not callable(fits):
        return
    for each in root.iterdir():
        if fits(each.name) and each.is_dir() and not each.is_symlink():
            yield each


def _newest_first(versions: Iterable[str]) -> list[str]:
    """Numbers from the highest down, then other names from Z to A."""
    return sorted(
        versions, key=lambda version: (int(version), "") if version.isdecimal() else (-1, version), reverse=True
    )


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
