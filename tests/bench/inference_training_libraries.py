"""Trains one perceptron with the library that is named, ours, torch or sklearn, and prints the seconds as JSON."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROWS, FEATURES, EPOCHS, BATCH, RATE = 100_000, 64, 10, 512, 1e-3
sys.path.remove(str(Path(__file__).parent))  # this folder has a profile.py, and so has the standard library


def ours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from services.inference.domain import mlp
    from services.inference.domain.trainer import Recipe

    recipe = Recipe((64, 32), epochs=EPOCHS, batch_rows=BATCH, learning_rate=RATE)
    return mlp.train(x, y, recipe).logits(x) > 0


def torch(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    import torch

    torch.set_num_threads(1)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    layers = [torch.nn.Linear(FEATURES, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(32, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    cost = torch.nn.BCEWithLogitsLoss()
    for _ in range(EPOCHS):
        order = torch.randperm(ROWS)
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            optimiser.zero_grad()
            cost(network(inputs[rows])[:, 0], targets[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        return np.asarray(network(inputs)[:, 0] > 0)


def sklearn(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    network = MLPClassifier((64, 32), batch_size=BATCH, learning_rate_init=RATE, max_iter=EPOCHS, tol=0.0)
    return np.asarray(network.fit(x, y).predict(x) > 0.5)


LIBRARIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ours": ours,
    "torch": torch,
    "sklearn": sklearn,
}


def imported(name: str) -> None:
    """Import what will be measured, and leave the time of that out."""
    __import__({"ours": "services.inference.domain.mlp", "torch": "torch", "sklearn": "sklearn.neural_network"}[name])


def main(name: str) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, FEATURES)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + 0.5 * random.standard_normal(ROWS) > 0).astype(np.float32)
    imported(name)
    started = time.perf_counter()
    said = LIBRARIES[name](x, y)
    print(json.dumps({"seconds": time.perf_counter() - started, "accuracy": float((said == y).mean())}))


if __name__ == "__main__":
    main(sys.argv[1])
