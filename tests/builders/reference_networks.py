"""The formulas of domain/architectures in plain NumPy, to hold the graphs against."""

from collections.abc import Callable, Mapping

import numpy as np

from services.inference.domain.architectures import Gru, Lstm, Mlp, Nhits, PatchTst, Tcn
from services.inference.domain.model_spec import ModelSpec

Weights = Mapping[str, np.ndarray]


def logits(spec: ModelSpec, weights: Weights, inputs: np.ndarray) -> np.ndarray:
    """The logit of every sample, in float64."""
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    return np.array([_logit(spec, exact, sample) for sample in _scaled(spec, inputs)])


def _scaled(spec: ModelSpec, inputs: np.ndarray) -> np.ndarray:
    x = inputs.astype(np.float64)
    if spec.scaler is None:
        return x
    mean, deviation = np.array(spec.scaler.mean), np.array(spec.scaler.deviation)
    if spec.scaler.clip is not None:
        x = np.clip(x, mean - spec.scaler.clip * deviation, mean + spec.scaler.clip * deviation)
    return (x - mean) / deviation


def _logit(spec: ModelSpec, weights: Weights, x: np.ndarray) -> float:
    match spec.architecture:
        case Mlp(hidden=hidden):
            return _dense(weights, "layers", x, len(hidden))
        case Lstm() | Gru():
            return _recurrent(spec.architecture, weights, x)
        case Tcn():
            return _tcn(spec.architecture, weights, x)
        case PatchTst():
            return _patch_tst(spec.architecture, weights, x)
        case Nhits():
            return _nhits(spec.architecture, weights, x)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _dense(weights: Weights, name: str, x: np.ndarray, hidden: int) -> float:
    for layer in range(hidden):
        x = _relu(weights[f"{name}.{layer}.weight"] @ x + weights[f"{name}.{layer}.bias"])
    return _head(weights, f"{name}.{hidden}", x)


def _head(weights: Weights, name: str, x: np.ndarray) -> float:
    return float((weights[f"{name}.weight"] @ x + weights[f"{name}.bias"])[0])


def _recurrent(architecture: Lstm | Gru, weights: Weights, x: np.ndarray) -> float:
    step: Callable[..., np.ndarray] = _lstm_layer if isinstance(architecture, Lstm) else _gru_layer
    for layer in range(architecture.layers):
        x = step(*(weights[f"rnn.{layer}.{part}"][0] for part in "WRB"), x)
    return _head(weights, "head", x[-1])


def _lstm_layer(w: np.ndarray, r: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    size = r.shape[1]
    h, c, outputs = np.zeros(size), np.zeros(size), []
    for row in x:
        gates = w @ row + b[: 4 * size] + r @ h + b[4 * size :]
        i, o, f, g = np.split(gates, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def _gru_layer(w: np.ndarray, r: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    size = r.shape[1]
    h, outputs = np.zeros(size), []
    for row in x:
        wz, wr, wh = np.split(w @ row + b[: 3 * size], 3)
        rz, rr, rh = np.split(r @ h + b[3 * size :], 3)
        z, reset = _sigmoid(wz + rz), _sigmoid(wr + rr)
        h = (1 - z) * np.tanh(wh + reset * rh) + z * h
        outputs.append(h)
    return np.array(outputs)


def _tcn(architecture: Tcn, weights: Weights, x: np.ndarray) -> float:
    for level in range(architecture.levels):
        seen = _relu(_causal(x, weights[f"conv.{level}.weight"], 2**level) + weights[f"conv.{level}.bias"])
        x = x + seen if level else seen
    return _head(weights, "head", x[-1])


def _causal(x: np.ndarray, weight: np.ndarray, dilation: int) -> np.ndarray:
    kernel = weight.shape[2]
    padded = np.concatenate((np.zeros(((kernel - 1) * dilation, x.shape[1])), x))
    return sum(padded[tap * dilation : tap * dilation + len(x)] @ weight[:, :, tap].T for tap in range(kernel))


def _patch_tst(architecture: PatchTst, weights: Weights, x: np.ndarray) -> float:
    patches = x.reshape(len(x) // architecture.patch, -1)
    z = _affine(weights, "embed", patches) + weights["position"]
    for layer in range(architecture.layers):
        name = f"blocks.{layer}"
        z = _norm(weights, f"{name}.norm1", z + _attention(architecture, weights, name, z))
        fed = _affine(weights, f"{name}.down", _relu(_affine(weights, f"{name}.up", z)))
        z = _norm(weights, f"{name}.norm2", z + fed)
    return _head(weights, "head", z.reshape(-1))


def _attention(architecture: PatchTst, weights: Weights, name: str, z: np.ndarray) -> np.ndarray:
    query, key, value = (_affine(weights, f"{name}.{part}", z) for part in ("query", "key", "value"))
    depth, mixed = architecture.width // architecture.heads, []
    for head in range(architecture.heads):
        columns = slice(head * depth, (head + 1) * depth)
        scores = query[:, columns] @ key[:, columns].T / np.sqrt(depth)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, columns])
    return _affine(weights, f"{name}.out", np.concatenate(mixed, axis=1))


def _affine(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _norm(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _nhits(architecture: Nhits, weights: Weights, x: np.ndarray) -> float:
    total = 0.0
    for stack, pool in enumerate(architecture.pools):
        whole = len(x) // pool
        pooled = x[: whole * pool].reshape(whole, pool, -1).max(axis=1)
        seen = pooled.T.reshape(-1)
        for layer in range(len(architecture.hidden)):
            name = f"stacks.{stack}.layers.{layer}"
            seen = _relu(weights[f"{name}.weight"] @ seen + weights[f"{name}.bias"])
        total += _head(weights, f"stacks.{stack}.head", seen)
    return total
