"""A network while it learns, whatever it is made of, and what is kept of it: state to go on from, tensors to write.

Only what is NumPy is here. Networks that PyTorch trains satisfy the same `Learning` from an adapter.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.inference.domain import architectures, mlp, model_spec, tcn
from services.inference.domain.mlp import Scaler
from services.inference.domain.trainer import Checkpoint, Floats, Recipe, Trainer
from services.inference.domain.windows import Features, Windows

Tensors = dict[str, Floats]
Kept = Mapping[str, npt.NDArray[Any]]
_MOST_BATCH, _FEWEST_STEPS = 1024, 16


class Learning(Protocol):
    """A network being trained on the rows it was made with."""

    @property
    def losses(self) -> list[float]:
        """The mean log loss of every epoch so far."""
        ...

    def epochs(self) -> Iterator[float]:
        """Train the epochs that are left, one a turn; raises Diverged."""
        ...

    def keep(self) -> Kept:
        """Everything that `resume` needs, as arrays."""
        ...

    def resume(self, kept: Kept) -> None:
        """Go on where `keep` was called, on the same rows."""
        ...

    def tensors(self) -> Tensors:
        """The weights under the names and in the layout of `architectures`."""
        ...

    def logits(self, features: Features) -> npt.NDArray[np.floating]:
        """The log odds of raw rows (N, F) or windows (N, steps, F)."""
        ...


class NumpyLearning:
    """A perceptron or a temporal convolutional network on our own trainer."""

    def __init__(
        self, architecture: architectures.Mlp | architectures.Tcn, features: Features, labels: Floats, recipe: Recipe
    ) -> None:
        self.scaler = fitted_scaler(features)
        inputs = scaled(self.scaler, features)
        self._architecture = architecture
        self._trainer = _trainer(architecture, inputs, labels, recipe)

    @property
    def losses(self) -> list[float]:
        """The mean log loss of every epoch so far."""
        return self._trainer.losses

    def epochs(self) -> Iterator[float]:
        """Train the epochs that are left, one a turn; raises Diverged."""
        return self._trainer.epochs()

    def keep(self) -> Kept:
        """Everything that `resume` needs, as arrays."""
        checkpoint = self._trainer.checkpoint()
        columns = {"parameters": checkpoint.parameters, "first": checkpoint.first, "second": checkpoint.second}
        kept: dict[str, npt.NDArray[Any]] = {
            f"{name}.{number}": array for name, arrays in columns.items() for number, array in enumerate(arrays)
        }
        kept["losses"] = np.array(checkpoint.losses, np.float64)
        kept["random"] = np.array(json.dumps(checkpoint.random_state))
        return kept

    def resume(self, kept: Kept) -> None:
        """Go on where `keep` was called, on the same rows."""
        count = len(self._trainer.parameters)
        parameters, first, second = (
            tuple(kept[f"{name}.{number}"] for number in range(count)) for name in ("parameters", "first", "second")
        )
        losses = tuple(map(float, kept["losses"]))
        self._trainer.resume(Checkpoint(parameters, first, second, losses, json.loads(str(kept["random"]))))

    def tensors(self) -> Tensors:
        """The weights under the names and in the layout of `architectures`."""
        return exported(self.network)

    @property
    def network(self) -> "mlp.Network | tcn.Tcn":
        """The network as it is now."""
        if isinstance(self._architecture, architectures.Tcn):
            return tcn.network(self.scaler, _shape(self._architecture), self._trainer.parameters)
        return mlp.network(self.scaler, self._trainer.parameters)

    def logits(self, features: Features) -> npt.NDArray[np.floating]:
        """The log odds of raw rows (N, F) or windows (N, steps, F)."""
        return self.network.logits(features)


def recipe_for(rows: int, hidden: tuple[int, ...], epochs: int, learning_rate: float, seed: int) -> Recipe:
    """Batches of at most 1,024 rows, and at least 16 steps an epoch where there are rows for them."""
    batch = max(1, min(_MOST_BATCH, rows // _FEWEST_STEPS))
    return Recipe(hidden=hidden, epochs=epochs, batch_rows=batch, learning_rate=learning_rate, seed=seed)


def fitted_scaler(features: Features) -> Scaler:
    """Mean and deviation of each feature; those of windows over every row that a window sees."""
    if not isinstance(features, Windows):
        return Scaler.fit(features.reshape(-1, features.shape[-1]))
    seen = np.unique(np.concatenate([features.ends - lag for lag in range(features.steps)]))
    return Scaler.fit(features.table[seen])


def scaled(scaler: Scaler, features: Features) -> Floats | Windows:
    """Features as the network sees them; windows keep sharing one table."""
    if isinstance(features, Windows):
        return Windows(scaler.apply(features.table), features.ends, features.steps)
    return scaler.apply(features)


def scaler_spec(scaler: Scaler) -> model_spec.Scaler:
    """The scaler as a model file states it."""
    return model_spec.Scaler(model_spec.reals(scaler.mean.tolist()), model_spec.reals(scaler.deviation.tolist()))


def exported(network: mlp.Network | tcn.Tcn) -> Tensors:
    """The weights of a network of ours under the names and in the layout of `architectures`."""
    if isinstance(network, mlp.Network):
        return {
            name: array
            for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True))
            for name, array in ((f"layers.{layer}.weight", weight.T), (f"layers.{layer}.bias", bias))
        }
    levels = zip(network.weights[:-1], network.biases[:-1], strict=True)
    convolutions = {
        name: array
        for level, (weight, bias) in enumerate(levels)
        for name, array in ((f"conv.{level}.weight", weight.transpose(2, 1, 0)), (f"conv.{level}.bias", bias))
    }
    return {**convolutions, "head.weight": network.weights[-1].T, "head.bias": network.biases[-1]}


def _trainer(
    architecture: architectures.Mlp | architectures.Tcn, inputs: Floats | Windows, labels: Floats, recipe: Recipe
) -> Trainer:
    if isinstance(architecture, architectures.Tcn):
        return tcn.trainer(inputs, labels, _shape(architecture), recipe)
    assert not isinstance(inputs, Windows)
    return mlp.trainer(inputs, labels, recipe)


def _shape(architecture: architectures.Tcn) -> tcn.TcnShape:
    return tcn.TcnShape(architecture.channels, architecture.kernel, architecture.levels)
