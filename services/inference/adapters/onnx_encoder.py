"""Writes an ONNX model as bytes: the small part of onnx.proto that our graphs need, without the `onnx` package.

A model file is a protobuf; field numbers are those of onnx.proto. Tensors are written inline, or as a reference to
bytes of another file, which ONNX Runtime maps instead of copying.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

OPSET, IR_VERSION = 21, 10
_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_MASK = (1 << 64) - 1
_TENSOR_KINDS: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): 1,
    np.dtype(np.uint8): 2,
    np.dtype(np.int8): 3,
    np.dtype(np.int32): 6,
    np.dtype(np.int64): 7,
    np.dtype(np.float16): 10,
}
FLOAT32, FLOAT16 = _TENSOR_KINDS[np.dtype(np.float32)], _TENSOR_KINDS[np.dtype(np.float16)]
_EXTERNAL = 1

Attribute = int | float | str | Sequence[int]


class GraphWriter:
    """A graph in the making: nodes in the order of the computation, and the tensors they need."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._ends: list[bytes] = []
        self._outputs: list[bytes] = []

    def node(
        self, operator: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Attribute
    ) -> str:
        """Add a node; gives its last output's name, a new one unless named. "" leaves an input or output out."""
        named = list(outputs) or [f"t{len(self._nodes)}"]
        parts = [_text(1, each) for each in inputs] + [_text(2, each) for each in named]
        parts += [_text(4, operator), *(_bytes(5, _attribute(key, value)) for key, value in attributes.items())]
        self._nodes.append(b"".join(parts))
        return named[-1]

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """A tensor inside the model; gives its name."""
        array = np.ascontiguousarray(value).reshape(value.shape)
        self._tensors.append(_tensor_head(name, array.dtype, array.shape) + _bytes(9, array.tobytes()))
        return name

    def external(
        self, name: str, dtype: np.dtype[Any], shape: Sequence[int], location: str, offset: int, length: int
    ) -> str:
        """A tensor that lies in the file `location` beside the model; gives its name."""
        facts = {"location": location, "offset": str(offset), "length": str(length)}
        entries = (_bytes(13, _text(1, key) + _text(2, value)) for key, value in facts.items())
        self._tensors.append(_tensor_head(name, dtype, shape) + b"".join(entries) + _number(14, _EXTERNAL))
        return name

    def input(self, name: str, shape: Sequence[int | str], kind: int = FLOAT32) -> str:
        """A tensor that goes in; a name in the shape is a size that each run chooses."""
        self._ends.append(_bytes(11, _value_info(name, shape, kind)))
        return name

    def output(self, name: str, shape: Sequence[int | str] | None = None, kind: int = FLOAT32) -> None:
        """A tensor that comes out."""
        self._ends.append(_bytes(12, _value_info(name, shape, kind)))

    def model(self) -> bytes:
        """The whole model file."""
        graph = b"".join((*(_bytes(1, each) for each in self._nodes), _text(2, self._name)))
        graph += b"".join((*(_bytes(5, each) for each in self._tensors), *self._ends))
        opset = _text(1, "") + _number(2, OPSET)
        return _number(1, IR_VERSION) + _text(2, "neural-trader") + _bytes(7, graph) + _bytes(8, opset)


def _tensor_head(name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    return b"".join(_number(1, size) for size in shape) + _number(2, _TENSOR_KINDS[dtype]) + _text(8, name)


def _value_info(name: str, shape: Sequence[int | str] | None, kind: int) -> bytes:
    tensor = _number(1, kind)
    if shape is not None:
        tensor += _bytes(2, b"".join(_bytes(1, _dimension(size)) for size in shape))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _dimension(size: int | str) -> bytes:
    return _number(1, size) if isinstance(size, int) else _text(2, size)


def _attribute(name: str, value: Attribute) -> bytes:
    """An AttributeProto; its type is told by Python's."""
    match value:
        case int():
            body = _number(3, value) + _number(20, 2)
        case float():
            body = _key(2, _FIXED32) + struct.pack("<f", value) + _number(20, 1)
        case str():
            body = _text(4, value) + _number(20, 3)
        case _:
            body = b"".join(_number(8, each) for each in value) + _number(20, 7)
    return _text(1, name) + body


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value & _MASK)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    return bytes(_sevens(value))


def _sevens(value: int) -> Iterable[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
