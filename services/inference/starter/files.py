"""Writes a version of a starter model: the safetensors file with all that is known of it, and a card for the reader."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from services.inference.adapters.code_version import code_version
from services.inference.adapters.safetensors_file import write_model
from services.inference.domain import model_card
from services.inference.domain.architectures import Architecture
from services.inference.domain.drift import distributions
from services.inference.domain.features import FEATURES
from services.inference.domain.learning import scaler_spec
from services.inference.domain.model_spec import GOLDEN_SAMPLES, Golden, ModelSpec, Platt, Provenance
from services.inference.domain.windows import Windows, dense
from services.inference.starter.fit import Judged
from services.inference.starter.market import Market

MODEL_FILE, CARD_FILE = "model.safetensors", "card.md"

_DATA = """**It was trained on simulated data only.** The paper venue's simulator plants momentum bursts that order flow
gives away; that is the simulator's own edge. What the model knows is how to find those bursts. It has seen no real
market, and nothing below is a claim about one.

{files}"""
_METHOD = """Each market is seen with its trades and, as `quotes_only`, without them. Cut by time: 60 % to train (every
{stride}th row, {rows:,} rows), 20 % to calibrate (Platt: slope {slope:.4f}, intercept {intercept:.4f}), 20 % to judge;
a horizon is purged before each cut and 30 s are left out after it. {recipe.epochs} epochs, {recipe.batch_rows:,} rows a
batch, learning rate {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}, seed {seed}. The base rate known
beforehand is {base_rate:.4f}."""


def write(out: Path, judged: Judged, markets: Sequence[Market], horizon_ns: int, seed: int) -> None:
    """Write into `out`, which is named `<name>/<version>`; what was there is replaced."""
    spec = _spec(judged, markets, horizon_ns)
    out.mkdir(parents=True, exist_ok=True)
    write_model(out / MODEL_FILE, spec, judged.learning.tensors(), _golden(judged))
    (out / CARD_FILE).write_text(_card(out.parent.name, spec, judged, markets, seed))


def _spec(judged: Judged, markets: Sequence[Market], horizon_ns: int) -> ModelSpec:
    names = ", ".join(f"{market.name} ({market.seconds / 60:.0f} min)" for market in markets)
    told = (
        f"Simulated by the project's own paper venue, no real market: {names}; {len(judged.training):,} rows trained."
    )
    hashes = "".join(market.sha256 for market in markets)
    architecture: Architecture = judged.starter.architecture
    return ModelSpec(
        architecture=architecture,
        features=FEATURES,
        window=judged.starter.window,
        horizon_ns=horizon_ns,
        scaler=scaler_spec(judged.learning.scaler),
        calibration=Platt(judged.calibration.slope, judged.calibration.intercept),
        provenance=Provenance(told, hashlib.sha256(hashes.encode()).hexdigest(), code_version(), _metrics(judged)),
        distributions=distributions(FEATURES, _newest_rows(judged)),
    )


def _newest_rows(judged: Judged) -> np.ndarray:
    """The feature rows that were trained on; of each window the newest."""
    features = judged.training.features
    return features.table[features.ends] if isinstance(features, Windows) else features


def _golden(judged: Judged) -> Golden:
    """Samples spread over the training data, and what the trainer's own network says of them."""
    rows = np.linspace(0, len(judged.training) - 1, GOLDEN_SAMPLES).astype(np.int64)
    inputs = np.asarray(dense(judged.training.features[rows]), np.float32)
    return Golden(inputs, np.asarray(judged.learning.logits(inputs), np.float32))


def _metrics(judged: Judged) -> dict[str, float]:
    return {
        f"{market}.{name}": round(float(value), 6)
        for market, score in judged.scores.items()
        for name, value in asdict(score).items()
    }


def _card(name: str, spec: ModelSpec, judged: Judged, markets: Sequence[Market], seed: int) -> str:
    files = "\n".join(
        f"- `{market.name}`: {market.seconds / 60:.0f} minutes, {len(market.series)} symbols, SHA-256 `{market.sha256}`"
        for market in markets
    )
    method = _METHOD.format(
        stride=judged.starter.stride,
        rows=len(judged.training),
        slope=judged.calibration.slope,
        intercept=judged.calibration.intercept,
        recipe=judged.starter.recipe,
        seed=seed,
        base_rate=judged.base_rate,
    )
    verdict = model_card.judgement(judged.scores, judged.tenths, "market")
    return model_card.card(name, spec, _DATA.format(files=files), method, verdict)
