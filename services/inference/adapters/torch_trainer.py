"""Networks that PyTorch trains, on the CPU: GRU, LSTM, PatchTST and NHITS, exported as `architectures` lays them out.

PyTorch comes with the optional extra `train`; nothing else of the fleet needs it. Its recurrent layers keep their gates
in another order than ONNX, so their blocks of rows are moved on the way out.
"""

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from services.inference.domain import architectures
from services.inference.domain.architectures import Architecture, Gru, Lstm, Nhits, PatchTst
from services.inference.domain.learning import Kept, Tensors, fitted_scaler, scaled
from services.inference.domain.trainer import Diverged, Floats, Recipe
from services.inference.domain.windows import Features, Windows
from trading.errors import FailedPrecondition

TORCH_MISSING = "TRAINER_NOT_INSTALLED"
GATES_OF_TORCH: dict[type, tuple[int, ...]] = {Gru: (1, 0, 2), Lstm: (0, 3, 1, 2)}
"""For each gate in ONNX's order (GRU: update, reset, hidden; LSTM: input, output, forget, cell) its place in PyTorch's
(reset, update, hidden; input, forget, cell, output)."""
_MOST_ROWS = 2048
_NORM_EPSILON = 1e-5


class TorchLearning:
    """`Learning` on PyTorch: the same recipe on the same data gives the same network on one machine."""

    def __init__(self, architecture: Architecture, features: Features, labels: Floats, recipe: Recipe) -> None:
        torch = _torch()
        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        self._torch, self._architecture, self._recipe = torch, architecture, recipe
        self._scaler = fitted_scaler(features)
        inputs = scaled(self._scaler, features)
        count, steps, width = inputs.shape
        self._inputs: Floats | Windows = inputs
        self._labels = torch.from_numpy(np.asarray(labels, np.float32))
        self._network = _network(torch, architecture, width, steps)
        self._batches = -(-count // recipe.batch_rows)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, recipe.epochs * self._batches)
        self._random = np.random.default_rng(recipe.seed)
        self.losses: list[float] = []

    def epochs(self) -> Iterator[float]:
        """Train the epochs that are left, one a turn; raises Diverged."""
        while len(self.losses) < self._recipe.epochs:
            loss = self._epoch()
            if not np.isfinite(loss):
                raise Diverged(len(self.losses) + 1)
            self.losses.append(loss)
            yield loss

    def _epoch(self) -> float:
        order = self._random.permutation(len(self._labels))
        total = 0.0
        for start in range(0, len(order), self._recipe.batch_rows):
            rows = order[start : start + self._recipe.batch_rows]
            self._optimiser.zero_grad()
            logits = self._network(self._torch.from_numpy(_batch(self._inputs, rows)))
            loss = self._torch.nn.functional.binary_cross_entropy_with_logits(logits, self._labels[rows])
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            total += float(loss) * len(rows)
        return total / len(order)

    def keep(self) -> Kept:
        """Everything that `resume` needs, as arrays."""
        kept: dict[str, npt.NDArray[Any]] = {
            "losses": np.array(self.losses),
            "random": np.array(json.dumps(self._random.bit_generator.state)),
        }
        for number, parameter in enumerate(self._network.parameters()):
            state = self._optimiser.state[parameter]
            kept |= {
                f"parameters.{number}": parameter.detach().numpy().copy(),
                f"first.{number}": state["exp_avg"].numpy().copy(),
                f"second.{number}": state["exp_avg_sq"].numpy().copy(),
            }
        return kept

    def resume(self, kept: Kept) -> None:
        """Go on where `keep` was called, on the same rows."""
        torch = self._torch
        self.losses = [float(loss) for loss in kept["losses"]]
        self._random.bit_generator.state = json.loads(str(kept["random"]))
        steps = len(self.losses) * self._batches
        with torch.no_grad():
            for number, parameter in enumerate(self._network.parameters()):
                parameter.copy_(torch.from_numpy(kept[f"parameters.{number}"]))
                self._optimiser.state[parameter] = {
                    "step": torch.tensor(float(steps)),
                    "exp_avg": torch.from_numpy(kept[f"first.{number}"].copy()),
                    "exp_avg_sq": torch.from_numpy(kept[f"second.{number}"].copy()),
                }
        self._schedule.last_epoch = steps
        for group, rate in zip(self._optimiser.param_groups, self._schedule._get_closed_form_lr(), strict=True):
            group["lr"] = rate

    def tensors(self) -> Tensors:
        """The weights under the names and in the layout of `architectures`."""
        found: Tensors = self._network.tensors()
        return found

    def logits(self, features: Features) -> npt.NDArray[np.floating]:
        """The log odds of raw windows (N, steps, F)."""
        inputs = scaled(self._scaler, features)
        with self._torch.no_grad():
            rows = np.array_split(np.arange(len(inputs)), max(1, -(-len(inputs) // _MOST_ROWS)))
            parts = [self._network(self._torch.from_numpy(_batch(inputs, part))) for part in rows if len(part)]
        return np.concatenate([part.numpy() for part in parts]) if parts else np.empty(0, np.float32)


def _torch() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise FailedPrecondition(
            "PyTorch trains this network and is not installed: install the extra `train`.", reason=TORCH_MISSING
        )
    import torch  # seconds to import, and only a training process that needs it pays

    return torch


def _batch(inputs: Floats | Windows, rows: npt.NDArray[np.int64]) -> Floats:
    chosen = inputs[rows]
    return np.ascontiguousarray(chosen.dense() if isinstance(chosen, Windows) else chosen, np.float32)


def _network(torch: Any, architecture: Architecture, features: int, window: int) -> Any:
    if isinstance(architecture, Gru | Lstm):
        return _recurrent(torch, architecture, features)
    if isinstance(architecture, PatchTst | Nhits):
        return _named(torch, architecture, features, window)
    raise FailedPrecondition(f"PyTorch does not train a {type(architecture).__name__} here.", reason=TORCH_MISSING)


def _recurrent(torch: Any, architecture: Gru | Lstm, features: int) -> Any:
    kind = torch.nn.GRU if isinstance(architecture, Gru) else torch.nn.LSTM
    order = GATES_OF_TORCH[type(architecture)]

    class Recurrent(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.rnn = kind(features, architecture.hidden, architecture.layers, batch_first=True)
            self.head = torch.nn.Linear(architecture.hidden, 1)

        def forward(self, windows: Any) -> Any:
            return self.head(self.rnn(windows)[0][:, -1])[:, 0]

        def tensors(self) -> Tensors:
            found: Tensors = {}
            for layer in range(architecture.layers):
                parts = {
                    name: _reordered(getattr(self.rnn, f"{name}_l{layer}").detach().numpy(), order)
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                }
                found |= {
                    f"rnn.{layer}.W": parts["weight_ih"][None],
                    f"rnn.{layer}.R": parts["weight_hh"][None],
                    f"rnn.{layer}.B": np.concatenate((parts["bias_ih"], parts["bias_hh"]))[None],
                }
            return found | {
                "head.weight": self.head.weight.detach().numpy(),
                "head.bias": self.head.bias.detach().numpy(),
            }

    return Recurrent()


def _reordered(array: Floats, order: tuple[int, ...]) -> Floats:
    """The gates' blocks of rows in ONNX's order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[place] for place in order])


def _named(torch: Any, architecture: PatchTst | Nhits, features: int, window: int) -> Any:
    """A network whose parameters carry the names of the file; the formula is that of `architectures`."""
    shapes = architectures.tensors(architecture, features, window)

    class Named(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.own = torch.nn.ParameterDict({_key(name): _initial(torch, name, shapes[name]) for name in shapes})

        def forward(self, windows: Any) -> Any:
            weights = {name: self.own[_key(name)] for name in shapes}
            if isinstance(architecture, PatchTst):
                return _patch_tst(torch, architecture, weights, windows)
            return _nhits(torch, architecture, weights, windows)

        def tensors(self) -> Tensors:
            return {name: self.own[_key(name)].detach().numpy() for name in shapes}

    return Named()


def _key(name: str) -> str:
    return name.replace(".", "__")


def _initial(torch: Any, name: str, shape: tuple[int, ...]) -> Any:
    if name.endswith("bias"):
        return torch.nn.Parameter(torch.zeros(shape))
    if "norm" in name:
        return torch.nn.Parameter(torch.ones(shape))
    if name == "position":
        return torch.nn.Parameter(torch.randn(shape) * 0.02)
    across = name.startswith(("embed", "blocks"))  # (in, out); all others are (out, in)
    return torch.nn.Parameter(torch.randn(shape) * (shape[0] if across else shape[-1]) ** -0.5)


def _patch_tst(torch: Any, architecture: PatchTst, weights: dict[str, Any], windows: Any) -> Any:
    count, steps, _ = windows.shape
    width, heads = architecture.width, architecture.heads

    def across(name: str, z: Any) -> Any:
        return z @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    z = across("embed", windows.reshape(count, steps // architecture.patch, -1)) + weights["position"]
    for layer in range(architecture.layers):
        name = f"blocks.{layer}"
        query, key, value = (
            across(f"{name}.{part}", z).reshape(count, -1, heads, width // heads).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        attention = torch.softmax(query @ key.transpose(2, 3) / (width // heads) ** 0.5, dim=-1) @ value
        z = _normed(torch, weights, f"{name}.norm1", z + across(f"{name}.out", attention.transpose(1, 2).flatten(2)))
        raised = torch.relu(across(f"{name}.up", z))
        z = _normed(torch, weights, f"{name}.norm2", z + across(f"{name}.down", raised))
    return (z.flatten(1) @ weights["head.weight"].T + weights["head.bias"])[:, 0]


def _normed(torch: Any, weights: dict[str, Any], name: str, z: Any) -> Any:
    return torch.nn.functional.layer_norm(
        z, z.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], _NORM_EPSILON
    )


def _nhits(torch: Any, architecture: Nhits, weights: dict[str, Any], windows: Any) -> Any:
    total = 0.0
    for stack, pool in enumerate(architecture.pools):
        z = torch.nn.functional.max_pool1d(windows.transpose(1, 2), pool, pool).flatten(1)
        for layer in range(len(architecture.hidden)):
            name = f"stacks.{stack}.layers.{layer}"
            z = torch.relu(z @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
        name = f"stacks.{stack}.head"
        total = total + (z @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])[:, 0]
    return total
