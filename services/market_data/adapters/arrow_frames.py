"""Tables on the wire: an Arrow IPC stream of one uncompressed record batch, or JSON."""

import base64
import io
import json
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pyarrow as pa

from services.market_data.adapters.history_tables import Covariance, HistoryFrame
from services.market_data.ports import EncodedFrame

if TYPE_CHECKING:
    from typing_extensions import Buffer

_JSON_INT64 = (pl.Int64, pl.UInt64)
_DICTIONARY = pa.dictionary(pa.int32(), pa.utf8())


def to_arrow(found: HistoryFrame) -> EncodedFrame:
    """One record batch, nulls of numbers as NaN, texts as dictionaries: typed arrays on the reader's own buffer."""
    frame = found.frame.select(_plain(column) for column in found.frame)
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [_as_dictionary(table.column(name)) for name in table.column_names]
    batch = pa.record_batch(fields, schema=_schema(table.column_names, fields, found))
    return EncodedFrame(_stream_of(batch), len(frame), found.truncated)


class _Pieces(io.RawIOBase):
    """Takes what is written to it as it is: the columns are not copied, and stay alive as long as their pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[memoryview] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: "Buffer", /) -> int:
        self.taken.append(memoryview(piece).cast("B"))
        return len(self.taken[-1])


def _stream_of(batch: pa.RecordBatch) -> tuple[memoryview, ...]:
    """The IPC stream of one batch."""
    pieces = _Pieces()
    options = pa.ipc.IpcWriteOptions(compression=None)
    with pa.ipc.new_stream(pa.PythonFile(pieces, mode="w"), batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return tuple(pieces.taken)


def to_json(found: HistoryFrame) -> EncodedFrame:
    """`{"columns", "rows", "truncated"}`; 64-bit whole numbers as strings, what is not a number as null."""
    columns = {column.name: _json_values(column) for column in found.frame}
    document = {"columns": columns, "rows": len(found.frame), "truncated": found.truncated}
    return EncodedFrame((memoryview(msgspec.json.encode(document)),), len(found.frame), found.truncated)


def _plain(column: pl.Series) -> pl.Series:
    has_nulls = column.null_count() > 0
    if column.dtype.is_float() or column.dtype.is_decimal() or (column.dtype.is_integer() and has_nulls):
        floats = column.cast(pl.Float64)
        return floats.fill_null(float("nan")) if has_nulls else floats
    if column.dtype == pl.Categorical:
        return column.cast(pl.String)
    return column


def _as_dictionary(column: pa.ChunkedArray) -> pa.Array:
    whole = column.chunk(0) if column.num_chunks else pa.array([], column.type)  # of one: the frame was rechunked
    if pa.types.is_dictionary(whole.type):
        return whole.cast(_DICTIONARY)
    if pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type):
        return whole.cast(pa.utf8()).dictionary_encode().cast(_DICTIONARY)
    return whole


def _schema(names: list[str], columns: list[pa.Array], found: HistoryFrame) -> pa.Schema:
    metadata = {"truncated": json.dumps(found.truncated)}
    if found.covariance is not None:
        metadata |= _covariance_metadata(found.covariance)
    fields = [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    return pa.schema(fields, metadata=metadata)


def _covariance_metadata(known: Covariance) -> dict[str, str]:
    packed = base64.b64encode(known.matrix.astype("<f8").tobytes()).decode()
    return {"covariance": packed, "covariance_symbols": json.dumps(known.symbols)}


def _json_values(column: pl.Series) -> list[object]:
    if column.dtype in _JSON_INT64:
        return column.cast(pl.String).to_list()
    if column.dtype.is_float():  # msgspec writes NaN and infinities as null
        return column.to_list()
    if column.dtype.is_decimal():
        return column.cast(pl.Float64).to_list()
    if column.dtype.is_integer() or column.dtype in (pl.String, pl.Boolean):
        return column.to_list()
    return column.cast(pl.String, strict=False).to_list()
