"""Model files: sound ones of every architecture, and raw ones that say whatever a test wants."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from services.inference.adapters.safetensors_file import METADATA_KEY, write_model
from services.inference.domain.architectures import Architecture, Gru, Lstm, Mlp, Nhits, PatchTst, Tcn, tensors
from services.inference.domain.features import FEATURES
from services.inference.domain.model_spec import Golden, ModelSpec, Platt, Provenance, Scaler, reals

HALF_SECOND_NS = 500_000_000
ARCHITECTURES: dict[str, tuple[Architecture, int]] = {
    "mlp": (Mlp(hidden=(16, 8)), 1),
    "lstm": (Lstm(hidden=8, layers=2), 12),
    "gru": (Gru(hidden=8), 12),
    "tcn": (Tcn(channels=8, levels=3), 12),
    "patchtst": (PatchTst(patch=4, width=8, heads=2, layers=2, feed=16), 12),
    "nhits": (Nhits(pools=(5, 2, 1), hidden=(16, 8)), 12),
}
"""A small one of each, with its window."""


def a_spec(kind: str = "mlp", features: tuple[str, ...] = FEATURES, **changes: Any) -> ModelSpec:
    """The metadata of a calibrated model with a scaler."""
    architecture, window = ARCHITECTURES[kind]
    random = np.random.default_rng(5)
    given: dict[str, Any] = {
        "architecture": architecture,
        "features": features,
        "window": window,
        "horizon_ns": HALF_SECOND_NS,
        "scaler": Scaler(
            mean=reals(random.standard_normal(len(features)).astype(np.float32)),
            deviation=reals(random.uniform(0.5, 2.0, len(features)).astype(np.float32)),
        ),
        "calibration": Platt(1.0, 0.0),
        "provenance": Provenance("Nothing real.", "0" * 64, "test", {"brier_skill": 0.1}),
    }
    return ModelSpec(**(given | changes))


def some_weights(spec: ModelSpec, seed: int = 1) -> dict[str, np.ndarray]:
    """Random weights of the right shapes."""
    random = np.random.default_rng(seed)
    shapes = tensors(spec.architecture, len(spec.features), spec.window)
    return {name: (0.4 * random.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def some_inputs(spec: ModelSpec, count: int, seed: int = 2) -> np.ndarray:
    """Random raw samples."""
    random = np.random.default_rng(seed)
    return (2 * random.standard_normal((count, *spec.sample_shape))).astype(np.float32)


def a_model_file(path: Path, kind: str = "mlp", golden: Golden | None = None, **changes: Any) -> ModelSpec:
    """Write a sound file; gives its spec."""
    spec = a_spec(kind, **changes)
    write_model(path, spec, some_weights(spec), golden)
    return spec


def raw_file(
    path: Path, header: Mapping[str, Any] | str | bytes, data: bytes = b"", *, length: int | None = None
) -> Path:
    """A file with any header, of any claimed length, and any data behind it."""
    text = header if isinstance(header, str | bytes) else json.dumps(header)
    encoded = text if isinstance(text, bytes) else text.encode()
    path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + data)
    return path


def entries(weights: Mapping[str, np.ndarray], dtype: str = "F32") -> tuple[dict[str, Any], bytes]:
    """The header's entries of some tensors, and their bytes."""
    found, data = {}, b""
    for name, array in weights.items():
        found[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    return found, data


def metadata(spec: ModelSpec | None = None) -> dict[str, str]:
    """The `__metadata__` of a spec."""
    return {METADATA_KEY: msgspec.json.encode(spec or a_spec()).decode()}
