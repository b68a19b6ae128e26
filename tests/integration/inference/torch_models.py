"""Runs in PyTorch's own environment: trains a network of each kind, stops and resumes it, and writes what it says.

    python torch_models.py DIRECTORY

leaves DIRECTORY/<kind>/1/model.safetensors and DIRECTORY/<kind>.npz, windows and PyTorch's own logits of them; prints
one JSON object: for each kind its losses, whether an interrupted training ended alike, and its share of hits.
"""

import json
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "libs")]

import numpy as np  # noqa: E402  found only now

from services.inference.adapters.safetensors_file import write_model  # noqa: E402
from services.inference.adapters.torch_trainer import TorchLearning  # noqa: E402
from services.inference.domain.architectures import Architecture, Gru, Lstm, Nhits, PatchTst  # noqa: E402
from services.inference.domain.learning import fitted_scaler, scaler_spec  # noqa: E402
from services.inference.domain.model_spec import Golden, ModelSpec  # noqa: E402
from services.inference.domain.trainer import Recipe  # noqa: E402

FEATURES = ("return_1", "spread", "z_score_32")
STEPS, ROWS, HELD_OUT = 16, 2_000, 500
RECIPE = Recipe(epochs=12, batch_rows=64, learning_rate=5e-3, weight_decay=1e-3, seed=3)
KINDS: dict[str, Architecture] = {
    "gru": Gru(16, layers=2),
    "lstm": Lstm(16, layers=2),
    "patchtst": PatchTst(patch=4, width=16, heads=4, layers=2, feed=32),
    "nhits": Nhits(pools=(4, 1), hidden=(32, 16)),
}


def main(target: Path) -> None:
    """Train, resume, write."""
    random = np.random.default_rng(1)
    windows = random.standard_normal((ROWS + HELD_OUT, STEPS, len(FEATURES))) * (1.0, 20.0, 0.1) + (0.0, 5.0, 0.0)
    labels = (windows[:, -3:, 0].sum(axis=1) > 0).astype(np.float32)
    print(json.dumps({kind: tried(kind, network, windows, labels, target) for kind, network in KINDS.items()}))


def tried(kind: str, network: Architecture, windows: np.ndarray, labels: np.ndarray, target: Path) -> dict[str, Any]:
    """One kind of network, whole and interrupted."""
    features, answers = windows[:ROWS], labels[:ROWS]
    whole = TorchLearning(network, features, answers, RECIPE)
    losses = list(whole.epochs())
    begun = TorchLearning(network, features, answers, RECIPE)
    for _ in zip(range(5), begun.epochs(), strict=False):
        pass
    resumed = TorchLearning(network, features, answers, RECIPE)
    resumed.resume(begun.keep())
    list(resumed.epochs())
    logits = whole.logits(windows[ROWS:])
    write(target, kind, network, whole, windows)
    return {
        "losses": losses,
        "resumed": resumed.losses,
        "apart": float(np.abs(logits - resumed.logits(windows[ROWS:])).max()),
        "hits": float(((logits > 0) == labels[ROWS:]).mean()),
    }


def write(target: Path, kind: str, network: Architecture, learning: TorchLearning, windows: np.ndarray) -> None:
    """The file that the service loads, and PyTorch's own answers to compare with."""
    scaler = scaler_spec(fitted_scaler(windows[:ROWS]))
    spec = ModelSpec(network, FEATURES, STEPS, 10**9, scaler=scaler)
    golden = windows[:8].astype(np.float32)
    directory = target / kind / "1"
    directory.mkdir(parents=True)
    write_model(
        directory / "model.safetensors",
        spec,
        learning.tensors(),
        Golden(golden, np.asarray(learning.logits(golden), np.float32)),
    )
    asked = windows[ROWS:].astype(np.float32)
    np.savez(target / f"{kind}.npz", windows=asked, logits=learning.logits(asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
