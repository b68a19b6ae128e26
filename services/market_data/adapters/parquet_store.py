"""The history in Parquet files: written by the flush, merged when there are many, dropped when they are old."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from services.market_data.adapters.decoded_files import DecodedFiles
from services.market_data.adapters.history_files import HistoryFiles, Merge, Part, Write
from services.market_data.adapters.tick_frames import SCHEMAS, bar_frame, partitioned, recorded_frames
from services.market_data.domain.history import STORED_COLUMNS, Kind, Partition
from services.market_data.domain.history_buffer import Recorded
from trading.clock import DAY_NS
from trading.market import Bar, Interval

MERGED_PARTS = 8
ROW_GROUP_ROWS = 131_072
_TIERS = (2**16, 2**19, 2**22, 2**25, 2**28)
"""Sizes in bytes: only files of one tier are merged, so that a row is rewritten a few times and not every time."""
_KEPT_AFTER_MERGE_S = 30.0


class ParquetStore:
    """Reads and writes below one folder. Its methods block: call them from a thread."""

    def __init__(self, root: Path, *, mapped_bytes_most: int = 0, cached_bytes_most: int = 0) -> None:
        self.files = HistoryFiles(root)
        self.decoded = DecodedFiles(mapped_bytes_most=mapped_bytes_most, cached_bytes_most=cached_bytes_most)
        self._touched: set[Partition] = set()

    def record(self, recorded: Recorded) -> int:
        """Write one flush; how many rows."""
        return sum(self.add(partition, frame) for partition, frame in recorded_frames(recorded))

    def add(self, partition: Partition, frame: pl.DataFrame) -> int:
        """Add rows to a partition; how many."""
        self._touched.add(partition)
        self.files.add(partition, _writing(frame))
        return len(frame)

    def is_whole(self, partition: Partition) -> bool:
        """Whether it holds all that the venue knows of it."""
        return any(part.is_whole for part in self.files.parts(partition))

    def keep_whole(self, partition: Partition, bars: Sequence[Bar]) -> None:
        """Keep all that a venue says of a period, even when that is nothing; recorded bars fill what it leaves out."""
        told = bar_frame(bars)
        self._touched.add(partition)

        def choose(parts: Sequence[Part]) -> Merge:
            merged = pl.concat([_read(parts, partition.kind), told]).unique("timestamp_ns", keep="last")
            return Merge(parts, _writing(merged.sort("timestamp_ns")), is_whole=True)

        self.files.replace(partition, choose)

    def bars(
        self, venue: str, symbols: Sequence[str], interval: Interval, start_ns: int, end_ns: int
    ) -> dict[str, list[Bar]]:
        """Stored bars of each symbol that start in [start, end), oldest first, one for each start."""
        found = {}
        for symbol in symbols:
            parts = self.parts_of(venue, symbol, interval, start_ns, end_ns)
            frame = _read(parts, Kind.BARS).filter(pl.col("timestamp_ns").is_between(start_ns, end_ns, closed="left"))
            rows = frame.unique("timestamp_ns", keep="last").sort("timestamp_ns")
            found[symbol] = _bars_of(rows, venue, symbol, interval)
        return found

    def parts_of(self, venue: str, symbol: str, interval: Interval, start_ns: int, end_ns: int) -> list[Part]:
        """The files of a symbol's bars in [start, end)."""
        found = self.files.partitions(
            Kind.BARS, interval=interval, venue=venue, symbols=[symbol], start_ns=start_ns, end_ns=end_ns
        )
        return [part for partition in found for part in self.files.parts(partition)]

    def all_partitions(self) -> list[Partition]:
        """Everything that is stored."""
        return [partition for kind in Kind for partition in self.files.partitions(kind)]

    def take_touched(self) -> list[Partition]:
        """What was written or merged since this was last asked."""
        touched, self._touched = self._touched, set()
        return sorted(touched, key=str)

    def compact(self, partitions: Sequence[Partition], *, parts_least: int = MERGED_PARTS) -> int:
        """Merge neighbouring small files and remove leftovers; how many partitions changed."""
        self.files.sweep(partitions, _KEPT_AFTER_MERGE_S)
        merged = [partition for partition in partitions if self._compact(partition, parts_least)]
        self._touched.update(merged)  # what they were merged from goes the next time
        return len(merged)

    def join(self, partition: Partition) -> bool:
        """Merge all files of a partition into one, whatever their sizes; False when it has one or none."""
        self._touched.add(partition)  # what they were merged from goes the next time

        def choose(parts: Sequence[Part]) -> Merge | None:
            whole = any(part.is_whole for part in parts)
            return Merge(parts, _writing(_merged(parts, partition)), whole) if len(parts) > 1 else None

        return self.files.replace(partition, choose)

    def retain(self, kinds: Sequence[Kind], venue: str, days: int, now_ns: int) -> int:
        """Delete a venue's partitions that ended more than `days` days ago; how many."""
        before_ns = now_ns - days * DAY_NS
        gone = [
            partition
            for kind in kinds
            for partition in self.files.partitions(kind, venue=venue)
            if partition.period.end_ns <= before_ns
        ]
        for partition in gone:
            self.files.remove(partition)
        return len(gone)

    def rows(self, partition: Partition) -> int:
        """How many rows a partition's files hold."""
        return sum(map(rows_of, self.files.parts(partition)))

    def size_bytes(self, partition: Partition) -> int:
        """How much disk a partition's files take."""
        return sum(part.path.stat().st_size for part in self.files.parts(partition))

    def frame(self, partition: Partition) -> pl.DataFrame:
        """All rows of a partition, sorted by time."""
        time = STORED_COLUMNS[partition.kind][0]
        return _read(self.files.parts(partition), partition.kind).sort(time, maintain_order=True)

    def import_frame(self, kind: Kind, venue: str, symbol: str, interval: Interval | None, frame: pl.DataFrame) -> int:
        """Add rows of a file that a person brings; how many."""
        cut = partitioned(kind, venue, symbol, interval, frame.select(list(SCHEMAS[kind])).cast(SCHEMAS[kind]))
        return sum(self.add(partition, rows) for partition, rows in cut)

    def _compact(self, partition: Partition, parts_least: int) -> bool:
        def choose(parts: Sequence[Part]) -> Merge | None:
            run = _mergeable(parts, parts_least)
            return Merge(run, _writing(_merged(run, partition)), any(part.is_whole for part in run)) if run else None

        if not _mergeable(self.files.parts(partition), parts_least):
            return False
        return self.files.replace(partition, choose)


def rows_of(part: Part) -> int:
    """How many rows a file holds, by its footer."""
    rows: int = pq.read_metadata(part.path).num_rows
    return rows


def _merged(parts: Sequence[Part], partition: Partition) -> pl.DataFrame:
    time = STORED_COLUMNS[partition.kind][0]
    frame = _read(parts, partition.kind)
    if partition.kind is Kind.BARS:
        frame = frame.unique(time, keep="last")
    return frame.sort(time, maintain_order=True)


def _mergeable(parts: Sequence[Part], parts_least: int) -> Sequence[Part]:
    """The first run of neighbours in one tier of size that is long enough; empty when there is none."""
    tiers = [_tier(part) for part in parts]
    starts = [0, *(at for at, (before, here) in enumerate(pairwise(tiers), 1) if before != here), len(tiers)]
    runs = [parts[start:end] for start, end in pairwise(starts)]
    return next((run for run in runs if len(run) >= max(parts_least, 2)), ())


def _tier(part: Part) -> int:
    size = part.path.stat().st_size
    return sum(size >= least for least in _TIERS)


def _read(parts: Sequence[Part], kind: Kind) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame(schema=SCHEMAS[kind])
    # Named schema columns only: a path's keys would otherwise come along as columns.
    return pl.read_parquet([part.path for part in parts], glob=False, hive_partitioning=False)


def _writing(frame: pl.DataFrame) -> Write:
    def write(path: Path) -> None:
        # Dictionaries make most of the difference in size; compression on top doubles the time of every scan.
        frame.write_parquet(path, compression="uncompressed", row_group_size=ROW_GROUP_ROWS)

    return write


def _bars_of(frame: pl.DataFrame, venue: str, symbol: str, interval: Interval) -> list[Bar]:
    return [
        Bar(symbol, interval, start, first, high, low, last, volume, vwap, count, venue)
        for start, first, high, low, last, volume, vwap, count in frame.iter_rows()
    ]
