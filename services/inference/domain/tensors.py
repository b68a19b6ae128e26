"""Tensors of the Open Inference Protocol: named arrays whose bytes are read where they lie, without a copy."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from services.inference.domain.model import TensorSpec
from trading.errors import InvalidArgument

Array = npt.NDArray[Any]
Float32s = npt.NDArray[np.float32]

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes whose elements are numbers; BF16 and BYTES, which the protocol has too, are none here."""
_NAMES = {kind.name: datatype for datatype, kind in DATATYPES.items()}
MOST_DIMENSIONS = 8
_WIDEST = {"i": np.dtype(np.int64), "u": np.dtype(np.uint64)}


class TensorFault(StrEnum):
    """Why a tensor is refused; the value is the error's reason."""

    NAME = "TENSOR_NAME"
    """The model has no such tensor, or it is missing, or it came twice."""
    DATATYPE = "TENSOR_DATATYPE"
    """Elements of a kind that are no numbers here."""
    SHAPE = "TENSOR_SHAPE"
    """A shape that the model does not take."""
    SIZE = "TENSOR_SIZE"
    """More or fewer elements than the shape says."""
    VALUE = "TENSOR_VALUE"
    """An element that its datatype cannot hold, or that is no finite number."""
    PARAMETER = "TENSOR_PARAMETER"
    """A parameter that asks for what is not served here."""


class TensorRefused(InvalidArgument):
    """A tensor that cannot go in or come out; `tensor` and `field` in the metadata say which."""

    REASON = "TENSOR_REFUSED"

    def __init__(self, why: TensorFault, message: str, /, tensor: str, **metadata: object) -> None:
        super().__init__(message, reason=why, tensor=tensor, field=f"inputs.{tensor}", **metadata)
        self.why = why


class Tensor(NamedTuple):
    """A named array of a datatype."""

    name: str
    datatype: str
    array: Array


def from_bytes(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Tensor:
    """A tensor over little-endian, row-major bytes, which it does not copy; raises TensorRefused."""
    kind = dtype_of(name, datatype)
    expected = elements_in(name, shape) * kind.itemsize
    if len(raw) != expected:
        raise TensorRefused(
            TensorFault.SIZE,
            f"Expected {expected} bytes for {datatype} of {list(shape)} in {name!r}, was {len(raw)}.",
            tensor=name,
        )
    if datatype == "BOOL":  # any byte but 0 is true, and NumPy trusts that there are no others than 1
        return Tensor(name, datatype, (np.frombuffer(raw, np.uint8) != 0).reshape(shape))
    return Tensor(name, datatype, np.frombuffer(raw, kind).reshape(shape))


def from_values(name: str, datatype: str, shape: Sequence[int], values: Sequence[Any]) -> Tensor:
    """A tensor of numbers in row-major order; raises TensorRefused."""
    kind = dtype_of(name, datatype)
    expected = elements_in(name, shape)
    if len(values) != expected:
        raise TensorRefused(
            TensorFault.SIZE,
            f"Expected {expected} elements for {list(shape)} in {name!r}, was {len(values)}.",
            tensor=name,
        )
    try:
        return Tensor(name, datatype, _held(values, kind).reshape(shape))
    except (OverflowError, ValueError, TypeError) as error:
        raise TensorRefused(
            TensorFault.VALUE, f"An element of {name!r} is no {datatype}: {error}", tensor=name
        ) from error


def _held(values: Sequence[Any], kind: np.dtype[Any]) -> Array:
    """The values as an array; raises OverflowError when one does not fit, where NumPy may wrap it around."""
    wide = np.array(values, _WIDEST.get(kind.kind, kind))
    narrow: Array = wide.astype(kind)
    if kind.kind in "iu" and (narrow != wide).any():
        raise OverflowError(f"{wide[narrow != wide][0]} is out of its range")
    return narrow


def float32_of(tensor: Tensor, spec: TensorSpec) -> Float32s:
    """The elements as float32, without a copy when they are; raises TensorRefused.

    Every other datatype of numbers is rounded to float32; what has no finite float32 is refused.
    """
    if not _fits(tensor.array.shape, spec.shape):
        raise TensorRefused(
            TensorFault.SHAPE,
            f"Expected the shape {list(spec.shape)} of {tensor.name!r}, was {list(tensor.array.shape)}.",
            tensor=tensor.name,
        )
    with np.errstate(over="ignore"):
        numbers: Float32s = tensor.array.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all():
        raise TensorRefused(
            TensorFault.VALUE,
            f"Expected finite numbers of float32 in {tensor.name!r}, was one that is not.",
            tensor=tensor.name,
        )
    return numbers


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(size in (-1, was) for size, was in zip(wanted, shape, strict=True))


def datatype_of(kind: str) -> str:
    """The protocol's name of a NumPy kind of numbers, such as FP32 of float32."""
    return _NAMES[kind]


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """NumPy's name of a datatype; raises TensorRefused."""
    kind = DATATYPES.get(datatype)
    if kind is None:
        raise TensorRefused(
            TensorFault.DATATYPE,
            f"Expected one of {', '.join(DATATYPES)} as the datatype of {name!r}, was {datatype!r}.",
            tensor=name,
        )
    return kind


def elements_in(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape has; raises TensorRefused when it can be none."""
    if not 0 < len(shape) <= MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise TensorRefused(
            TensorFault.SHAPE,
            f"Expected 1 to {MOST_DIMENSIONS} dimensions from 0 in {name!r}, was {list(shape)}.",
            tensor=name,
        )
    return math.prod(shape)
