"""The sequence model: what it sees, what it cannot see, and that its gradient is one."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from services.inference.domain import tcn
from services.inference.domain.mlp import Scaler
from services.inference.domain.tcn import Tcn, TcnShape
from services.inference.domain.trainer import Recipe

SHAPE = TcnShape(channels=5, kernel=3, levels=3)


def a_tcn(seed: int = 1, features: int = 4, shape: TcnShape = SHAPE) -> Tcn:
    random = np.random.default_rng(seed)
    sizes = [features, *[shape.channels] * shape.levels]
    weights = [random.standard_normal((shape.kernel, a, b)) for a, b in pairwise(sizes)]
    biases = [random.standard_normal(shape.channels) for _ in range(shape.levels)]
    scaler = Scaler(np.zeros(features, np.float32), np.ones(features, np.float32))
    as_float = [array.astype(np.float32) for array in (*weights, random.standard_normal((shape.channels, 1)))]
    return Tcn(scaler, shape, tuple(as_float), tuple(b.astype(np.float32) for b in (*biases, np.zeros(1))))


def plain(network: Tcn, windows: np.ndarray) -> np.ndarray:
    """The textbook's causal convolutions over every step, zeros before the first."""
    found = network.scaler.apply(windows).astype(np.float64)
    for level, (weight, bias) in enumerate(zip(network.weights[:-1], network.biases[:-1], strict=True)):
        count, steps, _ = found.shape
        padded = np.concatenate((np.zeros((count, (len(weight) - 1) * 2**level, found.shape[2])), found), axis=1)
        convolved = np.maximum(
            sum(padded[:, tap * 2**level :][:, :steps] @ weight[tap] for tap in range(len(weight))) + bias, 0
        )
        found = found + convolved if level else convolved
    return np.asarray((found[:, -1] @ network.weights[-1] + network.biases[-1])[:, 0])


@pytest.mark.parametrize("steps", [1, 2, 6, SHAPE.steps, SHAPE.steps + 6])
def test_it_is_the_textbooks_network_without_what_nobody_reads(steps: int) -> None:
    windows = np.random.default_rng(2).uniform(-3, 3, (20, steps, 4))
    assert a_tcn().logits(windows) == pytest.approx(plain(a_tcn(), windows), rel=1e-4, abs=1e-4)


def test_every_step_of_its_reach_counts_and_no_older_one() -> None:
    windows = np.random.default_rng(2).uniform(-1, 1, (200, SHAPE.steps + 1, 4))
    logits = a_tcn().logits(windows)
    for step in range(SHAPE.steps + 1):
        nudged = windows.copy()
        nudged[:, step] += 1.0
        assert np.array_equal(a_tcn().logits(nudged), logits) == (step == 0)


def test_many_windows_are_the_same_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = np.random.default_rng(2).uniform(-1, 1, (25, SHAPE.steps, 4))
    whole = a_tcn().logits(windows)
    monkeypatch.setattr(tcn, "_MOST_ROWS", 4)
    assert a_tcn().logits(windows) == pytest.approx(whole, rel=1e-5, abs=1e-5)
    assert a_tcn().logits(windows[:0]).shape == (0,)


@pytest.mark.parametrize("steps", [4, SHAPE.steps])
def test_gradients_are_the_slopes_of_the_loss(steps: int) -> None:
    random = np.random.default_rng(0)
    network = a_tcn()
    pairs = zip(network.weights, network.biases, strict=True)
    parameters: list[Any] = [array.astype(np.float64) for pair in pairs for array in pair]
    inputs, targets = random.standard_normal((30, steps, 4)), random.random(30)
    _, slopes = tcn.gradients(parameters, inputs, targets)
    for parameter, slope in zip(parameters, slopes, strict=True):
        assert slope.shape == parameter.shape
        for _ in range(3):
            place = tuple(random.integers(0, size) for size in parameter.shape)
            parameter[place] += 1e-5
            above, _ = tcn.gradients(parameters, inputs, targets)
            parameter[place] -= 2e-5
            below, _ = tcn.gradients(parameters, inputs, targets)
            parameter[place] += 1e-5
            assert slope[place] == pytest.approx((above - below) / 2e-5, rel=1e-3, abs=1e-7)


def test_it_finds_an_edge_that_lies_in_the_past() -> None:
    random = np.random.default_rng(1)
    windows = random.standard_normal((4_000, SHAPE.steps, 2)).astype(np.float32)
    labels = (windows[:, 3, 0] * np.sign(windows[:, -1, 1]) > 0).astype(np.float32)
    recipe = Recipe(epochs=25, batch_rows=64, learning_rate=5e-3)
    scaler = Scaler.fit(windows.reshape(-1, 2))
    training = tcn.trainer(scaler.apply(windows[:3_000]), labels[:3_000], TcnShape(12, 3, 3), recipe)
    list(training.epochs())
    network = tcn.network(scaler, TcnShape(12, 3, 3), training.parameters)
    hits = (network.logits(windows[3_000:]) > 0) == labels[3_000:]
    assert hits.mean() > 0.85
