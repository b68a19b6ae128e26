"""Writes what was published to the history, in the background and in large pieces."""

import asyncio
from collections.abc import Sequence

import structlog

from services.market_data.domain.history import HistoryAway
from services.market_data.domain.history_buffer import HistoryBuffer
from services.market_data.ports import HistoryMeter, HistoryStore
from trading.clock import Clock

_LOOKS_PER_FLUSH = 10
_FIRST_SHARE = 0.1
"""The first pass comes early: it removes what a process left behind that died."""


class RecordHistory:
    """A loop that flushes at `flush_rows` rows or every `flush_s`, and a last time when it ends."""

    def __init__(
        self, buffer: HistoryBuffer, store: HistoryStore, meter: HistoryMeter, *, flush_rows: int, flush_s: float
    ) -> None:
        self._buffer, self._store, self._meter = buffer, store, meter
        self._flush_rows, self._flush_s = flush_rows, flush_s
        self._reported = 0
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Run until cancelled."""
        while True:
            for _ in range(_LOOKS_PER_FLUSH):
                await asyncio.sleep(self._flush_s / _LOOKS_PER_FLUSH)
                if self._buffer.rows >= self._flush_rows:
                    break
            await self.flush()

    async def flush(self) -> int:
        """Write what waits; what the disk does not take is lost, and said so. How many rows were written."""
        self._report_drops()
        recorded = self._buffer.take()
        if not recorded.rows:
            return 0
        try:
            rows = await self._store.record(recorded)
        except HistoryAway as error:
            self._meter.found_no_disk(recorded.rows)
            self._log.error("history not written", rows=recorded.rows, reason=error.message)
            return 0
        self._meter.written(rows)
        return rows

    def _report_drops(self) -> None:
        lost = self._buffer.dropped - self._reported
        if lost:
            self._reported = self._buffer.dropped
            self._meter.found_no_room(lost)
            self._log.warning("history buffer was full", rows_dropped=lost)


class TidyHistory:
    """A loop that merges small files and drops old ones every `every_s`."""

    def __init__(self, store: HistoryStore, venues: Sequence[str], clock: Clock, *, every_s: float) -> None:
        self._store, self._venues, self._clock, self._every_s = store, venues, clock, every_s
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Run until cancelled."""
        await asyncio.sleep(self._every_s * _FIRST_SHARE)
        while True:
            await self.once()
            await asyncio.sleep(self._every_s)

    async def once(self) -> None:
        """One pass; a disk that fails is tried again by the next."""
        try:
            await self._store.tidy(self._venues, self._clock.now_ns())
        except HistoryAway as error:
            self._log.error("history not tidied", reason=error.message)
