"""A small multilayer perceptron and its trainer in NumPy: ReLU inside, one logit out, Adam on the log loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_MOMENTUM, _SQUARE_MEMORY, _EPSILON = 0.9, 0.999, 1e-8
_CLIP = 5.0


@dataclass(frozen=True, slots=True)
class Scaler:
    """Centres and scales features, and clips them at ±5 standard deviations so that no outlier shouts."""

    mean: Floats
    deviation: Floats

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating]) -> "Scaler":
        """Mean and standard deviation of each column; a constant column is left at zero."""
        deviation = features.std(axis=0, dtype=np.float64)
        safe = np.where(deviation > 0, deviation, 1.0)
        return cls(features.mean(axis=0, dtype=np.float64).astype(np.float32), safe.astype(np.float32))

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """The lowest and highest raw value of each feature that passes unclipped."""
        reach = np.float32(_CLIP) * self.deviation
        return self.mean - reach, self.mean + reach

    def apply(self, features: npt.NDArray[np.floating]) -> Floats:
        """The (N, F) features as the network sees them."""
        low, high = self.bounds
        scaled: Floats = (np.clip(features, low, high).astype(np.float32) - self.mean) / self.deviation
        return scaled


@dataclass(frozen=True, slots=True)
class Network:
    """Weights (in, out) and biases (out,) of each layer, and the scaler in front of them."""

    scaler: Scaler
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def logits(self, features: npt.NDArray[np.floating]) -> Floats:
        """The log odds of "up" for each row of (N, F)."""
        return _forward(self.weights, self.biases, self.scaler.apply(features))[-1][:, 0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the same recipe on the same data gives the same network on one machine."""

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 8
    batch_rows: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 1


def train(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.floating],
    recipe: Recipe,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Network:
    """Fit a network to (N, F) features and (N,) labels in 0..1; ½ stands for "neither up nor down".

    The learning rate falls to zero along a cosine. `on_epoch` gets each epoch's number and mean log loss.
    """
    random = np.random.default_rng(recipe.seed)
    scaler = Scaler.fit(features)
    inputs, targets = scaler.apply(features), labels.astype(np.float32)
    parameters = _initial([inputs.shape[1], *recipe.hidden, 1], random)
    adam = _Adam(parameters, recipe)
    total = recipe.epochs * -(-len(inputs) // recipe.batch_rows)
    done = 0
    for epoch in range(recipe.epochs):
        loss = 0.0
        for rows in _batches(len(inputs), recipe.batch_rows, random):
            batch_loss, gradients = _gradients(parameters, inputs[rows], targets[rows])
            adam.step(gradients, done / total)
            loss += batch_loss * len(rows)
            done += 1
        on_epoch(epoch + 1, loss / len(inputs))
    return Network(scaler, tuple(parameters[0::2]), tuple(parameters[1::2]))


def _initial(sizes: Sequence[int], random: np.random.Generator) -> list[Floats]:
    """He's initial weights, and biases of zero, in turns."""
    parameters: list[Floats] = []
    for size, following in pairwise(sizes):
        weights = random.standard_normal((size, following)) * np.sqrt(2 / size)
        parameters += [weights.astype(np.float32), np.zeros(following, np.float32)]
    return parameters


def _batches(rows: int, size: int, random: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    order = random.permutation(rows)
    for start in range(0, rows, size):
        yield order[start : start + size]


def _forward(weights: Sequence[Floats], biases: Sequence[Floats], inputs: Floats) -> list[Floats]:
    """The input and what every layer makes of it; the last is the logit."""
    outputs = [inputs]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        linear = outputs[-1] @ weight + bias
        outputs.append(linear if layer == len(weights) - 1 else np.maximum(linear, 0))
    return outputs


def _gradients(parameters: Sequence[Floats], inputs: Floats, targets: Floats) -> tuple[float, list[Floats]]:
    """The mean log loss of a batch, and its gradient for every parameter."""
    weights, biases = parameters[0::2], parameters[1::2]
    outputs = _forward(weights, biases, inputs)
    logit = outputs[-1][:, 0]
    loss = float(np.mean(np.logaddexp(0, logit) - targets * logit))
    upstream = ((1 / (1 + np.exp(-logit)) - targets) / len(targets))[:, None].astype(np.float32)
    gradients: list[Floats] = []
    for layer in reversed(range(len(weights))):
        gradients[:0] = [outputs[layer].T @ upstream, upstream.sum(axis=0)]
        upstream = (upstream @ weights[layer].T) * (outputs[layer] > 0)
    return loss, gradients


class _Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) and a cosine learning rate."""

    def __init__(self, parameters: list[Floats], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe
        self._first = [np.zeros_like(parameter) for parameter in parameters]
        self._second = [np.zeros_like(parameter) for parameter in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[Floats], progress: float) -> None:
        """Move every parameter against its gradient; `progress` runs from 0 to 1 over the training."""
        self._steps += 1
        rate = self._recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * progress))
        unbias_first, unbias_second = 1 - _MOMENTUM**self._steps, 1 - _SQUARE_MEMORY**self._steps
        for parameter, first, second, gradient in zip(
            self._parameters, self._first, self._second, gradients, strict=True
        ):
            first += (1 - _MOMENTUM) * (gradient - first)
            second += (1 - _SQUARE_MEMORY) * (gradient * gradient - second)
            direction = first / unbias_first / (np.sqrt(second / unbias_second) + _EPSILON)
            parameter -= (rate * (direction + self._recipe.weight_decay * parameter)).astype(np.float32)
