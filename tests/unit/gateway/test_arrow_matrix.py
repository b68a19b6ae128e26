"""A matrix in an Arrow stream is read whole, however it was written; anything else is refused by name."""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from builders.arrow import a_problem_stream, a_stream
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fleet.arrow_framing import MOST_FRAMES
from services.gateway import arrow_matrix
from services.gateway.arrow_matrix import ArrowMatrix, NoArrow, read
from trading.errors import InvalidArgument

SAID = {"matrix": "returns", "request": "{}"}
SQUARE = np.array([[0.04, 0.01], [0.02, 0.09]])
WHOLE = a_problem_stream(SQUARE, ["A", "B"], batch=1)


def values_of(found: ArrowMatrix) -> Any:
    return np.frombuffer(found.f64le, "<f8").reshape(found.rows, len(found.symbols))


def numbers(count: int = 2) -> pa.Array:
    return pa.array([1.0] * count)


@given(
    values=st.tuples(st.integers(0, 12), st.integers(1, 6)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(allow_nan=False))
    ),
    batch=st.integers(1, 5),
    name=st.sampled_from(["covariance", "returns"]),
)
def test_any_matrix_arrives_bit_for_bit_from_any_batches(values: Any, batch: int, name: str) -> None:
    symbols = [f"S{column}" for column in range(values.shape[1])]
    found = read(a_problem_stream(values, symbols, name, batch), 6)
    assert (found.symbols, found.name, found.rows) == (symbols, name, len(values))
    assert found.f64le == values.tobytes()
    assert found.request == b"{}"


def test_rows_stay_rows_and_columns_columns() -> None:
    found = read(WHOLE, 2)
    assert values_of(found).tolist() == SQUARE.tolist()


def test_a_stream_may_hold_slices() -> None:
    longer = pa.array([9.0, 1.0, 2.0, 9.0])
    found = read(a_stream([longer.slice(1, 2), longer.slice(0, 2)], ["A", "B"], SAID), 2)
    assert values_of(found).tolist() == [[1.0, 9.0], [2.0, 1.0]]


def test_a_table_of_polars_is_read() -> None:
    frame = pl.DataFrame({"BTC/USD": [1.0, 2.0], "BRK.B": [3.0, 4.0]})
    table = frame.to_arrow().replace_schema_metadata(SAID)
    found = read(_written(table), 2)
    assert (list(found.symbols), values_of(found).tolist()) == (["BTC/USD", "BRK.B"], [[1.0, 3.0], [2.0, 4.0]])


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("column", "pointer"),
    [
        (pa.array([1, 2]), "symbols.1"),
        (pa.array([1.0, 2.0], pa.float32()), "symbols.1"),
        (pa.array(["1", "2"]), "symbols.1"),
        (numbers().dictionary_encode(), "symbols.1"),
        (pa.array([[1.0], [2.0]]), "symbols.1"),
        (pa.array(["1", "2"], pa.string_view()), "symbols"),
    ],
    ids=["int64", "float32", "text", "dictionary", "list", "a type that the reader does not know"],
)
def test_another_type_is_refused_at_its_column(column: pa.Array, pointer: str) -> None:
    with pytest.raises(InvalidArgument, match="float64") as refusal:
        read(a_stream([numbers(), column], ["A", "B"], SAID), 2)
    assert refusal.value.metadata["field"] == pointer


def test_a_null_is_refused_at_its_row_and_column_of_the_matrix() -> None:
    columns = [numbers(5), pa.array([1.0, 2.0, 3.0, None, None])]
    with pytest.raises(InvalidArgument, match="no nulls, was one in row 3, column 1") as refusal:
        read(a_stream(columns, ["A", "B"], SAID, batch=2), 2)
    assert refusal.value.metadata["field"] == "returns.3.1"


def test_a_symbol_twice_is_refused_at_the_second() -> None:
    with pytest.raises(InvalidArgument, match="'A' in column 0 already") as refusal:
        read(a_stream([numbers(), numbers(), numbers()], ["A", "B", "A"], SAID), 3)
    assert (refusal.value.reason, refusal.value.metadata["field"]) == ("DUPLICATE_SYMBOL", "symbols.2")


@pytest.mark.parametrize(
    ("metadata", "field", "said"),
    [
        (None, "matrix", r"was \[\]"),
        ({"request": "{}"}, "matrix", r"was \['request'\]"),
        ({"matrix": "returns"}, "request", r"was \['matrix'\]"),
        (SAID | {"pandas": "{}"}, "", "'pandas'"),
        ([("matrix", "returns"), ("matrix", "returns"), ("request", "{}")], "matrix", "once"),
        (SAID | {"matrix": "correlation"}, "matrix", "was b'correlation'"),
        (SAID | {"matrix": ""}, "matrix", "was b''"),
    ],
)
def test_metadata_that_is_missing_unknown_or_said_twice_is_refused(metadata: Any, field: str, said: str) -> None:
    given = pa.KeyValueMetadata(metadata) if isinstance(metadata, list) else metadata
    with pytest.raises(InvalidArgument, match=said) as refusal:
        read(a_stream([numbers()], ["A"], given), 1)
    assert refusal.value.metadata["field"] == field


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_batches_are_refused_because_they_may_grow_without_bound(compression: str) -> None:
    with pytest.raises(InvalidArgument, match="Expected uncompressed record batches"):
        read(a_stream([numbers(1000)], ["A"], SAID, compression=compression), 1)


def test_too_many_columns_batches_and_pieces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgument, match="at most 1 columns, was 2"):
        read(WHOLE, 1)
    with pytest.raises(InvalidArgument, match=f"at most {MOST_FRAMES} frames"):
        read(a_stream([numbers(MOST_FRAMES + 1)], ["A"], SAID, batch=1), 1)
    monkeypatch.setattr(arrow_matrix, "MOST_PIECES", 3)
    with pytest.raises(InvalidArgument, match="at most 3 columns in all"):
        read(WHOLE, 2)


@pytest.mark.parametrize(
    "stream", [b"", b"{}", b"\xff" * 64, b"ARROW1\0\0" * 9, b"\xff\xff\xff\xff" + b"\0" * 4, WHOLE[:-60]]
)
def test_what_is_no_stream_is_told_apart_from_what_is_wrong_in_one(stream: bytes) -> None:
    with pytest.raises(NoArrow, match="no Arrow stream that can be read"):
        read(stream, 2)


def test_columns_that_share_their_bytes_cannot_grow() -> None:
    """A stream of 5,000 columns over one buffer would be 5,000 times as large as it came."""
    many = 64
    names = [f"S{number}" for number in range(many)]
    honest = a_stream([numbers(100)] * many, names, SAID)
    shared = _with_shared_buffers(honest, many, 100)
    with pytest.raises(NoArrow, match="fewer bytes than values"):
        read(shared, many)


def _with_shared_buffers(stream: bytes, columns: int, rows: int) -> bytes:
    """The stream with every column pointing at the first one's values, and all others' values cut off."""
    size = rows * 8
    start = 8 + int.from_bytes(stream[4:8], "little")
    body = start + 8 + int.from_bytes(stream[start + 4 : start + 8], "little")
    words = np.frombuffer(stream[start + 8 : body], "<i8").copy()
    buffers = next(place for place in range(len(words)) if words[place : place + 4].tolist() == [0, 0, 0, size])
    words[buffers : buffers + 4 * columns : 2] = 0  # the offsets; a column has a validity of no bytes, and values
    (body_length,) = np.flatnonzero(words == columns * size)
    words[body_length] = size
    return stream[: start + 8] + words.tobytes() + stream[body : body + size] + b"\xff\xff\xff\xff\0\0\0\0"


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_a_stream_that_is_cut_short_is_refused_or_has_fewer_rows(cut: int) -> None:
    try:
        found = read(WHOLE[:cut], 2)
    except NoArrow:
        return
    assert found.rows < 2 or cut >= len(WHOLE) - 8


@given(position=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), more=st.integers(0, 255))
def test_no_broken_byte_does_worse_than_a_refusal(position: int, value: int, more: int) -> None:
    broken = bytearray(WHOLE)
    broken[position] = value
    broken[(position * 7 + more) % len(WHOLE)] = more
    try:
        found = read(bytes(broken), 2)
    except (NoArrow, InvalidArgument):
        return
    assert len(found.f64le) == found.rows * len(found.symbols) * 8 <= len(WHOLE)
