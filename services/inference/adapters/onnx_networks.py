"""The ONNX graph of each architecture; what its numbers are made of is the business of `onnx_weights`.

`features` (n, F) or (n, T, F) float32 go in raw, `logit` (n, 1) float32 comes out. Formulas: domain/architectures.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from services.inference.adapters.onnx_encoder import FLOAT16, FLOAT32, GraphWriter
from services.inference.domain.architectures import Architecture, Gru, Lstm, Mlp, Nhits, PatchTst, Tcn, kind
from services.inference.domain.model_spec import ModelSpec, Scaler

INPUT, OUTPUT = "features", "logit"
_LAYER_NORM_EPSILON = 1e-5
_FEW_FEATURES = 64
"""Up to this many, a product with a diagonal costs next to nothing."""
_NEAR, _TINY = 8, 1e-30
"""Deviations between 0 and a mean, beyond which x/σ − μ/σ loses digits that (x − μ)/σ keeps; and too small a σ."""


class Numbers(Protocol):
    """How weights enter a graph, and what happens to a value on its way into and out of a product."""

    @property
    def half(self) -> bool:
        """Everything between the scaler and the logit is computed in float16."""
        ...

    def exact(self, graph: GraphWriter, name: str) -> str:
        """A weight as precisely as the file has it."""
        ...

    def weight(self, graph: GraphWriter, name: str, axis: int) -> str:
        """A weight of a product whose outputs lie along `axis`."""
        ...

    def bias(self, graph: GraphWriter, name: str, product: str) -> str:
        """The bias of a product."""
        ...

    def seen(self, graph: GraphWriter, value: str, point: str) -> str:
        """A value at a named point of the computation."""
        ...


def network(spec: ModelSpec, numbers: Numbers) -> bytes:
    """The model file of a spec."""
    graph = GraphWriter(kind(spec.architecture))
    x = graph.input(INPUT, ["n", *spec.sample_shape])
    if spec.scaler is not None:
        x = _scaled(graph, x, spec.scaler, flat=len(spec.sample_shape) == 1)
    if numbers.half:
        x = graph.node("Cast", [x], to=FLOAT16)
    logit = _Network(graph, numbers, spec).logit(spec.architecture, x)
    if numbers.half:
        graph.node("Cast", [logit], outputs=[OUTPUT], to=FLOAT32)
    else:
        graph.node("Identity", [logit], outputs=[OUTPUT])
    graph.output(OUTPUT, ["n", 1])
    return graph.model()


def _scaled(graph: GraphWriter, x: str, scaler: Scaler, *, flat: bool) -> str:
    mean, deviation = np.array(scaler.mean, np.float32), np.array(scaler.deviation, np.float32)
    if flat and len(mean) <= _FEW_FEATURES and (np.maximum(np.abs(mean) / _NEAR, _TINY) <= deviation).all():
        return _scaled_at_once(graph, x, scaler)
    if scaler.clip is not None:
        reach = np.float32(scaler.clip) * deviation
        x = graph.node("Max", [x, graph.constant("scaler.low", mean - reach)])
        x = graph.node("Min", [x, graph.constant("scaler.high", mean + reach)])
    x = graph.node("Sub", [x, graph.constant("scaler.mean", mean)])
    return graph.node("Div", [x, graph.constant("scaler.deviation", deviation)])


def _scaled_at_once(graph: GraphWriter, x: str, scaler: Scaler) -> str:
    """The same as one product with a diagonal, a tenth of the time: the runtime broadcasts a row by a row.

    Clipping afterwards is by one number for all. The clip before keeps an infinite value out of the other features.
    """
    mean, factor = np.array(scaler.mean), 1 / np.array(scaler.deviation)
    if scaler.clip is not None:
        x = _clipped(graph, x, "scaler.most", float(np.finfo(np.float32).max))
    diagonal = graph.constant("scaler.factors", np.diag(factor).astype(np.float32))
    x = graph.node("Gemm", [x, diagonal, graph.constant("scaler.shift", (-mean * factor).astype(np.float32))])
    return x if scaler.clip is None else _clipped(graph, x, "scaler.clip", scaler.clip)


def _clipped(graph: GraphWriter, x: str, name: str, reach: float) -> str:
    low = graph.constant(f"{name}.low", np.array(-reach, np.float32))
    return graph.node("Clip", [x, low, graph.constant(f"{name}.high", np.array(reach, np.float32))])


class _Network:
    """Adds the nodes of one network to a graph."""

    def __init__(self, graph: GraphWriter, numbers: Numbers, spec: ModelSpec) -> None:
        self._graph = graph
        self._numbers = numbers
        self._features = len(spec.features)
        self._window = spec.window

    def logit(self, architecture: Architecture, x: str) -> str:
        """The value (n, 1) of an architecture over x."""
        match architecture:
            case Mlp():
                return self._mlp(x, architecture)
            case Lstm() | Gru():
                return self._recurrent(x, architecture)
            case Tcn():
                return self._convolutions(x, architecture)
            case PatchTst():
                return self._patches(x, architecture)
            case Nhits():
                return self._stacks(x, architecture)

    def _mlp(self, x: str, architecture: Mlp) -> str:
        for layer in range(len(architecture.hidden)):
            x = self._linear(x, f"layers.{layer}")
        return self._head(x, f"layers.{len(architecture.hidden)}")

    def _recurrent(self, x: str, architecture: Lstm | Gru) -> str:
        x = self._graph.node("Transpose", [x], perm=[1, 0, 2])
        operator = type(architecture).__name__.upper()
        attributes = {"linear_before_reset": 1} if isinstance(architecture, Gru) else {}
        for layer in range(architecture.layers):
            weights = [self._numbers.exact(self._graph, f"rnn.{layer}.{part}") for part in "WRB"]
            last = layer == architecture.layers - 1
            outputs = [f"rnn.{layer}.all", f"rnn.{layer}.last"]
            named = ["", outputs[1]] if last else outputs[:1]
            self._graph.node(operator, [x, *weights], outputs=named, hidden_size=architecture.hidden, **attributes)
            axis = self._whole(f"rnn.{layer}.axis", [0 if last else 1])
            x = self._graph.node("Squeeze", [named[-1], axis])
        return self._head(x, "head")

    def _convolutions(self, x: str, architecture: Tcn) -> str:
        x = self._graph.node("Transpose", [x], perm=[0, 2, 1])
        for level in range(architecture.levels):
            seen = self._convolution(x, f"conv.{level}", architecture.kernel, 2**level)
            x = self._graph.node("Add", [x, seen]) if level else seen
        x = self._graph.node("Gather", [x, self._graph.constant("last", np.array(self._window - 1))], axis=2)
        return self._head(x, "head")

    def _patches(self, x: str, architecture: PatchTst) -> str:
        patches, width = self._window // architecture.patch, architecture.width
        x = self._reshaped(x, "patches", [0, patches, architecture.patch * self._features])
        x = self._across(x, "embed")
        x = self._graph.node("Add", [x, self._numbers.exact(self._graph, "position")])
        for layer in range(architecture.layers):
            x = self._block(x, f"blocks.{layer}", patches, architecture)
        return self._head(self._reshaped(x, "flat", [0, patches * width]), "head")

    def _block(self, x: str, name: str, patches: int, architecture: PatchTst) -> str:
        attended = self._attention(x, name, patches, architecture)
        x = self._normed(self._graph.node("Add", [x, attended]), f"{name}.norm1")
        fed = self._across(self._across(x, f"{name}.up", relu=True), f"{name}.down")
        return self._normed(self._graph.node("Add", [x, fed]), f"{name}.norm2")

    def _attention(self, x: str, name: str, patches: int, architecture: PatchTst) -> str:
        heads, depth = architecture.heads, architecture.width // architecture.heads
        query, key, value = (
            self._graph.node(
                "Transpose",
                [self._reshaped(self._across(x, f"{name}.{part}"), f"{name}.{part}.heads", [0, patches, heads, depth])],
                perm=order,
            )
            for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]))
        )
        kind = np.float16 if self._numbers.half else np.float32
        scale = self._graph.constant(f"{name}.scale", np.array(1 / math.sqrt(depth), kind))
        scores = self._graph.node("Mul", [self._graph.node("MatMul", [query, key]), scale])
        mixed = self._graph.node("MatMul", [self._graph.node("Softmax", [scores], axis=-1), value])
        together = self._graph.node("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self._across(self._reshaped(together, f"{name}.joined", [0, patches, heads * depth]), f"{name}.out")

    def _stacks(self, x: str, architecture: Nhits) -> str:
        x = self._graph.node("Transpose", [x], perm=[0, 2, 1])
        logits = []
        for stack, pool in enumerate(architecture.pools):
            seen = self._graph.node("MaxPool", [x], kernel_shape=[pool], strides=[pool]) if pool > 1 else x
            seen = self._graph.node("Flatten", [seen], axis=1)
            for layer in range(len(architecture.hidden)):
                seen = self._linear(seen, f"stacks.{stack}.layers.{layer}")
            logits.append(self._head(seen, f"stacks.{stack}.head"))
        return self._graph.node("Sum", logits)

    def _linear(self, x: str, name: str) -> str:
        """σ(x·Wᵀ + b)"""
        x = self._numbers.seen(self._graph, x, f"{name}.in")
        weight, bias = self._numbers.weight(self._graph, f"{name}.weight", 0), self._bias(name)
        y = self._graph.node("Relu", [self._graph.node("Gemm", [x, weight, bias], transB=1)])
        return self._numbers.seen(self._graph, y, f"{name}.out")

    def _across(self, x: str, name: str, *, relu: bool = False) -> str:
        """x·W + b over the last axis of a sequence, with σ when asked."""
        x = self._numbers.seen(self._graph, x, f"{name}.in")
        weight = self._numbers.weight(self._graph, f"{name}.weight", 1)
        bias = self._numbers.exact(self._graph, f"{name}.bias")
        y = self._graph.node("Add", [self._graph.node("MatMul", [x, weight]), bias])
        return self._graph.node("Relu", [y]) if relu else y

    def _convolution(self, x: str, name: str, kernel: int, dilation: int) -> str:
        x = self._numbers.seen(self._graph, x, f"{name}.in")
        weight, bias = self._numbers.weight(self._graph, f"{name}.weight", 0), self._bias(name)
        pads = [(kernel - 1) * dilation, 0]
        y = self._graph.node("Conv", [x, weight, bias], kernel_shape=[kernel], dilations=[dilation], pads=pads)
        return self._numbers.seen(self._graph, self._graph.node("Relu", [y]), f"{name}.out")

    def _head(self, x: str, name: str) -> str:
        weight, bias = (self._numbers.exact(self._graph, f"{name}.{part}") for part in ("weight", "bias"))
        return self._graph.node("Gemm", [x, weight, bias], transB=1)

    def _normed(self, x: str, name: str) -> str:
        scale, shift = (self._numbers.exact(self._graph, f"{name}.{part}") for part in ("weight", "bias"))
        return self._graph.node("LayerNormalization", [x, scale, shift], axis=-1, epsilon=_LAYER_NORM_EPSILON)

    def _bias(self, name: str) -> str:
        return self._numbers.bias(self._graph, f"{name}.bias", name)

    def _reshaped(self, x: str, name: str, shape: Sequence[int]) -> str:
        return self._graph.node("Reshape", [x, self._whole(f"{name}.shape", shape)])

    def _whole(self, name: str, values: Sequence[int]) -> str:
        return self._graph.constant(name, np.array(values, np.int64))
