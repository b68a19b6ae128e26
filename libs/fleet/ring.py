"""A ring in shared memory: one writer, many readers on the same host, no copy between them.

The writer never waits. It announces how far it is about to write, writes, and then says that it has written; who
reads copies first and looks at the announcement afterwards, so a record that was overwritten meanwhile is counted
as lost and never given out torn (a sequence lock over the whole ring). Readers map the segment read-only: none of
them can harm it. Records are opaque bytes of one size; NumPy sees them as rows of any dtype of that size.

A POSIX segment is a file in /dev/shm; beside it lies a lock that the writer holds for as long as it lives. A segment
whose lock is free is what a killed writer has left, and the next writer replaces it.
"""

import fcntl
import mmap
import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.errors import AlreadyExists, InvalidArgument, Unavailable

SEGMENTS = Path("/dev/shm")  # noqa: S108  where POSIX shared memory lives, not a place for temporary files
RECORDS_MOST = 1 << 28
RECORD_BYTES_MOST = 1 << 16
HEADER_BYTES = 4096
_MAGIC = 0x4E54_5249_4E47_0001  # "NTRING", version 1
_MAGIC_AT, _RECORD_BYTES_AT, _CAPACITY_AT, _PID_AT, _CLOSED_AT, _USER_BYTES_AT, _USER_PUBLISHED_AT = range(7)
# Each on a cache line of its own, so that readers who poll one do not slow the writer of the other.
_ANNOUNCED_AT, _WRITTEN_AT = 8, 16
_ORDERED_MACHINES = frozenset(("x86_64", "AMD64", "i686"))

Rows = npt.NDArray[np.void]


class RingClosed(Unavailable):
    """The writer has left; another may open a ring of the same name."""

    REASON = "RING_CLOSED"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size of a record in bytes, records that the ring holds (a power of two), and bytes for the user's own header."""

    record_bytes: int
    capacity: int
    user_bytes: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.record_bytes <= RECORD_BYTES_MOST:
            raise InvalidArgument(f"Expected records of 1-{RECORD_BYTES_MOST} bytes.", record_bytes=self.record_bytes)
        if not 2 <= self.capacity <= RECORDS_MOST or self.capacity & (self.capacity - 1):
            raise InvalidArgument(f"Expected a power of two up to {RECORDS_MOST} as capacity.", capacity=self.capacity)

    @property
    def data_at(self) -> int:
        """Where the records begin; on a page."""
        return HEADER_BYTES + -(-self.user_bytes // HEADER_BYTES) * HEADER_BYTES

    @property
    def segment_bytes(self) -> int:
        """Size of the whole segment."""
        return self.data_at + self.record_bytes * self.capacity


class RingWriter:
    """The one writer of a ring; `user` is space for what readers must know beside the records."""

    def __init__(self, memory: memoryview, geometry: Geometry) -> None:
        self._geometry = geometry
        segment = np.frombuffer(memory, np.uint8)  # of whole pages, so it may be larger than was asked for
        self._words = segment[:HEADER_BYTES].data.cast("q")
        self.user = segment[HEADER_BYTES : HEADER_BYTES + geometry.user_bytes]
        self._data = segment[geometry.data_at : geometry.segment_bytes]
        self._bytes = self._data.data
        self._written = 0
        self._fence = _fence()
        self._words[_RECORD_BYTES_AT], self._words[_CAPACITY_AT] = geometry.record_bytes, geometry.capacity
        self._words[_PID_AT], self._words[_USER_BYTES_AT] = os.getpid(), geometry.user_bytes
        self._fence()
        self._words[_MAGIC_AT] = _MAGIC

    @property
    def written(self) -> int:
        """Records written since the ring was opened."""
        return self._written

    def write(self, records: npt.NDArray[np.generic]) -> None:
        """Append rows; of more than fit only the newest remain. Raises InvalidArgument for rows of another size."""
        rows = np.ascontiguousarray(records).view(np.uint8).reshape(-1)
        size, capacity = self._geometry.record_bytes, self._geometry.capacity
        count, remainder = divmod(rows.size, size)
        if remainder:
            raise InvalidArgument("Expected whole records.", record_bytes=size, bytes=rows.size)
        end = self._written + count
        self._words[_ANNOUNCED_AT] = end
        self._fence()
        kept = min(count, capacity)
        start = (end - kept) % capacity
        until_wrap = min(kept, capacity - start)
        rows = rows[(count - kept) * size :]
        self._data[start * size : (start + until_wrap) * size] = rows[: until_wrap * size]
        if until_wrap < kept:
            self._data[: (kept - until_wrap) * size] = rows[until_wrap * size :]
        self._fence()
        self._written = end
        self._words[_WRITTEN_AT] = end

    def write_one(self, record: bytes) -> None:
        """Append one record that is packed already."""
        size, end = self._geometry.record_bytes, self._written + 1
        if len(record) != size:
            raise InvalidArgument("Expected one whole record.", record_bytes=size, bytes=len(record))
        self._words[_ANNOUNCED_AT] = end
        self._fence()
        start = (self._written & (self._geometry.capacity - 1)) * size
        self._bytes[start : start + size] = record
        self._fence()
        self._written = end
        self._words[_WRITTEN_AT] = end

    def publish_user(self, count: int) -> None:
        """Say that the first `count` bytes of `user` may be read; they must not change afterwards."""
        self._fence()
        self._words[_USER_PUBLISHED_AT] = count

    def close(self) -> None:
        """Tell the readers that no more will come, and let go of the memory."""
        self._words[_CLOSED_AT] = 1
        self._words.release()
        del self._bytes, self._data, self.user


class Glimpse(NamedTuple):
    """Rows that lie in the ring itself, oldest first: use them, then ask `RingReader.confirm` whether they held."""

    rows: Rows
    first: int
    lost: int


class RingReader:
    """Follows a ring from where it was when opened; knows what it has lost."""

    def __init__(self, memory: mmap.mmap, *, from_oldest: bool = False) -> None:
        self._words = memoryview(memory)[:HEADER_BYTES].cast("q")
        record_bytes, capacity = self._words[_RECORD_BYTES_AT], self._words[_CAPACITY_AT]
        self.geometry = Geometry(record_bytes, capacity, self._words[_USER_BYTES_AT])
        self._user = np.frombuffer(memory, np.uint8, self.geometry.user_bytes, HEADER_BYTES)
        # Opaque records are copied as they are; a copy of fields would take them one by one.
        self._rows = np.frombuffer(memory, np.dtype((np.void, record_bytes)), capacity, self.geometry.data_at)
        self._fence = _fence()
        written = self._words[_WRITTEN_AT]
        self._next = max(written - capacity, 0) if from_oldest else written
        self.lost = 0

    @property
    def position(self) -> int:
        """Number of the next record, counted from the opening of the ring."""
        return self._next

    @property
    def behind(self) -> int:
        """Records that wait to be read, lost ones included."""
        return self._words[_WRITTEN_AT] - self._next

    @property
    def writer_pid(self) -> int:
        """Process that writes the ring, or wrote it."""
        return self._words[_PID_AT]

    @property
    def is_closed(self) -> bool:
        """The writer has left in good order."""
        return bool(self._words[_CLOSED_AT])

    def user(self) -> bytes:
        """What the writer has published beside the records."""
        count = self._words[_USER_PUBLISHED_AT]
        self._fence()
        return self._user[:count].tobytes()

    def take(self, most: int = 65_536) -> Rows:
        """The next rows as a copy, oldest first, each whole; `view` gives them a dtype. `lost` has what was overtaken.

        Raises RingClosed when everything has been read and the writer has left.
        """
        glimpse = self.glimpse(most)
        rows = glimpse.rows.copy()
        torn = self.confirm(glimpse)
        return rows[torn:] if torn else rows

    def glimpse(self, most: int = 65_536) -> Glimpse:
        """The next rows without a copy; they end where the ring does. Raises RingClosed as `take` does."""
        closed = self.is_closed  # read before `written`, so that a last record is never missed
        written = self._words[_WRITTEN_AT]
        self._fence()
        if written == self._next and closed:
            raise RingClosed("The writer of this ring has left.")
        capacity = self.geometry.capacity
        lost = max(written - capacity - self._next, 0)
        first = self._next + lost
        start = first & (capacity - 1)
        return Glimpse(self._rows[start : min(start + min(most, written - first), capacity)], first, lost)

    def confirm(self, glimpse: Glimpse) -> int:
        """How many of a glimpse's oldest rows were overwritten while they were used; moves on behind it."""
        self._fence()
        oldest = self._words[_ANNOUNCED_AT] - self.geometry.capacity
        torn = min(max(oldest - glimpse.first, 0), len(glimpse.rows))
        self.lost += glimpse.lost + torn
        self._next = glimpse.first + len(glimpse.rows)
        return torn

    def close(self) -> None:
        """Let go of the memory; views that were given out keep it until they are gone."""
        self._words.release()
        del self._rows, self._user


def _fence() -> Callable[[], None]:
    """Orders memory: what was done before it is seen before what is done after it.

    x86 keeps stores and loads in order by itself. ARM does not; there the release of a lock followed by the
    acquisition of one does it.
    """
    if platform.machine() in _ORDERED_MACHINES:
        return _nothing
    lock = threading.Lock()
    lock.acquire()

    def fence() -> None:
        lock.release()
        lock.acquire()

    return fence


def _nothing() -> None:
    return None


@contextmanager
def create_ring(name: str, geometry: Geometry) -> Iterator[RingWriter]:
    """A new ring, gone when the block ends; replaces what a killed writer has left.

    Raises AlreadyExists while another writer lives, Unavailable where there is no shared memory to be had.
    """
    with _only_writer(name):
        _remove_stale(name)
        memory = _make(name, geometry.segment_bytes)
        try:
            writer = RingWriter(memoryview(memory.buf or b""), geometry)
            try:
                yield writer
            finally:
                writer.close()
        finally:
            memory.close()
            resource_tracker.register(f"/{name}", "shared_memory")  # `unlink` strikes it off again
            memory.unlink()


@contextmanager
def open_ring(name: str, *, from_oldest: bool = False) -> Iterator[RingReader]:
    """Follow a ring, from now or from the oldest record that it holds; raises Unavailable when there is none."""
    reader = RingReader(_map(name, mmap.PROT_READ), from_oldest=from_oldest)
    try:
        yield reader
    finally:
        reader.close()


def _make(name: str, size: int) -> SharedMemory:
    try:
        memory = SharedMemory(name, create=True, size=size)
    except (OSError, ValueError) as error:
        raise Unavailable(f"Ring {name} of {size} bytes cannot be made: {error}.", ring=name) from error
    # The tracker would remove the segment by its name some time after we are killed, perhaps when our successor
    # has made one of the same name already; the lock says exactly whether somebody still writes.
    resource_tracker.unregister(f"/{name}", "shared_memory")
    try:
        _reserve(name, size)
    except OSError as error:
        memory.close()
        _path(name).unlink()
        raise Unavailable(f"Ring {name} of {size} bytes cannot be made: {error}.", ring=name) from error
    return memory


def _reserve(name: str, size: int) -> None:
    """Take the memory now: a segment that grows as it is written ends its writer by SIGBUS when there is no more."""
    file = os.open(_path(name), os.O_RDWR)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)


def _map(name: str, protection: int) -> mmap.mmap:
    """A whole ring, as it lies in memory; raises Unavailable when there is none, or only the beginning of one."""
    try:
        file = os.open(_path(name), os.O_RDWR if protection & mmap.PROT_WRITE else os.O_RDONLY)
    except OSError as error:
        raise Unavailable(f"There is no ring called {name}.", ring=name) from error
    try:
        size = os.fstat(file).st_size
        memory = mmap.mmap(file, size, prot=protection) if size >= HEADER_BYTES else None
    finally:
        os.close(file)
    if memory is None or int(np.frombuffer(memory, np.int64, 1)[_MAGIC_AT]) != _MAGIC:
        raise Unavailable(f"{name} is no ring, or not one yet.", ring=name)
    return memory


@contextmanager
def _only_writer(name: str) -> Iterator[None]:
    """Hold the lock of a ring's writers; the kernel lets go of it for a writer that was killed."""
    path = _path(f"{name}.lock")
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or path.stat().st_ino != os.fstat(file).st_ino:
            raise BlockingIOError("the lock was removed by the writer before")
    except BlockingIOError as error:
        os.close(file)
        raise AlreadyExists(f"Ring {name} has a writer.", ring=name) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _remove_stale(name: str) -> None:
    """Tell the readers of a killed writer that no more will come, and free the name."""
    with suppress(Unavailable):  # there is none, or one that was never finished
        np.frombuffer(_map(name, mmap.PROT_READ | mmap.PROT_WRITE), np.int64, HEADER_BYTES // 8)[_CLOSED_AT] = 1
    _path(name).unlink(missing_ok=True)


def _path(name: str) -> Path:
    if not name or "/" in name or name.startswith("."):
        raise InvalidArgument("Expected a name without slashes.", field="ring", value=name[:64])
    return SEGMENTS / name
