"""What an ONNX file contains, read from its bytes before any runtime touches it.

A model file is a protobuf; only the fields that matter here are walked: the operators of the graph and of its
subgraphs, functions of its own, and tensors that live in other files. Field numbers are those of onnx.proto.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from services.inference.adapters.onnx_operators import OPERATORS
from services.inference.domain.errors import ModelRefused, Refusal

_MODEL_GRAPH, _MODEL_METADATA, _MODEL_FUNCTIONS = 7, 14, 25
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_KIND, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_DOUBLES = 2, 4, 8, 9, 10
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_REALS: dict[int, type[np.floating[Any]]] = {1: np.float32, 10: np.float16, 11: np.float64}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 8


class Contents(NamedTuple):
    """Operators by name, with their domain in front when it is not ONNX's own; what reaches outside; NaN in weights."""

    operators: frozenset[str]
    has_external_data: bool
    has_functions: bool
    metadata: dict[str, str]
    is_not_finite: bool


def contents(payload: bytes) -> Contents:
    """Read a model file; raises ModelRefused when it is no protobuf, or nests too deep."""
    try:
        return _contents(memoryview(payload))
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ModelRefused(Refusal.UNREADABLE, "The file is no ONNX model.") from error


def check_graph(payload: bytes) -> None:
    """Raise ModelRefused for operators that are not on the list, and for what reaches outside the graph."""
    graph = contents(payload)
    strange = sorted(graph.operators - OPERATORS)
    if strange:
        raise ModelRefused(Refusal.OPERATOR, f"Operators that are not run here: {', '.join(strange)[:300]}.")
    if graph.has_external_data:
        raise ModelRefused(Refusal.EXTERNAL_DATA, "The model keeps tensors in other files.")
    if graph.has_functions:
        raise ModelRefused(Refusal.FUNCTIONS, "The model brings functions of its own.")
    if graph.is_not_finite:
        raise ModelRefused(Refusal.NOT_FINITE, "The model has a weight that is no finite number.")


def _contents(model: memoryview) -> Contents:
    operators: set[str] = set()
    external = functions = not_finite = False
    metadata: dict[str, str] = {}
    graphs: list[tuple[memoryview, int]] = []
    for number, value in _fields(model):
        functions |= number == _MODEL_FUNCTIONS
        if number == _MODEL_GRAPH:
            graphs.append((_message(value), 0))
        elif number == _MODEL_METADATA:
            entry = {each: str(_message(text), "utf-8") for each, text in _fields(_message(value))}
            metadata[entry.get(_ENTRY_KEY, "")] = entry.get(_ENTRY_VALUE, "")
    if not graphs:
        raise ValueError("no graph")
    while graphs:
        graph, depth = graphs.pop()
        if depth > _DEEPEST:
            raise ValueError("too deep")
        for number, value in _fields(graph):
            if number == _GRAPH_NODE:
                inner, outside = _read_node(_message(value), operators)
                graphs += [(subgraph, depth + 1) for subgraph in inner]
                external |= outside
            elif number == _GRAPH_INITIALIZER:
                external |= _is_external(_message(value))
                not_finite |= _is_not_finite(_message(value))
    return Contents(frozenset(operators), external, functions, metadata, not_finite)


def _read_node(node: memoryview, operators: set[str]) -> tuple[list[memoryview], bool]:
    """Note the operator; gives the subgraphs, and whether a tensor lives elsewhere."""
    name = domain = ""
    graphs: list[memoryview] = []
    external = False
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            name = str(_message(value), "utf-8")
        elif number == _NODE_DOMAIN:
            domain = str(_message(value), "utf-8")
        elif number == _NODE_ATTRIBUTE:
            inner, outside = _read_attribute(_message(value))
            graphs += inner
            external |= outside
    operators.add(f"{domain}.{name}" if domain not in ("", "ai.onnx") else name)
    return graphs, external


def _read_attribute(attribute: memoryview) -> tuple[list[memoryview], bool]:
    graphs: list[memoryview] = []
    external = False
    for number, value in _fields(attribute):
        if number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            graphs.append(_message(value))
        elif number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            external |= _is_external(_message(value))
    return graphs, external


def _is_external(tensor: memoryview) -> bool:
    return any(
        number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0) for number, value in _fields(tensor)
    )


def _is_not_finite(tensor: memoryview) -> bool:
    """Whether a tensor of real numbers, in either of the two ways of writing them, has one that is not finite."""
    fields = dict(_fields(tensor))
    kind = _REALS.get(cast("int", fields.get(_TENSOR_KIND, 0)))
    raw = fields.get(_TENSOR_RAW)
    if kind is None:
        return False
    if isinstance(raw, memoryview):
        return not np.isfinite(np.frombuffer(raw, kind)).all()
    written = ((_TENSOR_FLOATS, np.float32), (_TENSOR_DOUBLES, np.float64))
    packed = ((fields.get(number), wide) for number, wide in written)
    return any(
        isinstance(part, memoryview) and not np.isfinite(np.frombuffer(part, wide)).all() for part, wide in packed
    )


def _message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("expected a message, was a number")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers and values of a protobuf message: bytes as views, numbers as int."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == _VARINT:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        size, position = _size(message, position, wire_type)
        if position + size > len(message):
            raise ValueError("truncated")
        yield key >> 3, message[position : position + size]
        position += size


def _size(message: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == _BYTES:
        return _varint(message, position)
    if wire_type == _FIXED32:
        return 4, position
    if wire_type == _FIXED64:
        return 8, position
    raise ValueError("unknown wire type")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("number too long")
