"""One matrix of float64 from an Arrow IPC stream, read by nanoarrow: a column per symbol, the rest as metadata."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import nanoarrow
import numpy as np
import numpy.typing as npt
from nanoarrow.ipc import InputStream

from fleet.arrow_framing import UnwelcomeFrames, check_frames
from trading.errors import InvalidArgument

MATRIX, REQUEST = "matrix", "request"
MOST_PIECES = 250_000
"""Columns of all record batches together: each costs some ten microseconds, however few rows it has."""
_FLOAT64 = "g"
_NUMBER = np.dtype("<f8")
_MOST_SHOWN = 8

Name = Literal["covariance", "returns"]
_NAMES: Mapping[bytes, Name] = {b"covariance": "covariance", b"returns": "returns"}


class NoArrow(Exception):
    """A body that is no Arrow IPC stream, or a broken one."""


class ArrowMatrix(NamedTuple):
    """A table of T rows and N columns: its values row by row as little-endian float64, and the text beside it."""

    symbols: Sequence[str]
    name: Name
    rows: int
    f64le: bytes
    request: bytes


def read(stream: bytes, columns_max: int) -> ArrowMatrix:
    """Read a stream; raises NoArrow when it is none, InvalidArgument when it holds something else than one matrix.

    The `field` of an InvalidArgument is where the wrong value would be in the same problem as JSON.
    """
    try:
        check_frames(stream)
        with InputStream.from_readable(stream) as source:
            return _matrix(nanoarrow.c_array_stream(source), columns_max, len(stream))
    except UnwelcomeFrames as error:
        raise InvalidArgument(f"The Arrow stream is not taken: {error}", field="") from error
    except ValueError as error:  # bad frames, names that are no UTF-8, buffers of another length than they say
        raise NoArrow(f"The body is no Arrow stream that can be read: {error}") from error
    except RuntimeError as error:  # nanoarrow's own has no public name
        if getattr(error, "code", None) == errno.ENOTSUP:
            raise InvalidArgument(f"Expected columns of float64, was another type: {error}", field="symbols") from error
        raise NoArrow(f"The body is no Arrow stream that can be read: {error}") from error


def _matrix(stream: Any, columns_max: int, stream_bytes: int) -> ArrowMatrix:
    schema = stream.get_schema()
    said = _metadata(schema)
    name = _name(said[MATRIX])
    symbols = _symbols(schema, columns_max)
    batches = list(_batches(stream, len(symbols)))
    rows = sum(batch.length for batch in batches)
    if rows * len(symbols) * _NUMBER.itemsize > stream_bytes:  # columns that share their bytes could grow at will
        raise ValueError("It has fewer bytes than values.")
    values = np.empty((rows, len(symbols)), _NUMBER)
    first = 0
    for batch in batches:
        _fill(values[first : first + batch.length], batch, (name, first))
        first += batch.length
    return ArrowMatrix(symbols, name, rows, values.tobytes(), said[REQUEST])


def _metadata(schema: Any) -> Mapping[str, bytes]:
    pairs = [(key.decode(), value) for key, value in (schema.metadata or {}).items()]
    keys = [key for key, _ in pairs]
    wanting = [key for key in (MATRIX, REQUEST) if keys.count(key) != 1]
    if wanting or len(keys) != 2:
        shown = [key[:32] for key in keys[:_MOST_SHOWN]]
        raise InvalidArgument(
            f"Expected the schema's metadata `{MATRIX}` and `{REQUEST}`, each once, and no other, was {shown}.",
            field=wanting[0] if wanting else "",
        )
    return dict(pairs)


def _name(said: bytes) -> Name:
    if said not in _NAMES:
        raise InvalidArgument(
            f"Expected the schema's metadata `{MATRIX}` as covariance or returns, was {said[:32]!r}.", field=MATRIX
        )
    return _NAMES[said]


def _symbols(schema: Any, columns_max: int) -> Sequence[str]:
    """The names of the columns; whether there is one, and none too long, is for the rules of the request to say."""
    if schema.n_children > columns_max:
        raise InvalidArgument(f"Expected at most {columns_max} columns, was {schema.n_children}.", field="symbols")
    places: dict[str, int] = {}
    for place in range(schema.n_children):
        column = schema.child(place)
        if column.dictionary is not None or column.format != _FLOAT64:
            was = "a dictionary" if column.dictionary is not None else f"Arrow's format {column.format!r}"
            raise InvalidArgument(f"Expected column {column.name!r} as float64, was {was}.", field=f"symbols.{place}")
        if places.setdefault(column.name, place) != place:
            raise InvalidArgument(
                f"Expected each symbol once, was {column.name!r} in column {places[column.name]} already.",
                reason="DUPLICATE_SYMBOL",
                field=f"symbols.{place}",
                constraint="symbols",
                symbols=[column.name],
            )
    return list(places)


def _batches(stream: Any, columns: int) -> Iterator[Any]:
    for count, batch in enumerate(stream, start=1):
        if count * columns > MOST_PIECES:
            raise InvalidArgument(
                f"Expected fewer, larger record batches: at most {MOST_PIECES} columns in all of them.", field=""
            )
        yield batch


def _fill(target: npt.NDArray[np.float64], batch: Any, place_of: tuple[Name, int]) -> None:
    """Write a batch into its rows of the matrix; `place_of` is the matrix and the first of them."""
    for column in range(target.shape[1]):
        view = batch.child(column).view()
        validity, values = list(view.buffers)[:2]
        rows = slice(view.offset, view.offset + len(target))
        if view.null_count:
            _refuse_null(np.frombuffer(validity, np.uint8), rows, column, place_of)
        target[:, column] = np.frombuffer(values, _NUMBER)[rows]


def _refuse_null(validity: npt.NDArray[np.uint8], rows: slice, column: int, place_of: tuple[Name, int]) -> None:
    """Say where the first null of a column is, whose bits are 0."""
    missing = np.unpackbits(validity, bitorder="little")[rows] == 0
    name, first = place_of
    row = first + int(missing.argmax())
    raise InvalidArgument(f"Expected no nulls, was one in row {row}, column {column}.", field=f"{name}.{row}.{column}")
