"""Training goes on where it stopped, and says so when it cannot go on."""

import numpy as np
import pytest

from services.inference.domain import mlp, tcn
from services.inference.domain.trainer import Diverged, Recipe, Trainer

RECIPE = Recipe(hidden=(8,), epochs=6, batch_rows=32, learning_rate=1e-2, seed=3)


def an_mlp_trainer(recipe: Recipe = RECIPE) -> Trainer:
    random = np.random.default_rng(1)
    inputs = random.standard_normal((300, 4)).astype(np.float32)
    return mlp.trainer(inputs, (inputs[:, 0] > 0).astype(np.float32), recipe)


def a_tcn_trainer(recipe: Recipe = RECIPE) -> Trainer:
    random = np.random.default_rng(1)
    inputs = random.standard_normal((300, 7, 3)).astype(np.float32)
    shape = tcn.TcnShape(channels=4, kernel=3, levels=2)
    return tcn.trainer(inputs, (inputs[:, -1, 0] > 0).astype(np.float32), shape, recipe)


@pytest.mark.parametrize("make", [an_mlp_trainer, a_tcn_trainer])
def test_an_interrupted_training_ends_bit_for_bit_like_an_uninterrupted_one(make: type) -> None:
    whole = make()
    losses = list(whole.epochs())
    begun = make()
    for _ in zip(range(3), begun.epochs(), strict=False):
        pass
    kept = begun.checkpoint()
    resumed = make()
    resumed.resume(kept)
    assert list(resumed.epochs()) == losses[len(kept.losses) :]
    assert resumed.losses == losses
    assert all(np.array_equal(a, b) for a, b in zip(whole.parameters, resumed.parameters, strict=True))


def test_a_checkpoint_is_not_moved_by_further_training() -> None:
    training = an_mlp_trainer()
    next(training.epochs())
    kept = training.checkpoint()
    before = kept.parameters[0].copy()
    list(training.epochs())
    assert np.array_equal(kept.parameters[0], before)
    assert not np.array_equal(training.parameters[0], before)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_learning_rate_that_explodes_is_named_with_its_epoch() -> None:
    training = an_mlp_trainer(Recipe(hidden=(8,), epochs=50, batch_rows=32, learning_rate=1e30))
    with pytest.raises(Diverged) as caught:
        list(training.epochs())
    assert caught.value.epoch == len(training.losses) + 1
