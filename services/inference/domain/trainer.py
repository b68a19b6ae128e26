"""The trainer of every network made of NumPy arrays: Adam on the log loss, epoch by epoch, and able to go on later.

A network only says what a batch costs and which way is down (`Slope`); order of the rows, learning rate, moments and
the state that outlives a kill are kept here. The same recipe on the same data gives the same network on one machine,
interrupted or not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.windows import Windows

Floats = npt.NDArray[np.float32]
Inputs = Floats | Windows
"""Scaled features: rows (N, F), or windows (N, steps, F)."""
Slope = Callable[[Sequence[Floats], Floats, Floats], tuple[float, list[Floats]]]
"""(parameters, inputs, targets) → the mean log loss of the batch, and its gradient for every parameter."""

_MOMENTUM, _SQUARE_MEMORY, _EPSILON = 0.9, 0.999, 1e-8


class Diverged(ArithmeticError):
    """The loss is no finite number any more: the learning rate is too high for this data."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"The loss is no finite number in epoch {epoch}.")
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; `hidden` are the widths of an MLP's layers between its input and its logit."""

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 8
    batch_rows: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that training goes on from, after `len(losses)` epochs: arrays and plain numbers."""

    parameters: tuple[Floats, ...]
    first: tuple[Floats, ...]
    second: tuple[Floats, ...]
    losses: tuple[float, ...]
    random_state: dict[str, object]


class Trainer:
    """Trains `parameters` in place; each turn of `epochs` is one pass over all rows."""

    def __init__(
        self,
        slope: Slope,
        parameters: list[Floats],
        inputs: Inputs,
        targets: Floats,
        recipe: Recipe,
        random: np.random.Generator,
    ) -> None:
        self.parameters = parameters
        self.losses: list[float] = []
        self._slope, self._inputs, self._targets, self._recipe, self._random = slope, inputs, targets, recipe, random
        self._batches = -(-len(inputs) // recipe.batch_rows)
        self._adam = _Adam(parameters, recipe)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Stand where the checkpoint was taken."""
        for own, kept in (
            (self.parameters, checkpoint.parameters),
            (self._adam.first, checkpoint.first),
            (self._adam.second, checkpoint.second),
        ):
            for array, value in zip(own, kept, strict=True):
                array[...] = value
        self.losses = list(checkpoint.losses)
        self._adam.steps = len(self.losses) * self._batches
        self._random.bit_generator.state = checkpoint.random_state

    def checkpoint(self) -> Checkpoint:
        """What `resume` needs; arrays are copies."""
        return Checkpoint(
            tuple(array.copy() for array in self.parameters),
            tuple(array.copy() for array in self._adam.first),
            tuple(array.copy() for array in self._adam.second),
            tuple(self.losses),
            dict(self._random.bit_generator.state),
        )

    def epochs(self) -> Iterator[float]:
        """Train the epochs that are left; gives the mean log loss of each. Raises Diverged."""
        while len(self.losses) < self._recipe.epochs:
            loss = self._epoch()
            if not np.isfinite(loss):
                raise Diverged(len(self.losses) + 1)
            self.losses.append(loss)
            yield loss

    def _batch(self, rows: npt.NDArray[np.int64]) -> Floats:
        inputs = self._inputs[rows]
        return inputs.dense() if isinstance(inputs, Windows) else inputs

    def _epoch(self) -> float:
        total = self._recipe.epochs * self._batches
        order = self._random.permutation(len(self._inputs))
        loss = 0.0
        for start in range(0, len(order), self._recipe.batch_rows):
            rows = order[start : start + self._recipe.batch_rows]
            batch_loss, gradients = self._slope(self.parameters, self._batch(rows), self._targets[rows])
            self._adam.step(gradients, self._adam.steps / total)
            loss += batch_loss * len(rows)
        return loss / len(self._inputs)


class _Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) and a cosine learning rate."""

    def __init__(self, parameters: list[Floats], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe
        self.first = [np.zeros_like(parameter) for parameter in parameters]
        self.second = [np.zeros_like(parameter) for parameter in parameters]
        self.steps = 0

    def step(self, gradients: Sequence[Floats], progress: float) -> None:
        """Move every parameter against its gradient; `progress` runs from 0 to 1 over the training."""
        self.steps += 1
        rate = self._recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * progress))
        unbias_first, unbias_second = 1 - _MOMENTUM**self.steps, 1 - _SQUARE_MEMORY**self.steps
        for parameter, first, second, gradient in zip(
            self._parameters, self.first, self.second, gradients, strict=True
        ):
            first += (1 - _MOMENTUM) * (gradient - first)
            second += (1 - _SQUARE_MEMORY) * (gradient * gradient - second)
            direction = first / unbias_first / (np.sqrt(second / unbias_second) + _EPSILON)
            parameter -= (rate * (direction + self._recipe.weight_decay * parameter)).astype(np.float32)


def log_loss(logit: Floats, targets: Floats) -> tuple[float, Floats]:
    """The mean log loss of (N,) logits, and its gradient for each."""
    loss = float(np.mean(np.logaddexp(0, logit) - targets * logit))
    odds = 1 / (1 + np.exp(-np.clip(logit, -80, 80)))
    upstream: Floats = ((odds - targets) / np.float32(len(targets))).astype(logit.dtype)
    return loss, upstream
