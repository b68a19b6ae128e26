"""Bytes and numbers become arrays, or are refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.tensors import (
    DATATYPES,
    Tensor,
    TensorFault,
    TensorRefused,
    TensorSpec,
    float32_of,
    from_bytes,
    from_values,
)

SPEC = TensorSpec("features", "FP32", (-1, 3))


def refusal(raised: pytest.ExceptionInfo[TensorRefused]) -> tuple[TensorFault, str]:
    return raised.value.why, str(raised.value.metadata["tensor"])


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_bytes_of_every_datatype_are_read_as_they_were_written(datatype: str) -> None:
    numbers = np.array([[0, 1, 1], [1, 0, 1]]).astype(DATATYPES[datatype])
    tensor = from_bytes("features", datatype, (2, 3), numbers.tobytes())
    assert tensor.array.dtype == DATATYPES[datatype]
    assert tensor.array.tolist() == numbers.tolist()
    assert float32_of(tensor, SPEC).tolist() == [[0, 1, 1], [1, 0, 1]]


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=30).map(
        lambda found: found[: len(found) // 3 * 3]
    )
)
def test_single_precision_goes_through_bit_by_bit_and_without_a_copy(numbers: list[float]) -> None:
    raw = np.array(numbers, np.float32).tobytes()
    tensor = from_bytes("features", "FP32", (len(numbers) // 3, 3), raw)
    found = float32_of(tensor, SPEC)
    assert found.tobytes() == raw
    assert np.shares_memory(found, np.frombuffer(raw, np.uint8))


def test_a_byte_above_one_is_true() -> None:
    tensor = from_bytes("features", "BOOL", (1, 3), b"\x00\x02\xff")
    assert float32_of(tensor, SPEC).tolist() == [[0, 1, 1]]


def test_no_rows_are_rows_too() -> None:
    assert float32_of(from_bytes("features", "FP32", (0, 3), b""), SPEC).shape == (0, 3)


@pytest.mark.parametrize("size", [0, 23, 25, 48])
def test_bytes_that_do_not_fill_the_shape_are_refused(size: int) -> None:
    with pytest.raises(TensorRefused, match="Expected 24 bytes for FP32 of \\[2, 3\\] in 'features', was") as raised:
        from_bytes("features", "FP32", (2, 3), bytes(size))
    assert refusal(raised) == (TensorFault.SIZE, "features")


def test_numbers_that_do_not_fill_the_shape_are_refused() -> None:
    with pytest.raises(TensorRefused, match="Expected 6 elements") as raised:
        from_values("features", "FP32", (2, 3), [1.0])
    assert refusal(raised) == (TensorFault.SIZE, "features")


@pytest.mark.parametrize("datatype", ["BYTES", "BF16", "fp32", "FP8", ""])
def test_what_is_no_number_is_refused(datatype: str) -> None:
    with pytest.raises(TensorRefused, match="Expected one of BOOL") as raised:
        from_bytes("features", datatype, (1,), b"\x00")
    assert refusal(raised) == (TensorFault.DATATYPE, "features")


@pytest.mark.parametrize("shape", [(), (-1, 3), (1, 1, 1, 1, 1, 1, 1, 1, 1)])
def test_a_shape_that_cannot_be_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorRefused) as raised:
        from_bytes("features", "FP32", shape, bytes(4))
    assert refusal(raised) == (TensorFault.SHAPE, "features")


def test_a_shape_of_more_bytes_than_there_can_be_allocates_nothing() -> None:
    with pytest.raises(TensorRefused, match="was 4"):
        from_bytes("features", "FP64", (2**62, 2**62), bytes(4))


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 300), ("UINT8", -1), ("FP32", "x"), ("INT32", None)])
def test_a_number_that_its_datatype_cannot_hold_is_refused(datatype: str, value: object) -> None:
    with pytest.raises(TensorRefused) as raised:
        from_values("features", datatype, (1, 3), [0, 1, value])
    assert refusal(raised) == (TensorFault.VALUE, "features")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_what_has_no_finite_float32_is_refused(value: float) -> None:
    tensor = from_values("features", "FP64", (1, 3), [0.0, value, 1.0])
    with pytest.raises(TensorRefused, match="finite") as raised:
        float32_of(tensor, SPEC)
    assert refusal(raised) == (TensorFault.VALUE, "features")


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 2, 3), (3, 2)])
def test_a_shape_that_the_model_does_not_take_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorRefused, match="Expected the shape \\[-1, 3\\]") as raised:
        float32_of(Tensor("features", "FP32", np.zeros(shape, np.float32)), SPEC)
    assert refusal(raised) == (TensorFault.SHAPE, "features")
