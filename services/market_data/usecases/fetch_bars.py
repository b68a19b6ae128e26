"""Bars of a venue through the history: what has been fetched once is not asked for again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from services.market_data.domain.history import HistoryAway, Period, periods, stretch_of
from services.market_data.ports import HistorySource, HistoryStore
from trading.clock import SECOND_NS, Clock
from trading.instruments import Instrument
from trading.market import Bar, Interval

_CALL_BARS = 10_000
_CALLS_AT_ONCE = 4
_EMPTY_RUNS_MOST = 64


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Neighbouring periods that are asked for together, and the part of them that is wanted."""

    periods: tuple[Period, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """Bars too young for the store, and whether the venue was asked and knew of nothing at all."""

    fresh: list[Bar]
    is_empty: bool


class FetchBars:
    """A HistorySource that keeps what `source` says about periods that ended `settle_ns` ago or longer.

    By then the venue has made its corrections. Younger periods are asked for every time.
    """

    def __init__(self, venue: str, source: HistorySource, store: HistoryStore, clock: Clock, *, settle_ns: int) -> None:
        self.venue = venue
        self._source, self._store, self._clock, self._settle_ns = source, store, clock, settle_ns
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._log = structlog.get_logger(__name__)

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """See `ports.HistorySource`. Without a disk, the venue answers as if there were no history."""
        try:
            return await self._through_store(instruments, interval, start_ns, end_ns, limit)
        except HistoryAway as error:
            self._log.error("bars not kept", reason=error.message)
            return await self._source.bars(instruments, interval, start_ns, end_ns, limit)

    async def _through_store(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        found: dict[str, list[Bar]] = {}
        walk = _Walk(interval, start_ns, end_ns, len(instruments))
        while (chunk := walk.next()) and sum(map(len, found.values())) < limit:
            kept = await self._keep(instruments, interval, chunk)
            walk.passed(is_empty=kept.is_empty)
            for symbol, bars in (await self._stored(instruments, interval, chunk, kept.fresh)).items():
                found.setdefault(symbol, []).extend(bars)
        return _first(found, limit)

    async def keep(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int
    ) -> list[Bar]:
        """Bring the store up to date; the bars that it may not keep yet."""
        fresh: list[Bar] = []
        walk = _Walk(interval, start_ns, end_ns, len(instruments))
        while chunk := walk.next():
            kept = await self._keep(instruments, interval, chunk)
            walk.passed(is_empty=kept.is_empty)
            fresh += kept.fresh
        return fresh

    async def _stored(
        self, instruments: Sequence[Instrument], interval: Interval, chunk: _Chunk, fresh: Sequence[Bar]
    ) -> dict[str, list[Bar]]:
        symbols = [instrument.symbol for instrument in instruments]
        stored = await self._store.bars(self.venue, symbols, interval, chunk.start_ns, chunk.end_ns)
        by_start = {symbol: {bar.timestamp_ns: bar for bar in bars} for symbol, bars in stored.items()}
        for bar in fresh:
            by_start[bar.symbol][bar.timestamp_ns] = bar
        return {symbol: [bars[start] for start in sorted(bars)] for symbol, bars in by_start.items() if bars}

    async def _keep(self, instruments: Sequence[Instrument], interval: Interval, chunk: _Chunk) -> _Kept:
        settled_ns = self._clock.now_ns() - self._settle_ns
        settled = [period for period in chunk.periods if period.end_ns <= settled_ns]
        is_empty = await self._fill(instruments, interval, settled) if settled else True
        if len(settled) == len(chunk.periods):
            return _Kept([], is_empty)
        young_ns = max(chunk.start_ns, chunk.periods[len(settled)].start_ns)
        most = _most(interval, young_ns, chunk.end_ns, instruments)
        async with self._calls:
            told = await self._source.bars(instruments, interval, young_ns, chunk.end_ns, most)
        fresh = [bar for bars in told.values() for bar in bars]
        return _Kept(fresh, is_empty and not fresh)

    async def _fill(self, instruments: Sequence[Instrument], interval: Interval, settled: Sequence[Period]) -> bool:
        """Fetch and keep what is lacking; whether the venue knew of nothing, which is then not kept."""
        lacking = {}
        for instrument in instruments:
            here = await self._store.whole(self.venue, instrument.symbol, interval, settled)
            if missing := [period for period in settled if period not in here]:
                lacking[instrument.symbol] = missing
        if not lacking:
            return False
        asked = [instrument for instrument in instruments if instrument.symbol in lacking]
        start_ns = min(period.start_ns for missing in lacking.values() for period in missing)
        end_ns = max(period.end_ns for missing in lacking.values() for period in missing)
        most = _most(interval, start_ns, end_ns, asked)
        async with self._calls:
            told = await self._source.bars(asked, interval, start_ns, end_ns, most)
        if not any(told.values()):
            return True
        for symbol, missing in lacking.items():
            await self._store.keep_whole(self.venue, symbol, interval, _by_period(told.get(symbol, []), missing))
        return False


class _Walk:
    """Goes through a range in runs of about one page of the venue; longer runs where the venue knows of nothing."""

    def __init__(self, interval: Interval, start_ns: int, end_ns: int, symbols: int) -> None:
        self._stretch = stretch_of(interval)
        self._at_ns, self._end_ns = start_ns, end_ns
        first = Period.holding(start_ns, self._stretch)
        slots = (first.end_ns - first.start_ns) // (interval.seconds * SECOND_NS) * max(symbols, 1)
        self._shortest = self._run = max(_CALL_BARS // slots, 1)

    def next(self) -> _Chunk | None:
        """The next run, its first and last period cut to the range; None at the end."""
        run = tuple(islice(periods(self._at_ns, self._end_ns, self._stretch), self._run))
        if not run:
            return None
        start_ns, self._at_ns = self._at_ns, min(run[-1].end_ns, self._end_ns)
        return _Chunk(run, start_ns, self._at_ns)

    def passed(self, *, is_empty: bool) -> None:
        """How the last run went."""
        self._run = min(self._run * 2, self._shortest * _EMPTY_RUNS_MOST) if is_empty else self._shortest


def _most(interval: Interval, start_ns: int, end_ns: int, instruments: Sequence[Instrument]) -> int:
    """More bars than the range can hold, so that no answer is cut off."""
    return ((end_ns - start_ns) // (interval.seconds * SECOND_NS) + 2) * len(instruments) + 1


def _by_period(bars: Sequence[Bar], wanted: Sequence[Period]) -> dict[Period, list[Bar]]:
    by_period: dict[Period, list[Bar]] = {period: [] for period in wanted}
    for bar in bars:
        period = Period.holding(bar.timestamp_ns, wanted[0].stretch)
        if period in by_period:
            by_period[period].append(bar)
    return by_period


def _first(found: dict[str, list[Bar]], limit: int) -> dict[str, list[Bar]]:
    """The first `limit` bars, symbol by symbol."""
    cut: dict[str, list[Bar]] = {}
    for symbol, bars in found.items():
        if limit <= 0:
            break
        cut[symbol] = bars[:limit]
        limit -= len(bars)
    return cut
