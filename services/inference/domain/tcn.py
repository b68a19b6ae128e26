"""A temporal convolutional network in NumPy: causal dilated convolutions with ReLU, and one logit of the newest step.

Level i looks back by 2^i steps between its taps and adds to what it sees, as `architectures.Tcn` says (after Bai,
Kolter & Koltun 2018). Only what the newest step depends on is computed: with kernel 3 and four levels 26 positions
instead of 4 × 31.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from services.inference.domain.mlp import Scaler
from services.inference.domain.trainer import Floats, Inputs, Recipe, Trainer, log_loss
from services.inference.domain.windows import Features, dense

Positions = npt.NDArray[np.int64]
_MOST_ROWS = 4096
"""Rows in one pass of `Tcn.logits`; bounds its memory."""


@dataclass(frozen=True, slots=True)
class TcnShape:
    """Channels of every level, taps of every convolution, number of levels."""

    channels: int = 16
    kernel: int = 3
    levels: int = 4

    @property
    def steps(self) -> int:
        """How many steps the newest output depends on: 1 + (kernel − 1)·(2^levels − 1)."""
        return 1 + (self.kernel - 1) * ((1 << self.levels) - 1)


@dataclass(frozen=True, slots=True)
class Tcn:
    """Weights (kernel, in, out) and biases (out,) of each level, then those of the last layer, (in, 1) and (1,).

    The last tap is the newest step. `scaler` stands in front, over the features of every step.
    """

    scaler: Scaler
    shape: TcnShape
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def logits(self, windows: Features) -> Floats:
        """The log odds of "up" for each of (N, steps, F) windows, oldest step first."""
        parameters = [array for pair in zip(self.weights, self.biases, strict=True) for array in pair]
        parts = [
            _forward(parameters, self.scaler.apply(dense(windows[start : start + _MOST_ROWS])))[-1]
            for start in range(0, len(windows), _MOST_ROWS)
        ]
        return np.concatenate(parts)[:, 0] if parts else np.empty(0, np.float32)


def trainer(inputs: Inputs, labels: npt.NDArray[np.floating], shape: TcnShape, recipe: Recipe) -> Trainer:
    """A trainer over scaled (N, steps, F) inputs, before its first epoch."""
    random = np.random.default_rng(recipe.seed)
    sizes = [inputs.shape[-1], *[shape.channels] * shape.levels]
    parameters: list[Floats] = []
    for size, following in pairwise(sizes):
        weights = random.standard_normal((shape.kernel, size, following)) * np.sqrt(2 / (shape.kernel * size))
        parameters += [weights.astype(np.float32), np.zeros(following, np.float32)]
    last = random.standard_normal((shape.channels, 1)) * np.sqrt(1 / shape.channels)
    parameters += [last.astype(np.float32), np.zeros(1, np.float32)]
    return Trainer(gradients, parameters, inputs, labels.astype(np.float32), recipe, random)


def network(scaler: Scaler, shape: TcnShape, parameters: Sequence[Floats]) -> Tcn:
    """The network that a trainer's parameters are: weights and biases in turns."""
    return Tcn(scaler, shape, tuple(parameters[0::2]), tuple(parameters[1::2]))


def gradients(parameters: Sequence[Floats], inputs: Floats, targets: Floats) -> tuple[float, list[Floats]]:
    """The mean log loss of a batch of (N, steps, F), and its gradient for every parameter."""
    outputs = _forward(parameters, inputs)
    loss, slope = log_loss(outputs[-1][:, 0], targets)
    newest, head = outputs[-2][:, 0], slope[:, None]
    found: list[Floats] = [newest.T @ head, head.sum(axis=0)]
    upstream: Floats = (head @ parameters[-2].T)[:, None]
    levels = _taps(len(parameters) // 2 - 1, parameters[0].shape[0], inputs.shape[1])
    for level in reversed(range(len(levels))):
        weight, below, taps = parameters[2 * level], outputs[level], levels[level]
        convolved = outputs[level + 1] - below[:, taps[:, -1]] if level else outputs[1]
        through = (upstream * (convolved > 0)).reshape(-1, upstream.shape[-1])
        found[:0] = [(_gathered(below, taps).T @ through).reshape(weight.shape), through.sum(axis=0)]
        if level:  # the input itself needs no gradient
            upstream = _scattered(through @ weight.reshape(-1, weight.shape[2]).T, taps, below, upstream)
    return loss, found


def _forward(parameters: Sequence[Floats], inputs: Floats) -> list[Floats]:
    """The input, what every level makes of it (N, positions, channels), and the logits (N, 1)."""
    outputs = [inputs]
    for level, taps in enumerate(_taps(len(parameters) // 2 - 1, parameters[0].shape[0], inputs.shape[1])):
        weight, bias = parameters[2 * level], parameters[2 * level + 1]
        linear = _gathered(outputs[-1], taps) @ weight.reshape(-1, weight.shape[2]) + bias
        convolved = np.maximum(linear, 0).reshape(len(inputs), len(taps), -1)
        outputs.append(convolved + outputs[-1][:, taps[:, -1]] if level else convolved)
    return [*outputs, outputs[-1][:, 0] @ parameters[-2] + parameters[-1]]


def _gathered(below: Floats, taps: Positions) -> Floats:
    """The steps under every tap, side by side: (N·positions, kernel·channels); zeros before the first step."""
    seen = below if taps.min() >= 0 else np.concatenate((below, np.zeros_like(below[:, :1])), axis=1)
    return seen[:, taps].reshape(len(below) * len(taps), -1)


def _scattered(slopes: Floats, taps: Positions, below: Floats, added: Floats) -> Floats:
    """The opposite: each step gets the sum of what the taps above it say, and what it added to directly."""
    found = np.zeros((len(below), below.shape[1] + 1, below.shape[2]), below.dtype)  # the last one is what is before
    parts = slopes.reshape(len(below), *taps.shape, below.shape[2])
    for tap in range(taps.shape[1]):  # under one tap no step stands twice
        found[:, taps[:, tap]] += parts[:, :, tap]
    found[:, taps[:, -1]] += added
    return found[:, :-1]


@cache
def _taps(levels: int, kernel: int, steps: int) -> tuple[Positions, ...]:
    """For each level the rows of its input that each of its outputs reads, (positions, kernel); −1 is none."""
    wanted = np.array([steps - 1])
    found: list[Positions] = []
    for level in reversed(range(levels)):
        reach = wanted[:, None] - 2**level * np.arange(kernel - 1, -1, -1)
        below = np.unique(reach[reach >= 0]) if level else np.arange(steps)
        found.append(np.where(reach >= 0, np.searchsorted(below, reach), -1))
        wanted = below
    return tuple(reversed(found))
