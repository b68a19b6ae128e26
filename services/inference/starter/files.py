"""Writes a version of a model: the ONNX file, its manifest, and a card for the reader."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata, resources
from pathlib import Path

from services.inference.domain.features import FEATURES
from services.inference.starter.card import card
from services.inference.starter.fit import Judged
from services.inference.starter.graph import onnx_bytes
from services.inference.starter.market import Market

_FEATURE_CODE = ("features.py", "feature_series.py", "trade_flow.py")


def write(out: Path, judged: Judged, markets: Sequence[Market], horizon_ns: int, seed: int) -> None:
    """Write into `out`, which is named `<name>/<version>`; what was there is replaced."""
    name, version = out.parent.name, out.name
    payload = onnx_bytes(judged.network, name)
    manifest = {
        "name": name,
        "version": version,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "features": FEATURES,
        "horizon_ns": horizon_ns,
        "calibration": asdict(judged.calibration),
        "training_data": _training_data(judged, markets),
        "metrics": _metrics(judged),
        "code_version": _code_version(),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(payload)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (out / "card.md").write_text(card(name, version, judged, markets, horizon_ns, seed))


def _training_data(judged: Judged, markets: Sequence[Market]) -> str:
    names = ", ".join(f"{market.name} ({market.seconds / 60:.0f} min)" for market in markets)
    return f"Simulated by the project's own paper venue, no real market: {names}; {judged.rows:,} rows trained."


def _metrics(judged: Judged) -> dict[str, float]:
    return {
        f"{market}.{name}": round(float(value), 6)
        for market, score in judged.scores.items()
        for name, value in asdict(score).items()
    }


def _code_version() -> str:
    """The package's version and a hash of the code that computes the features."""
    domain = resources.files("services.inference.domain")
    digest = hashlib.sha256(b"".join((domain / file).read_bytes() for file in _FEATURE_CODE)).hexdigest()
    return f"{metadata.version('neural-trader-fleet')}+features.{digest[:12]}"
