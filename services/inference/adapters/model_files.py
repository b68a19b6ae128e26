"""The registry on disk: `<name>/<version>/{model.onnx, manifest.json}`, loaded once at the start.

The model file is read once; the same bytes are hashed, searched for operators that are not on the list, and run.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.inference.adapters.onnx_graph import contents
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.calibration import Calibration
from services.inference.domain.drift import Distribution, misfit
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.features import FEATURES
from services.inference.domain.model import ModelCard
from trading.errors import UnknownModel

MODEL_FILE, MANIFEST_FILE = "model.onnx", "manifest.json"
LARGEST_MODEL_BYTES = 64 * 1024 * 1024
LARGEST_MANIFEST_BYTES = 64 * 1024
OPERATORS = frozenset(
    [
        "Add",
        "Clip",
        "Concat",
        "Constant",
        "Div",
        "Flatten",
        "Gemm",
        "Identity",
        "MatMul",
        "Max",
        "Min",
        "Mul",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators that a model may use: none loops, branches, or makes tensors of a size that its data chooses."""


class ManifestCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's two numbers."""

    slope: float
    intercept: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file beside a model that says what it is."""

    name: str
    version: str
    sha256: str
    features: tuple[str, ...]
    horizon_ns: int
    calibration: ManifestCalibration | None
    training_data: str
    metrics: dict[str, float]
    code_version: str
    distributions: dict[str, Distribution] = {}

    def card(self) -> ModelCard:
        """The card that a manifest states."""
        platt = self.calibration
        return ModelCard(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            features=self.features,
            horizon_ns=self.horizon_ns,
            calibration=Calibration(platt.slope, platt.intercept) if platt else None,
            training_data=self.training_data,
            metrics=self.metrics,
            code_version=self.code_version,
            distributions=self.distributions,
        )


class ModelFiles:
    """Every model of some directories, in its newest version."""

    def __init__(self, models: Mapping[str, OnnxModel], versions: Mapping[str, Sequence[str]], default: str) -> None:
        self._models = dict(models)
        self._versions = dict(versions)
        self._default = default

    @property
    def names(self) -> Sequence[str]:
        """Sorted names."""
        return sorted(self._models)

    def get(self, name: str) -> OnnxModel:
        """A model, "" meaning the default one; raises UnknownModel."""
        model = self._models.get(name or self._default)
        if model is None:
            raise UnknownModel(f"No model is called {name or self._default!r}.", model=name or self._default)
        return model

    def versions(self, name: str) -> Sequence[str]:
        """Every version on disk, newest first."""
        return self._versions[name]

    def close(self) -> None:
        """End the threads of all models."""
        for model in self._models.values():
            model.close()


def load_models(directories: Sequence[Path], default: str, rules: SessionRules, log: Any) -> ModelFiles:
    """Load the newest version of every model; of two equal versions the earlier directory's counts.

    A model that does not fit is refused by name in the log and left out; the default model must load, else
    its ModelRefused or UnknownModel is raised.
    """
    found = _versions(directories)
    models: dict[str, OnnxModel] = {}
    for name, paths in found.items():
        try:
            models[name] = load_model(next(iter(paths.values())), rules)
        except ModelRefused as refusal:
            if name == default:
                raise
            log.error("model.refused", model=name, error=refusal.message, **refusal.metadata)
    files = ModelFiles(models, {name: tuple(found[name]) for name in models}, default)
    files.get(default)
    return files


def load_model(directory: Path, rules: SessionRules) -> OnnxModel:
    """Load one version; raises ModelRefused with the path and what differs."""
    card = _read_card(directory)
    payload = _read(directory / MODEL_FILE, LARGEST_MODEL_BYTES)
    digest = hashlib.sha256(payload).hexdigest()
    _expect(directory, "sha256", card.sha256, digest)
    _check_graph(directory, payload)
    return OnnxModel(card, payload, rules)


def _versions(directories: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """Directories of versions by name and version, newest version first."""
    found: dict[str, dict[str, Path]] = {}
    for manifest in (path for root in directories for path in sorted(root.glob(f"*/*/{MANIFEST_FILE}"))):
        directory = manifest.parent
        found.setdefault(directory.parent.name, {}).setdefault(directory.name, directory)
    return {name: {version: paths[version] for version in _newest_first(paths)} for name, paths in found.items()}


def _newest_first(versions: Iterable[str]) -> list[str]:
    """Numbers from the highest down, then other names from Z to A."""
    return sorted(
        versions, key=lambda version: (int(version), "") if version.isdecimal() else (-1, version), reverse=True
    )


def _read_card(directory: Path) -> ModelCard:
    try:
        card = msgspec.json.decode(_read(directory / MANIFEST_FILE, LARGEST_MANIFEST_BYTES), type=Manifest).card()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelRefused(Refusal.MANIFEST, f"The manifest cannot be read: {error}", path=str(directory)) from error
    _expect(directory, "name", directory.parent.name, card.name)
    _expect(directory, "version", directory.name, card.version)
    _expect(directory, "features", FEATURES, card.features)
    if card.horizon_ns <= 0:
        raise ModelRefused(
            Refusal.MANIFEST, f"Expected horizon_ns above 0, was {card.horizon_ns}.", path=str(directory)
        )
    wrong = misfit(card.distributions, card.features)
    if wrong:
        raise ModelRefused(Refusal.MANIFEST, wrong, path=str(directory))
    return card


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        payload = path.read_bytes() if size <= most_bytes else b""
    except OSError as error:
        raise ModelRefused(Refusal.NOT_A_FILE, f"{path.name} cannot be read: {error}", path=str(path)) from error
    if size > most_bytes:
        raise ModelRefused(
            Refusal.TOO_BIG, f"Expected {path.name} of at most {most_bytes} bytes, was {size}.", path=str(path)
        )
    return payload


def _check_graph(directory: Path, payload: bytes) -> None:
    graph = contents(payload)
    strange = sorted(graph.operators - OPERATORS)
    if strange:
        raise ModelRefused(
            Refusal.OPERATOR, f"Operators that are not run here: {', '.join(strange)}.", path=str(directory)
        )
    if graph.has_external_data or graph.has_functions:
        raise ModelRefused(
            Refusal.EXTERNAL_DATA,
            "The model reaches outside its graph (external data or functions).",
            path=str(directory),
        )


def _expect(directory: Path, what: str, expected: object, was: object) -> None:
    if expected != was:
        raise ModelRefused(Refusal.MANIFEST, f"Expected {what} {expected!r}, was {was!r}.", path=str(directory))
