"""Ticks of days that have ended: their files become one, and the newest are decoded for whoever reads them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from services.market_data.adapters.decoded_files import SMALL_BYTES, decode, decoded_bytes
from services.market_data.adapters.history_files import Part, decoded_path
from services.market_data.adapters.parquet_store import ParquetStore, rows_of
from services.market_data.domain.history import Kind, Partition
from trading.clock import MINUTE_NS

_TICKS = (Kind.QUOTES, Kind.TRADES)
_SETTLE_NS = 15 * MINUTE_NS
"""How long after its end late ticks of a day may come; later ones are read too, and only slower."""
_ROW_BYTES = {Kind.QUOTES: 49, Kind.TRADES: 64}
"""About what a decoded row takes, until its file says how much."""


@dataclass(frozen=True, slots=True)
class SealLimits:
    """Most bytes of decoded files, 0 for none of them, and most rows that are joined into one file."""

    decoded_bytes: int
    joined_rows: int


class SealedHistory:
    """Works through ended days a piece at a time. Its methods block: call them from a thread."""

    def __init__(self, store: ParquetStore, limits: SealLimits) -> None:
        self._store, self._limits = store, limits
        self._waiting: deque[tuple[Partition, bool]] = deque()

    def plan(self, now_ns: int) -> int:
        """Look at all ended days, newest first, and drop the decoded files there is no room for; how many wait."""
        ended = [
            partition
            for kind in _TICKS
            for partition in self._store.files.partitions(kind)
            if partition.period.end_ns + _SETTLE_NS <= now_ns
        ]
        self._waiting.clear()
        room = self._limits.decoded_bytes
        for partition in sorted(ended, key=lambda one: one.period.end_ns, reverse=True):
            parts = self._store.files.parts(partition)
            needed = _needed_bytes(partition.kind, parts)
            has_room = 0 < needed <= room
            if has_room:
                room -= needed
            else:
                _drop(parts)
            if self._is_joined(partition, parts) or (has_room and not all(map(decoded_bytes, parts))):
                self._waiting.append((partition, has_room))
        return len(self._waiting)

    def go_on(self, bytes_most: int) -> int:
        """Do what waits until about so many bytes were written; how many days are done."""
        done = written = 0
        while self._waiting and written < bytes_most:
            written += self._seal(*self._waiting.popleft())
            done += 1
        return done

    def _is_joined(self, partition: Partition, parts: Sequence[Part]) -> bool:
        return len(parts) > 1 and self._store.rows(partition) <= self._limits.joined_rows

    def _seal(self, partition: Partition, has_room: bool) -> int:
        written = 0
        if self._is_joined(partition, self._store.files.parts(partition)) and self._store.join(partition):
            written += self._store.size_bytes(partition)
        for part in self._store.files.parts(partition) if has_room else ():
            if not decoded_bytes(part):
                written += decode(self._store.files, partition.kind, part)
        return written


def _needed_bytes(kind: Kind, parts: Sequence[Part]) -> int:
    """What the decoded files of a day take or will take; 0 when it is too small to need any."""
    if sum(part.path.stat().st_size for part in parts) < SMALL_BYTES:
        return 0
    return sum(decoded_bytes(part) or rows_of(part) * _ROW_BYTES[kind] for part in parts)


def _drop(parts: Sequence[Part]) -> None:
    for part in parts:
        decoded_path(part).unlink(missing_ok=True)
