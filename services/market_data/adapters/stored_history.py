"""The history behind its port: every call of the blocking store runs in a thread, a few at a time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from services.market_data.adapters.history_files import again_when_merged
from services.market_data.domain.frame_query import FrameQuery
from services.market_data.domain.history import HistoryAway, Kind, Partition, Period
from services.market_data.domain.history_buffer import Recorded
from services.market_data.ports import EncodedFrame
from trading.market import Bar, Interval

if TYPE_CHECKING:  # half a second to import: paid in a thread by the first call, not by the start of the service
    from services.market_data.adapters.parquet_store import ParquetStore
    from services.market_data.adapters.sealed_history import SealedHistory

Found = TypeVar("Found")
_TICKS = (Kind.QUOTES, Kind.TRADES)
_SEALED_BYTES_PER_PASS = 2**28
_PAGE = 4096
_PASSES_BETWEEN_ALL = 60
"""A tidying pass looks at what was written since the last one; every so often, at everything."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after which recorded ticks and bars go; 0 keeps them."""

    tick_days: int
    bar_days: int


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Most bytes of files that one table may open, of decoded files, of memory for small files; most rows of a join."""

    scan_bytes: int
    decoded_bytes: int
    cached_bytes: int
    joined_rows: int


class StoredHistory:
    """HistoryStore over Parquet files below `folder`."""

    def __init__(self, folder: Path, retention: Retention, limits: DiskLimits, *, reads_at_once: int) -> None:
        self._folder, self._retention, self._limits = folder, retention, limits
        self._reads = asyncio.Semaphore(reads_at_once)
        self._writes = asyncio.Lock()
        self._store: ParquetStore | None = None
        self._sealed: SealedHistory | None = None
        self._passes = 0

    async def record(self, recorded: Recorded) -> int:
        """See `ports.HistoryStore`."""
        async with self._writes:
            return await self._threaded(lambda store: store.record(recorded))

    async def whole(self, venue: str, symbol: str, interval: Interval, among: Sequence[Period]) -> set[Period]:
        """See `ports.HistoryStore`."""
        partitions = {Partition(Kind.BARS, venue, symbol, period, interval) for period in among}
        return await self._threaded(lambda store: {part.period for part in partitions if store.is_whole(part)})

    async def keep_whole(self, venue: str, symbol: str, interval: Interval, told: Mapping[Period, list[Bar]]) -> None:
        """See `ports.HistoryStore`."""

        def keep(store: "ParquetStore") -> None:
            for period, bars in told.items():
                store.keep_whole(Partition(Kind.BARS, venue, symbol, period, interval), bars)

        async with self._writes:
            await self._threaded(keep)

    async def bars(
        self, venue: str, symbols: Sequence[str], interval: Interval, start_ns: int, end_ns: int
    ) -> dict[str, list[Bar]]:
        """See `ports.HistoryStore`."""
        async with self._reads:
            return await self._threaded(lambda store: store.bars(venue, symbols, interval, start_ns, end_ns))

    async def holds(self, symbol: str) -> bool:
        """See `ports.HistoryStore`."""
        return await self._threaded(lambda store: any(store.files.partitions(kind, symbols=[symbol]) for kind in Kind))

    async def frame(self, query: FrameQuery, fresh: Sequence[Bar]) -> EncodedFrame:
        """See `ports.HistoryStore`."""

        def read(store: "ParquetStore") -> EncodedFrame:
            from services.market_data.adapters.arrow_frames import to_arrow
            from services.market_data.adapters.history_frames import HistoryFrames

            found = to_arrow(HistoryFrames(store, scan_bytes_most=self._limits.scan_bytes).read(query, fresh))
            _look_at(found)
            return found

        async with self._reads:
            return await self._threaded(read)

    async def tidy(self, venues: Sequence[str], now_ns: int) -> None:
        """See `ports.HistoryStore`."""

        is_whole_pass = self._passes % _PASSES_BETWEEN_ALL == 0
        self._passes += 1

        def tidy(store: "ParquetStore") -> None:
            touched = store.take_touched()
            store.compact(store.all_partitions() if is_whole_pass else touched)
            for kinds, days in ((_TICKS, self._retention.tick_days), ((Kind.BARS,), self._retention.bar_days)):
                for venue in venues if days and is_whole_pass else ():
                    store.retain(kinds, venue, days, now_ns)
            sealed = self._sealed = self._sealed or self._sealing(store)
            if is_whole_pass:
                sealed.plan(now_ns)
            sealed.go_on(_SEALED_BYTES_PER_PASS)

        async with self._writes:
            await self._threaded(tidy)

    def _sealing(self, store: "ParquetStore") -> "SealedHistory":
        from services.market_data.adapters.sealed_history import SealedHistory, SealLimits

        return SealedHistory(store, SealLimits(self._limits.decoded_bytes, self._limits.joined_rows))

    async def _threaded(self, work: "Callable[[ParquetStore], Found]") -> Found:
        try:
            return await asyncio.to_thread(self._work, work)
        except OSError as error:
            raise HistoryAway(f"The history cannot be read or written: {error.strerror or error}.") from error

    def _work(self, work: "Callable[[ParquetStore], Found]") -> Found:
        from services.market_data.adapters.parquet_store import ParquetStore

        store = self._store = self._store or ParquetStore(
            self._folder,
            mapped_bytes_most=self._limits.decoded_bytes,
            cached_bytes_most=self._limits.cached_bytes,
        )
        return again_when_merged(lambda: work(store))


def _look_at(found: EncodedFrame) -> None:
    """Touch every page: what a mapped file must fetch from the disk is fetched here, in a thread, not by the loop."""
    for part in found.parts:
        part[::_PAGE].tobytes()
