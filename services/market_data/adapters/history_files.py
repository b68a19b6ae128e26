"""The folders and files of the history: `quotes/venue=paper/symbol=AAPL/date=2026-11-23/<first>-<last>.parquet`.

A file appears by a rename after its bytes are on the disk, so whoever dies leaves no half file that a reader sees.
Every file has a number of its own in its partition; a merged file carries the range of the numbers that it replaces,
and a file whose range lies within another's does not count any more. So a merge is one rename too, and readers that
opened the replaced files may finish: they are removed later.
"""

import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote

from services.market_data.domain.history import Kind, Partition, Period
from trading.errors import InvalidArgument
from trading.market import Interval

_NAME = re.compile(r"(?P<first>\d{20})-(?P<last>\d{20})(?P<whole>\.whole)?\.parquet", re.ASCII)
_TEMPORARY = ".tmp"
_DECODED = ".decoded"
_LOCK = ".lock"
_VANISHED_TRIES = 3
Write = Callable[[Path], None]
FoundT = TypeVar("FoundT")


def again_when_merged(read: Callable[[], FoundT]) -> FoundT:
    """What is read, again when a file was merged away between being found and being read; FileNotFoundError at last."""
    for _ in range(_VANISHED_TRIES - 1):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


class Part(NamedTuple):
    """One file of a partition: the numbers it stands for, and whether it holds all that the venue knows."""

    first: int
    last: int
    is_whole: bool
    path: Path


class Merge(NamedTuple):
    """One file to come in the place of others."""

    parts: Sequence[Part]
    write: Write
    is_whole: bool


class HistoryFiles:
    """The tree below one folder. Its methods block: call them from a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def partitions(
        self,
        kind: Kind,
        *,
        interval: Interval | None = None,
        venue: str = "",
        symbols: Sequence[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
    ) -> list[Partition]:
        """The partitions that overlap [start, end): in the order of `symbols`, else sorted; then by time."""
        found = sorted(self._walk(kind, interval, venue, symbols))
        if symbols is not None:
            rank = {symbol: at for at, symbol in enumerate(symbols)}
            found.sort(key=lambda partition: rank[partition.symbol])
        return [
            partition
            for partition in found
            if partition.period.end_ns > start_ns and (end_ns is None or partition.period.start_ns < end_ns)
        ]

    def parts(self, partition: Partition) -> list[Part]:
        """The files that count, oldest first."""
        return _counting(self._all_parts(partition))

    def add(self, partition: Partition, write: Write) -> Path:
        """Add a file that `write` writes."""
        folder = self._folder(partition)
        with self._written(folder, write) as temporary, self._locked():
            number = self._next_number(partition)
            return self._publish(temporary, folder / _file_name(number, number, is_whole=False))

    def replace(self, partition: Partition, choose: Callable[[Sequence[Part]], Merge | None]) -> bool:
        """Put one file in the place of those that `choose` picks of the present ones; False when it picks None."""
        folder = self._folder(partition)
        with self._locked():
            present = self.parts(partition)
            merge = choose(present)
            if merge is None:
                return False
            # All of them together take a new number: the same range may stand for an earlier merge of the same.
            newest = self._next_number(partition) if len(merge.parts) == len(present) else merge.parts[-1].last
            first = merge.parts[0].first if merge.parts else newest
            with self._written(folder, merge.write) as temporary:
                self._publish(temporary, folder / _file_name(first, newest, is_whole=merge.is_whole))
        for part in merge.parts:
            with suppress(FileNotFoundError):
                os.utime(part.path)  # whoever has found it has the time of a leftover from now on
        return True

    def put_beside(self, part: Part, path: Path, write: Write) -> bool:
        """Put a companion beside a part under `path`, in the place of an earlier one; False when the part is gone."""
        with self._locked():
            if not part.path.exists():
                return False
            with self._written(part.path.parent, write) as temporary:
                self._publish(temporary, path)
        return True

    def sweep(self, partitions: Iterable[Partition], older_than_s: float) -> int:
        """Remove what died writers, merges and parts left behind at least so long ago; how many files."""
        before = time.time() - older_than_s
        removed = 0
        for folder in map(self._folder, partitions):
            parts = _parts_in(folder)
            leftovers = set(folder.glob(f"*{_TEMPORARY}")) | _superseded(parts) | _companionless(folder, parts)
            for path in leftovers:
                if _changed_at(path) <= before:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def remove(self, partition: Partition) -> None:
        """Delete a partition with its files."""
        folder = self._folder(partition)
        with self._locked():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()

    def _walk(
        self, kind: Kind, interval: Interval | None, venue: str, symbols: Sequence[str] | None
    ) -> Iterator[Partition]:
        top = self.root / kind.value
        intervals = [interval] if interval else (list(Interval) if kind is Kind.BARS else [None])
        for chosen in intervals:
            folder = top / f"interval={chosen}" if chosen else top
            for venue_name in [venue] if venue else _keys(folder, "venue"):
                below = folder / _key("venue", venue_name)
                for symbol in _keys(below, "symbol") if symbols is None else symbols:
                    for date in _keys(below / _key("symbol", symbol), "date"):
                        yield Partition(kind, venue_name, symbol, Period.named(date), chosen)

    def _folder(self, partition: Partition) -> Path:
        folder = self.root / partition.kind.value
        if partition.interval:
            folder /= f"interval={partition.interval}"
        keys = {"venue": partition.venue, "symbol": partition.symbol, "date": partition.period.name}
        return folder.joinpath(*(_key(name, value) for name, value in keys.items()))

    def _all_parts(self, partition: Partition) -> list[Part]:
        return _parts_in(self._folder(partition))

    def _next_number(self, partition: Partition) -> int:
        """Larger than every number of the partition, also when the clock was set back; only under the lock."""
        newest = max((part.last for part in self._all_parts(partition)), default=0)
        return max(time.time_ns(), newest + 1)

    @contextmanager
    def _written(self, folder: Path, write: Write) -> Iterator[Path]:
        """A temporary file with its bytes on the disk; gone afterwards unless it was renamed."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{uuid.uuid4().hex}{_TEMPORARY}"
        try:
            write(temporary)
            _sync(temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _publish(self, temporary: Path, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(path)
        _sync(path.parent)
        return path

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold every other writer of this store back, also those of other processes."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / _LOCK).open("wb") as lock:
            if sys.platform != "win32":  # there, one writing process at a time is the user's to keep
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def decoded_path(part: Part) -> Path:
    """Where the decoded form of a part is, if there is one."""
    return part.path.with_suffix(_DECODED)


def _companionless(folder: Path, parts: Sequence[Part]) -> set[Path]:
    """Decoded forms of parts that are gone or do not count any more."""
    return set(folder.glob(f"*{_DECODED}")) - {decoded_path(part) for part in _counting(parts)}


def _file_name(first: int, last: int, *, is_whole: bool) -> str:
    return f"{first:020d}-{last:020d}{'.whole' if is_whole else ''}.parquet"


def _parts_in(folder: Path) -> list[Part]:
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    found = [(name, _NAME.fullmatch(name)) for name in names]
    return sorted(
        Part(int(match["first"]), int(match["last"]), match["whole"] is not None, folder / name)
        for name, match in found
        if match
    )


def _counting(parts: Sequence[Part]) -> list[Part]:
    superseded = _superseded(parts)
    return [part for part in parts if part.path not in superseded]


def _superseded(parts: Sequence[Part]) -> set[Path]:
    """Files whose range lies within another's; of two with one range the whole one counts."""
    gone = set()
    widest: Part | None = None
    for part in sorted(parts, key=lambda part: (part.first, -part.last, not part.is_whole)):
        if widest is not None and part.last <= widest.last:
            gone.add(part.path)
        else:
            widest = part
    return gone


def _key(name: str, value: str) -> str:
    """A folder name that no text of a caller can leave: everything but letters, digits and `_-~.` is escaped."""
    if not value:
        raise InvalidArgument(f"Expected a {name}.", field=name)
    return f"{name}={quote(value, safe='')}"


def _keys(folder: Path, name: str) -> list[str]:
    prefix = f"{name}="
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(unquote(found.removeprefix(prefix)) for found in names if found.startswith(prefix))


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
