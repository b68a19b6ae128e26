"""What the numbers of a graph are: the file's own bytes, halves, or eight bits with their scales.

float32 and float16 weights stay in the safetensors file, which the runtime maps; what has to be computed from them
goes into the model's bytes. Int8 is static: weights symmetric per output, activations by the range that the golden
samples span (Jacob et al. 2018), written as pairs of QuantizeLinear and DequantizeLinear around every product but
the last, whose logits stay exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from services.inference.adapters.onnx_encoder import FLOAT32, GraphWriter
from services.inference.adapters.safetensors_file import SafetensorsFile, array_of

_LEVELS = 255
_LARGEST_INT8 = 127
_SMALLEST_SCALE = 1e-12


class Range(NamedTuple):
    """The least and the greatest value of a point."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stored:
    """Weights as the file has them, computed with in float32, or in float16 on a device that can.

    `narrow` rounds float32 weights to float16 first. `location` is the file's name in the folder that the runtime
    looks in.
    """

    file: SafetensorsFile
    content: memoryview
    location: str
    narrow: bool = False
    half: bool = False

    def exact(self, graph: GraphWriter, name: str) -> str:
        """The weight where it lies, or its half."""
        tensor = self.file.tensors[name]
        if tensor.dtype == np.float32 and self.narrow:
            stored = graph.constant(name, array_of(self.content, tensor).astype(np.float16))
        else:
            stored = graph.external(name, tensor.dtype, tensor.shape, self.location, tensor.offset, tensor.length)
        widened = not self.half and (self.narrow or tensor.dtype == np.float16)
        return graph.node("Cast", [stored], to=FLOAT32) if widened else stored

    def weight(self, graph: GraphWriter, name: str, axis: int) -> str:
        """The same."""
        return self.exact(graph, name)

    def bias(self, graph: GraphWriter, name: str, product: str) -> str:
        """The same."""
        return self.exact(graph, name)

    def seen(self, graph: GraphWriter, value: str, point: str) -> str:
        """Left as it is."""
        return value


@dataclass(frozen=True, slots=True)
class Watched:
    """Stored weights, with every point as an output of the graph: `points` says which."""

    stored: Stored
    points: dict[str, str] = field(default_factory=dict)
    half: bool = False

    def exact(self, graph: GraphWriter, name: str) -> str:
        """As stored."""
        return self.stored.exact(graph, name)

    def weight(self, graph: GraphWriter, name: str, axis: int) -> str:
        """As stored."""
        return self.stored.exact(graph, name)

    def bias(self, graph: GraphWriter, name: str, product: str) -> str:
        """As stored."""
        return self.stored.exact(graph, name)

    def seen(self, graph: GraphWriter, value: str, point: str) -> str:
        """Noted, and made an output unless it is one."""
        if value not in self.points.values():
            graph.output(value)
        self.points[point] = value
        return value


@dataclass(frozen=True, slots=True)
class Quantised:
    """Eight-bit weights and activations; `ranges` by point."""

    stored: Stored
    ranges: Mapping[str, Range]
    scales: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    half: bool = False

    def exact(self, graph: GraphWriter, name: str) -> str:
        """As stored."""
        return self.stored.exact(graph, name)

    def weight(self, graph: GraphWriter, name: str, axis: int) -> str:
        """Signed eight bits, one scale for each output."""
        values = self._values(name)
        others = tuple(each for each in range(values.ndim) if each != axis)
        scale = np.maximum(np.abs(values).max(axis=others) / _LARGEST_INT8, _SMALLEST_SCALE).astype(np.float32)
        spread = scale.reshape([-1 if each == axis else 1 for each in range(values.ndim)])
        rounded = np.clip(np.rint(values / spread), -_LARGEST_INT8, _LARGEST_INT8).astype(np.int8)
        self.scales[name] = scale
        inputs = [
            graph.constant(f"{name}.int8", rounded),
            graph.constant(f"{name}.scale", scale),
            graph.constant(f"{name}.zero", np.zeros(len(scale), np.int8)),
        ]
        return graph.node("DequantizeLinear", inputs, axis=axis)

    def bias(self, graph: GraphWriter, name: str, product: str) -> str:
        """Signed 32 bits on the scale of the products, so that whole numbers add up."""
        scale = self.scales[f"{product}.weight"] * _step(self.ranges[f"{product}.in"])
        rounded = np.rint(self._values(name).astype(np.float64) / scale)
        bounded = np.clip(rounded, np.iinfo(np.int32).min, np.iinfo(np.int32).max).astype(np.int32)
        inputs = [
            graph.constant(f"{name}.int32", bounded),
            graph.constant(f"{name}.scale", scale.astype(np.float32)),
            graph.constant(f"{name}.zero", np.zeros(len(scale), np.int32)),
        ]
        return graph.node("DequantizeLinear", inputs, axis=0)

    def seen(self, graph: GraphWriter, value: str, point: str) -> str:
        """Rounded to one of 256 steps over the point's range."""
        found = self.ranges[point]
        step = _step(found)
        zero = np.uint8(np.clip(round(-min(found.low, 0.0) / step), 0, _LEVELS))
        scale = graph.constant(f"{point}.scale", np.array(step, np.float32))
        origin = graph.constant(f"{point}.zero", np.array(zero))
        return graph.node("DequantizeLinear", [graph.node("QuantizeLinear", [value, scale, origin]), scale, origin])

    def _values(self, name: str) -> npt.NDArray[np.floating[Any]]:
        return array_of(self.stored.content, self.stored.file.tensors[name]).astype(np.float32)


def _step(found: Range) -> float:
    """The width of one of 255 steps over a range that takes in zero."""
    return max((max(found.high, 0.0) - min(found.low, 0.0)) / _LEVELS, _SMALLEST_SCALE)
