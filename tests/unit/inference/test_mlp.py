"""The trainer finds what is there, and nothing where there is nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from services.inference.domain import calibration, mlp, scorecard
from services.inference.domain.trainer import Recipe

ROWS = 10_000
RECIPE = Recipe(hidden=(32, 16), epochs=15, batch_rows=128, learning_rate=5e-3, weight_decay=0.5)


def planted(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Features whose product of two columns decides the label three times in four."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, 5)) * (1.0, 10.0, 0.1, 1.0, 1.0) + (0.0, 50.0, 0.0, 0.0, 0.0)
    up = random.random(rows) < np.where(features[:, 0] * features[:, 2] > 0, 0.75, 0.25)
    return features, up.astype(float)


def shuffled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same features with labels that have nothing to do with them."""
    features, labels = planted(seed)
    return features, np.random.default_rng(seed + 100).permutation(labels)


def judged(data: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> scorecard.Scorecard:
    """Train on one draw, calibrate on a second, judge on a third."""
    network = mlp.train(*data(1), RECIPE)
    features, labels = data(2)
    platt = calibration.fit(network.logits(features), labels)
    features, labels = data(3)
    return scorecard.score(platt.probabilities(network.logits(features)), labels, 0.5, np.arange(ROWS) // 50)


def test_a_planted_edge_is_found_on_data_it_has_not_seen() -> None:
    found = judged(planted)
    assert found.has_edge
    assert found.brier_skill > 0.15, "a perfect model has 0.25"
    assert found.hit_rate > 0.70
    assert found.calibration_error < 0.1


def test_shuffled_labels_give_no_edge_and_no_confidence() -> None:
    found = judged(shuffled)
    assert not found.has_edge
    assert found.hit_rate == pytest.approx(0.5, abs=0.03)
    assert found.sure_share == 0.0


def test_the_same_recipe_and_data_give_the_same_network() -> None:
    features, labels = planted(1, 500)
    one, other = (mlp.train(features, labels, RECIPE) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


def test_another_seed_gives_another_network() -> None:
    features, labels = planted(1, 500)
    other = Recipe(RECIPE.hidden, RECIPE.epochs, RECIPE.batch_rows, RECIPE.learning_rate, RECIPE.weight_decay, 2)
    assert not np.array_equal(
        mlp.train(features, labels, RECIPE).weights[0], mlp.train(features, labels, other).weights[0]
    )


def test_the_loss_falls_and_every_epoch_is_told() -> None:
    features, labels = planted(1)
    told: list[tuple[int, float]] = []
    mlp.train(features, labels, RECIPE, lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == list(range(1, RECIPE.epochs + 1))
    assert told[-1][1] < told[0][1]


def test_gradients_are_the_slopes_of_the_loss() -> None:
    random = np.random.default_rng(0)
    parameters = [random.standard_normal(shape) for shape in ((4, 6), (6,), (6, 1), (1,))]
    inputs, targets = random.standard_normal((20, 4)), random.random(20)
    _, slopes = mlp.gradients(parameters, inputs, targets)
    for parameter, slope in zip(parameters, slopes, strict=True):
        place = tuple(0 for _ in parameter.shape)
        losses = []
        for nudge in (1e-5, -2e-5):
            parameter[place] += nudge
            losses.append(mlp.gradients(parameters, inputs, targets)[0])
        parameter[place] += 1e-5
        assert slope[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-3, abs=1e-6)


def test_an_outlier_does_not_shout() -> None:
    scaler = mlp.Scaler.fit(np.random.default_rng(0).standard_normal((1_000, 2)))
    assert np.abs(scaler.apply(np.array([[1e9, -1e9]]))).max() == pytest.approx(5.0, rel=1e-5)


def test_a_constant_feature_says_nothing() -> None:
    assert mlp.Scaler.fit(np.full((10, 1), 3.0)).apply(np.full((1, 1), 3.0)).tolist() == [[0.0]]
