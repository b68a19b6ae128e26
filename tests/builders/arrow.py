"""Matrices as Arrow streams, written by pyarrow."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

HEADERS = {"Content-Type": "application/vnd.apache.arrow.stream"}


def a_stream(columns: Sequence[Any], names: Sequence[str], metadata: Any, batch: int = 10**6, **options: Any) -> bytes:
    """The IPC stream of some columns, in batches of at most so many rows."""
    schema = pa.schema([pa.field(name, column.type) for name, column in zip(names, columns, strict=True)], metadata)
    table = pa.Table.from_arrays(list(columns), schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, batch)
    return bytes(sink.getvalue().to_pybytes())


def a_problem_stream(
    values: npt.NDArray[np.float64],
    names: Sequence[str],
    matrix: str = "covariance",
    batch: int = 10**6,
    **request: Any,
) -> bytes:
    """An optimisation problem over a matrix (T×N), `request` beside it."""
    columns = [pa.array(column) for column in values.T]
    return a_stream(columns, names, {"matrix": matrix, "request": json.dumps(request)}, batch)
