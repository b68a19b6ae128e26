"""Arrow streams of other libraries are read; what is broken, hostile or of another shape is refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from builders.inference import walking_rows
from hypothesis import given
from hypothesis import strategies as st

from fleet.arrow_framing import MOST_FRAMES
from services.inference.adapters.arrow_tables import ArrowTables
from services.inference.domain.rows import MOST_ROWS, Rows
from trading.errors import InvalidArgument

NUMBERS = ("price", "volume", "bid", "ask")


def a_table(count: int = 6, **columns: Any) -> dict[str, Any]:
    """Columns of rows as pyarrow arrays; `columns` replace or add, None takes away."""
    rows = walking_rows(count, ("AAPL", "BTC/USD"))
    given = {name: pa.array(getattr(rows, name)) for name in (*NUMBERS, "timestamp_ns")}
    given["symbol"] = pa.array([rows.symbols[number] for number in rows.symbol])
    return {name: column for name, column in (given | columns).items() if column is not None}


def a_stream(columns: dict[str, Any], batch: int = 10**6, **options: Any) -> bytes:
    """The IPC stream of some columns, in batches of at most so many rows."""
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, batch)
    return bytes(sink.getvalue().to_pybytes())


def read(columns: dict[str, Any], **options: Any) -> Rows:
    return ArrowTables().rows(a_stream(columns, **options))


def symbols_of(rows: Rows) -> list[str]:
    return [rows.symbols[number] for number in rows.symbol]


@pytest.mark.parametrize(
    "spelt",
    [
        lambda texts: texts,
        lambda texts: texts.cast(pa.large_string()),
        lambda texts: texts.dictionary_encode(),
        lambda texts: texts.dictionary_encode().cast(pa.dictionary(pa.uint8(), pa.large_string())),
        lambda texts: pa.concat_arrays([pa.array(["X", "Y"]), texts]).slice(2),
    ],
    ids=["utf8", "large_utf8", "dictionary", "dictionary of large_utf8 by uint8", "a slice"],
)
@pytest.mark.parametrize("batch", [10**6, 2], ids=["one batch", "three batches"])
def test_every_column_arrives_however_symbols_are_written(spelt: Callable[[pa.Array], pa.Array], batch: int) -> None:
    columns = a_table()
    expected = walking_rows(6, ("AAPL", "BTC/USD"))
    rows = read(columns | {"symbol": spelt(columns["symbol"])}, batch=batch)
    for name in (*NUMBERS, "timestamp_ns"):
        assert getattr(rows, name).tolist() == getattr(expected, name).tolist(), name
        assert getattr(rows, name).dtype == getattr(expected, name).dtype
    assert symbols_of(rows) == ["AAPL", "BTC/USD"] * 3
    assert not rows.spread_given.any()
    assert rows.columnar


def test_a_stream_of_polars_is_read() -> None:
    frame = pl.DataFrame(pa.table(a_table())).with_columns(pl.col("symbol").cast(pl.Categorical))
    rows = ArrowTables().rows(frame.write_ipc_stream(None, compat_level=pl.CompatLevel.oldest()).getvalue())
    assert symbols_of(rows) == ["AAPL", "BTC/USD"] * 3


@pytest.mark.parametrize(("unit", "unit_ns"), [("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)])
def test_timestamps_of_any_unit_are_nanoseconds(unit: str, unit_ns: int) -> None:
    times = pa.array([1_700_000_000] * 6, pa.timestamp(unit, "UTC"))
    assert read(a_table(timestamp_ns=times)).timestamp_ns.tolist() == [1_700_000_000 * unit_ns] * 6


def test_float32_is_taken_and_other_columns_are_left() -> None:
    rows = read(a_table(price=pa.array([1.5] * 6, pa.float32()), note=pa.array(["x"] * 6)))
    assert rows.price.tolist() == [1.5] * 6
    assert rows.price.dtype == np.float64


def test_a_spread_is_given_where_it_is_not_null() -> None:
    rows = read(a_table(spread=pa.array([0.1, None, 0.2, None, None, 0.3])))
    assert rows.spread_given.tolist() == [True, False, True, False, False, True]
    assert rows.spread[rows.spread_given].tolist() == [0.1, 0.2, 0.3]


def test_no_rows_are_read_as_none() -> None:
    assert len(read(a_table(0))) == 0
    empty = pa.BufferOutputStream()
    with pa.ipc.new_stream(empty, pa.table(a_table()).schema):
        pass
    assert len(ArrowTables().rows(bytes(empty.getvalue().to_pybytes()))) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bid": None}, "Expected each of the columns"),
        ({"price": pa.array([1] * 6)}, "Expected price as float64"),
        ({"price": pa.array([1.0] * 6).dictionary_encode()}, "Expected price as plain numbers"),
        ({"timestamp_ns": pa.array([1.0] * 6)}, "Expected timestamp_ns as int64"),
        ({"timestamp_ns": pa.array([10**12] * 6, pa.timestamp("s"))}, "before 2262"),
        ({"symbol": pa.array([1] * 6)}, "Expected symbol as utf8"),
        ({"symbol": pa.array([1] * 6).dictionary_encode()}, "Expected symbol as utf8"),
        ({"price": pa.array([1.0, None] * 3)}, "Expected no nulls in price"),
        ({"symbol": pa.array(["A", None] * 3)}, "Expected no nulls in symbol"),
        ({"symbol": pa.DictionaryArray.from_arrays([0] * 6, ["A", None])}, "Expected no nulls in symbol"),
        ({"symbol": pa.array(["A", None] * 3).dictionary_encode()}, "Expected no nulls in symbol"),
        ({"symbol": pa.array(["A"] * 6, pa.string_view())}, "Utf8View not yet supported"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        read(a_table(**changes))


def test_symbols_that_are_no_text_are_refused() -> None:
    raw = pa.Array.from_buffers(
        pa.string(), 6, [None, pa.py_buffer(np.arange(7, dtype=np.int32).tobytes()), pa.py_buffer(b"\xff" * 6)]
    )
    with pytest.raises(InvalidArgument, match="UTF-8"):
        read(a_table(symbol=raw))


def test_a_symbol_outside_its_dictionary_is_refused() -> None:
    outside = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, 4, 9]), pa.array(["A"]), safe=False)
    with pytest.raises(InvalidArgument, match="Expected dictionary index"):
        read(a_table(symbol=outside))


def test_a_column_twice_is_refused() -> None:
    columns = a_table()
    table = pa.Table.from_arrays([*columns.values(), columns["bid"]], names=[*columns, "bid"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidArgument, match="once"):
        ArrowTables().rows(bytes(sink.getvalue().to_pybytes()))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_batches_are_refused_because_they_may_grow_without_bound(compression: str) -> None:
    with pytest.raises(InvalidArgument, match="Expected uncompressed"):
        read(a_table(), compression=compression)
    only_dictionary = a_table(symbol=pa.array(["AAPL"] * 6).dictionary_encode())
    with pytest.raises(InvalidArgument, match="Expected uncompressed"):
        read(only_dictionary, compression=compression)


def test_too_many_rows_and_too_many_batches_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=f"at most {MOST_ROWS} rows"):
        read(a_table(MOST_ROWS + 1))
    with pytest.raises(InvalidArgument, match=f"at most {MOST_FRAMES} frames"):
        read(a_table(MOST_FRAMES + 1), batch=1)


@pytest.mark.parametrize("stream", [b"", b"{}", b"\xff" * 64, b"ARROW1\0\0" * 9, b"\xff\xff\xff\xff" + b"\0" * 4])
def test_what_is_no_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(InvalidArgument, match="Arrow stream cannot be read"):
        ArrowTables().rows(stream)


WHOLE = a_stream(a_table(40, symbol=pa.array(["AAPL", "BTC/USD"] * 20).dictionary_encode()))


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_a_stream_that_is_cut_short_is_refused_or_has_fewer_rows(cut: int) -> None:
    try:
        rows = ArrowTables().rows(WHOLE[:cut])
    except InvalidArgument:
        return
    assert len(rows) in (0, 40)


@given(position=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), more=st.integers(0, 255))
def test_no_broken_byte_does_worse_than_a_refusal(position: int, value: int, more: int) -> None:
    broken = bytearray(WHOLE)
    broken[position] = value
    broken[(position * 7 + more) % len(WHOLE)] = more
    try:
        rows = ArrowTables().rows(bytes(broken))
    except InvalidArgument:
        return
    assert len(symbols_of(rows)) == len(rows.price) == len(rows.timestamp_ns)
