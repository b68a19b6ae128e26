"""One version of a model on disk: a directory with `model.safetensors` or `model.onnx`, and a manifest.

A safetensors file tells all about itself; its manifest only pins its hash and may be missing. An ONNX file is told by
its manifest alone. Nothing is read through a link, and what is hashed is what runs.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from services.inference.adapters.onnx_graph import check_graph, contents
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.adapters.safetensors_file import METADATA_KEY, FileLimits, mapped, parsed, read_model
from services.inference.adapters.safetensors_model import card_of, check_golden, load_safetensors
from services.inference.domain.calibration import Calibration
from services.inference.domain.delegation import Delegation
from services.inference.domain.drift import Distribution, misfit
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.features import FEATURES
from services.inference.domain.model import ModelCard
from services.inference.domain.model_spec import MOST_GOLDEN_SAMPLES, Golden, Precision

ONNX_FILE, SAFETENSORS_FILE, MANIFEST_FILE = "model.onnx", "model.safetensors", "manifest.json"
MODEL_FILE = ONNX_FILE
LARGEST_MODEL_BYTES = 64 * 1024 * 1024
LARGEST_MANIFEST_BYTES = 1024 * 1024
DEFAULT_LIMITS = FileLimits()


class ManifestCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's two numbers."""

    slope: float
    intercept: float


class ManifestGolden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Raw samples and what the model's maker says of them."""

    inputs: tuple[tuple[float, ...], ...]
    logits: tuple[float, ...]


class ManifestBackend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs a version that has no file here."""

    oip: Delegation


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file beside a model that says what it is. A model of tensors has no features and no horizon."""

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
    training_data_sha256: str = ""
    architecture: str = "onnx"
    window: int = 1
    golden: ManifestGolden | None = None
    backend: ManifestBackend | None = None

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
            training_data_sha256=self.training_data_sha256,
            window=self.window,
        )


def manifest_of(card: ModelCard) -> bytes:
    """The manifest of a card, as a file's content."""
    platt = card.calibration
    manifest = Manifest(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        features=card.features,
        horizon_ns=card.horizon_ns,
        calibration=ManifestCalibration(platt.slope, platt.intercept) if platt else None,
        training_data=card.training_data,
        metrics=dict(card.metrics),
        code_version=card.code_version,
        distributions=dict(card.distributions),
        training_data_sha256=card.training_data_sha256,
        architecture=card.architecture,
        window=card.window,
    )
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def load_model(
    directory: Path, rules: SessionRules, precision: Precision | None = None, limits: FileLimits = DEFAULT_LIMITS
) -> OnnxModel:
    """Load one version from `<name>/<version>`; raises ModelRefused with its reason and what differs."""
    manifest = _read_manifest(directory)
    path = directory / SAFETENSORS_FILE
    if path.exists() or path.is_symlink():
        if (directory / ONNX_FILE).exists():
            raise _refused(directory, Refusal.MANIFEST, "Expected one model file, there are two.")
        model = load_safetensors(path, directory.parent.name, directory.name, rules, limits, precision)
    elif manifest is None:
        raise _refused(directory, Refusal.NOT_A_FILE, f"There is no {SAFETENSORS_FILE}, and no {MANIFEST_FILE}.")
    else:
        return _load_onnx(directory, manifest, rules, precision)
    try:
        _check_safetensors(directory, manifest, model.card)
    except ModelRefused:
        model.close()
        raise
    return model


def describe_version(directory: Path, limits: FileLimits) -> ModelCard:
    """What a version says of itself, checked as far as that goes without running it; raises ModelRefused."""
    manifest = _read_manifest(directory)
    if (directory / SAFETENSORS_FILE).exists():
        card = card_of(directory.parent.name, directory.name, read_model(directory / SAFETENSORS_FILE, limits))
        _check_safetensors(directory, manifest, card)
        return card
    if manifest is None:
        raise _refused(directory, Refusal.NOT_A_FILE, f"There is no {SAFETENSORS_FILE}, and no {MANIFEST_FILE}.")
    return _checked_card(directory, manifest)


def delegation_of(directory: Path) -> tuple[ModelCard, Delegation] | None:
    """The card of a version that another server runs, and where; None when it runs here. Raises ModelRefused."""
    manifest = _read_manifest(directory)
    if manifest is None or manifest.backend is None:
        return None
    card = _checked_card(directory, manifest)
    files = [name for name in (SAFETENSORS_FILE, ONNX_FILE) if (directory / name).exists()]
    if files or not card.features or manifest.backend.oip.fallback == directory.name:
        was = "Expected features, no model file, and another version as the fallback, where another server runs it."
        raise _refused(directory, Refusal.MANIFEST, was)
    return card, manifest.backend.oip


def read_onnx_card(directory: Path, limits: FileLimits) -> ModelCard:
    """The card of an ONNX file that came alone: a model of tensors, unless its metadata tell of features."""
    payload = bytes(mapped(directory / ONNX_FILE, min(limits.file_bytes, LARGEST_MODEL_BYTES)))
    check_graph(payload)
    told = contents(payload).metadata.get(METADATA_KEY, "{}")
    try:
        spec = msgspec.convert(parsed(told, "metadata"), _OnnxSpec)
    except msgspec.ValidationError as error:
        raise _refused(directory, Refusal.MANIFEST, f"The metadata cannot be read: {error}") from error
    manifest = Manifest(
        name=directory.parent.name,
        version=directory.name,
        sha256=hashlib.sha256(payload).hexdigest(),
        **msgspec.structs.asdict(spec),
    )
    return replace(_checked_card(directory, manifest), weight_bytes=len(payload))


class _OnnxSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an ONNX file may say of itself, as JSON in its metadata under `neural_trader`."""

    features: tuple[str, ...] = ()
    horizon_ns: int = 0
    calibration: ManifestCalibration | None = None
    training_data: str = ""
    metrics: dict[str, float] = {}
    code_version: str = ""
    distributions: dict[str, Distribution] = {}
    training_data_sha256: str = ""
    window: int = 1


def _check_safetensors(directory: Path, manifest: Manifest | None, card: ModelCard) -> None:
    _check_features(directory, card)
    if manifest is not None:
        _expect(directory, Refusal.HASH, "sha256", manifest.sha256, card.sha256)


def _load_onnx(directory: Path, manifest: Manifest, rules: SessionRules, precision: Precision | None) -> OnnxModel:
    card = _checked_card(directory, manifest)
    if precision not in (None, card.precision):
        was = f"An ONNX file runs as it was exported, in {card.precision}: export it in {precision}."
        raise _refused(directory, Refusal.PRECISION, was)
    payload = bytes(mapped(directory / ONNX_FILE, LARGEST_MODEL_BYTES))
    _expect(directory, Refusal.HASH, "sha256", card.sha256, hashlib.sha256(payload).hexdigest())
    check_graph(payload)
    model = OnnxModel(replace(card, weight_bytes=len(payload)), payload, rules)
    if manifest.golden is not None:
        try:
            with model.limited():
                check_golden(model.run, _golden(directory, manifest.golden, card), card.name)
        except ModelRefused:
            model.close()
            raise
    return model


def _read_manifest(directory: Path) -> Manifest | None:
    """The manifest, or None where there is none and the file speaks for itself."""
    path = directory / MANIFEST_FILE
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        content = bytes(mapped(path, LARGEST_MANIFEST_BYTES))
        manifest = msgspec.convert(parsed(content, "manifest"), Manifest)
    except msgspec.ValidationError as error:
        raise _refused(directory, Refusal.MANIFEST, f"The manifest cannot be read: {error}") from error
    except ModelRefused as refusal:
        raise _refused(directory, refusal.why, f"The manifest cannot be read: {refusal.message}") from refusal
    _expect(directory, Refusal.MANIFEST, "name", directory.parent.name, manifest.name)
    _expect(directory, Refusal.MANIFEST, "version", directory.name, manifest.version)
    return manifest


def _checked_card(directory: Path, manifest: Manifest) -> ModelCard:
    card = manifest.card()
    _check_features(directory, card)
    if card.features and card.horizon_ns <= 0:
        raise _refused(directory, Refusal.MANIFEST, f"Expected horizon_ns above 0, was {card.horizon_ns}.")
    wrong = misfit(card.distributions, card.features)
    if wrong:
        raise _refused(directory, Refusal.MANIFEST, wrong)
    return card


def _check_features(directory: Path, card: ModelCard) -> None:
    unknown = [name for name in card.features if name not in FEATURES]
    if unknown or len(set(card.features)) != len(card.features):
        was = f"Expected features of {', '.join(FEATURES)}, each once; was {', '.join(unknown or card.features)}."
        raise _refused(directory, Refusal.FEATURES, was)


def _golden(directory: Path, golden: ManifestGolden, card: ModelCard) -> Golden:
    widths = {len(row) for row in golden.inputs}
    count = len(golden.inputs)
    if not 0 < count == len(golden.logits) <= MOST_GOLDEN_SAMPLES or widths != {len(card.features)}:
        was = f"Expected golden rows of {len(card.features)} features and as many logits."
        raise _refused(directory, Refusal.MANIFEST, was)
    return Golden(np.array(golden.inputs, np.float32), np.array(golden.logits, np.float32))


def _expect(directory: Path, why: Refusal, what: str, expected: object, was: object) -> None:
    if expected != was:
        raise _refused(directory, why, f"Expected {what} {expected!r}, was {was!r}.")


def _refused(directory: Path, why: Refusal, message: str, **facts: Any) -> ModelRefused:
    return ModelRefused(why, message, model=directory.parent.name, version=directory.name, **facts)
