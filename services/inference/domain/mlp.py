"""A small multilayer perceptron in NumPy: ReLU inside, one logit out, and the gradient of its log loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from services.inference.domain.trainer import Floats, Recipe, Trainer, log_loss
from services.inference.domain.windows import Features, dense

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

    def logits(self, features: Features) -> Floats:
        """The log odds of "up" for each row of (N, F)."""
        return _forward(self.weights, self.biases, self.scaler.apply(dense(features)))[-1][:, 0]


def train(
    features: Features,
    labels: npt.NDArray[np.floating],
    recipe: Recipe,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Network:
    """Fit a network to (N, F) features and (N,) labels in 0..1; ½ stands for "neither up nor down".

    The learning rate falls to zero along a cosine. `on_epoch` gets each epoch's number and mean log loss.
    Raises Diverged.
    """
    rows = dense(features)
    scaler = Scaler.fit(rows)
    training = trainer(scaler.apply(rows), labels, recipe)
    for loss in training.epochs():
        on_epoch(len(training.losses), loss)
    return network(scaler, training.parameters)


def trainer(inputs: Floats, labels: npt.NDArray[np.floating], recipe: Recipe) -> Trainer:
    """A trainer over scaled (N, F) inputs, before its first epoch."""
    random = np.random.default_rng(recipe.seed)
    parameters = _initial([inputs.shape[1], *recipe.hidden, 1], random)
    return Trainer(gradients, parameters, inputs, labels.astype(np.float32), recipe, random)


def network(scaler: Scaler, parameters: Sequence[Floats]) -> Network:
    """The network that a trainer's parameters are: weights and biases in turns."""
    return Network(scaler, tuple(parameters[0::2]), tuple(parameters[1::2]))


def _initial(sizes: Sequence[int], random: np.random.Generator) -> list[Floats]:
    """He's initial weights, and biases of zero, in turns."""
    parameters: list[Floats] = []
    for size, following in pairwise(sizes):
        weights = random.standard_normal((size, following)) * np.sqrt(2 / size)
        parameters += [weights.astype(np.float32), np.zeros(following, np.float32)]
    return parameters


def _forward(weights: Sequence[Floats], biases: Sequence[Floats], inputs: Floats) -> list[Floats]:
    """The input and what every layer makes of it; the last is the logit."""
    outputs = [inputs]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        linear = outputs[-1] @ weight + bias
        outputs.append(linear if layer == len(weights) - 1 else np.maximum(linear, 0))
    return outputs


def gradients(parameters: Sequence[Floats], inputs: Floats, targets: Floats) -> tuple[float, list[Floats]]:
    """The mean log loss of a batch, and its gradient for every parameter."""
    weights, biases = parameters[0::2], parameters[1::2]
    outputs = _forward(weights, biases, inputs)
    loss, slope = log_loss(outputs[-1][:, 0], targets)
    upstream = slope[:, None]
    found: list[Floats] = []
    for layer in reversed(range(len(weights))):
        found[:0] = [outputs[layer].T @ upstream, upstream.sum(axis=0)]
        if layer:  # the input itself needs no gradient
            upstream = (upstream @ weights[layer].T) * (outputs[layer] > 0)
    return loss, found
