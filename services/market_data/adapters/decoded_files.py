"""Ticks as a reader sees them, decoded once into a file that is mapped into memory: a copy that may be absent.

The Parquet file stays the truth. A decoded file lies beside it under its name and says which Parquet file it was made
of (size and time of change) and what its own pages amount to; one that does not agree is not used. It is an Arrow IPC
file (uncompressed, so that a mapped column is an array already) and behind it a trailer of fixed size:

    8 bytes magic with the version · length of the Arrow file · size and mtime_ns of the Parquet file · checksum
"""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import structlog

from services.market_data.adapters.frame_cache import FileState, FrameCache
from services.market_data.adapters.history_files import HistoryFiles, Part, decoded_path
from services.market_data.adapters.history_tables import value_schema, values
from services.market_data.domain.history import Kind

BATCH_ROWS = 1 << 20
"""Rows that are decoded at a time: what bounds the memory of it."""
_MAGIC = b"NTCOLS\x00\x01"
_TRAILER = struct.Struct("<8sQQQQ")
_PAGE = 4096
SMALL_BYTES = 2**16
"""Parquet files below this have no decoded file: they are read at once and kept in memory."""


class _Trailer(NamedTuple):
    magic: bytes
    table_bytes: int
    source_bytes: int
    source_mtime_ns: int
    checksum: int


class DecodedFiles:
    """The values of parts without decoding them each time; what is at hand stays. Its methods block.

    At most `mapped_bytes_most` of decoded files are mapped, and `cached_bytes_most` of memory holds the values of parts
    that are too small for a decoded file.
    """

    def __init__(self, *, mapped_bytes_most: int, cached_bytes_most: int) -> None:
        self._mapped, self._cached = FrameCache(mapped_bytes_most), FrameCache(cached_bytes_most)
        self._log = structlog.get_logger(__name__)

    def frame(self, kind: Kind, part: Part, source: os.stat_result) -> pl.DataFrame | None:
        """The values of a part, whose file has `source`; None when they must be read from that file.

        The columns are those of `value_schema`. A decoded file is checked whole when it is opened, and then stays open.
        """
        if source.st_size < SMALL_BYTES:
            return self._of_small(kind, part, source)
        path = decoded_path(part)
        try:
            state = FileState.of(path, path.stat())
            trailer = _trailer_of(path)
            if not _is_of(trailer, source):
                return None
            frame = self._mapped.get(state)
            if frame is None:
                frame = _opened(kind, path, trailer)
                self._mapped.put(state, frame, state.size_bytes)
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            self._log.warning("decoded file not used", path=str(path), reason=str(error))
            return None
        return frame

    def _of_small(self, kind: Kind, part: Part, source: os.stat_result) -> pl.DataFrame:
        state = FileState.of(part.path, source)
        frame = self._cached.get(state)
        if frame is None:
            frame = values(kind, pl.scan_parquet(part.path, glob=False, hive_partitioning=False)).collect()
            self._cached.put(state, frame, int(frame.estimated_size()))
        return frame


def decode(files: HistoryFiles, kind: Kind, part: Part) -> int:
    """Write the decoded file of a part; its size in bytes, 0 when the part is not there any more."""

    def write(path: Path) -> None:
        source = part.path.stat()
        _write_table(kind, part.path, path)
        length = path.stat().st_size
        trailer = _Trailer(_MAGIC, length, source.st_size, source.st_mtime_ns, _checksum(_mapped(path)))
        with path.open("ab") as target:
            target.write(_TRAILER.pack(*trailer))

    path = decoded_path(part)
    return path.stat().st_size if files.put_beside(part, path, write) else 0


def decoded_bytes(part: Part) -> int:
    """The size of a part's decoded file; 0 when there is none that was made of it. Its content is not checked."""
    path = decoded_path(part)
    try:
        return path.stat().st_size if _is_of(_trailer_of(path), part.path.stat()) else 0
    except OSError:
        return 0


def _write_table(kind: Kind, source: Path, target: Path) -> None:
    stored = pl.scan_parquet(source, glob=False, hive_partitioning=False)
    rows = stored.select(pl.len()).collect().item()
    schema = _arrow(pl.DataFrame(schema=value_schema(kind))).schema
    with pa.ipc.new_file(str(target), schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            batch = values(kind, stored.slice(start, BATCH_ROWS)).collect().rechunk()
            writer.write_table(_arrow(batch))


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """With texts as views, which Polars maps as they are."""
    return frame.to_arrow(compat_level=pl.CompatLevel.newest())


def _opened(kind: Kind, path: Path, trailer: _Trailer) -> pl.DataFrame:
    """The mapped columns; raises OSError when the file is not as it was written, and takes it away."""
    table = _mapped(path).slice(0, trailer.table_bytes)
    if _checksum(table) == trailer.checksum:
        frame = pl.from_arrow(pa.ipc.open_file(pa.BufferReader(table)).read_all(), rechunk=False)
        if isinstance(frame, pl.DataFrame) and frame.schema == value_schema(kind):
            return frame
    path.unlink(missing_ok=True)  # so that it is made anew
    raise OSError("its content has changed since it was written")


def _trailer_of(path: Path) -> _Trailer:
    """The end of a decoded file; a file that is too short has one of zeros, which agrees with no Parquet file."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - _TRAILER.size, 0))
        read = file.read(_TRAILER.size)
    trailer = _Trailer(*_TRAILER.unpack(read.ljust(_TRAILER.size, b"\0")))
    is_whole = trailer.magic == _MAGIC and trailer.table_bytes == size - _TRAILER.size
    return trailer if is_whole else _Trailer(b"", 0, 0, 0, 0)


def _is_of(trailer: _Trailer, source: os.stat_result) -> bool:
    return (trailer.source_bytes, trailer.source_mtime_ns) == (source.st_size, source.st_mtime_ns)


def _mapped(path: Path) -> pa.Buffer:
    return pa.memory_map(str(path)).read_buffer()


def _checksum(data: pa.Buffer) -> int:
    """A sum of each page and a CRC over the sums: a changed, lost or swapped page shows, at the speed of reading.

    A CRC of everything would take six times as long, and longer than decoding the Parquet file.
    """
    octets = np.frombuffer(data, np.uint8)
    whole = len(octets) // _PAGE * _PAGE
    sums = octets[:whole].view(np.uint64).reshape(-1, _PAGE // 8).sum(axis=1)
    return zlib.crc32(octets[whole:].tobytes(), zlib.crc32(sums.tobytes()))
