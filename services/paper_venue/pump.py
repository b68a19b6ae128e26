"""Drives the market: says a recording or a simulation piece by piece, at its own pace or as fast as customers read."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.paper_venue.domain.day_ends import DayEnds
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Ticks
from services.paper_venue.feed import Feed
from trading.clock import Clock

_LONGEST_SLEEP_S = 0.25
_LONGEST_WAIT_S = 60.0


class State(StrEnum):
    """Where a market run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class PumpRules:
    """How the market is said.

    `speed` is a factor of real time, None is as fast as customers read. A market that `waits` stands still while
    nobody listens, and a `patient` one waits for the slowest customer instead of dropping it.
    """

    speed: float | None
    waits: bool
    patient: bool
    frame_ticks: int = 256
    repeat_s: float = 1.0


@dataclass(slots=True)
class Progress:
    """How far the market has come; `total` is None for a market without end."""

    state: State = State.WAITING
    position: int = 0
    total: int | None = None


class Pump:
    """Says chunk after chunk; after the last one it repeats `last_quotes` so that orders still fill.

    The `days` of a recording end by its own clock: what is said after a close is said after the orders have expired.
    """

    def __init__(
        self,
        market: Market,
        feed: Feed,
        chunks: Iterator[Ticks],
        last_quotes: Ticks,
        rules: PumpRules,
        clock: Clock,
        days: DayEnds | None = None,
    ) -> None:
        self._market = market
        self._feed = feed
        self._chunks = chunks
        self._last_quotes = last_quotes
        self._rules = rules
        self._clock = clock
        self._days = days
        self._anchor: tuple[int, int] | None = None
        self.progress = Progress()

    async def run(self) -> None:
        """Drive the market until cancelled."""
        for chunk in self._chunks:
            self._market.tape.load(chunk)
            await self._say_chunk(chunk)
        await self._feed.publish(self._market.finish(), self._rules.patient)
        self.progress.state = State.FINISHED
        await self._repeat_for_ever()

    async def _say_chunk(self, chunk: Ticks) -> None:
        start = 0
        while start < len(chunk):
            await self._audience()
            end = self._due(chunk, start)
            if end > start:
                end = self._before_close(chunk, start, end)
                batch = self._market.say(chunk[start:end], self._clock.now_ns())
                await self._feed.publish(batch, self._rules.patient)
                self.progress.position += end - start
            # Even the fastest replay leaves the loop to orders between two frames.
            await asyncio.sleep(self._pause(chunk, end) if end == start else 0)
            start = end

    async def _audience(self) -> None:
        if self._rules.waits and not self._feed.has_audience:
            self.progress.state = State.WAITING
            self._anchor = None
            await self._feed.audience()
        self.progress.state = State.RUNNING

    def _before_close(self, chunk: Ticks, start: int, end: int) -> int:
        """End the days that are over at the row at `start`; the end of the rows before the next close."""
        if self._days is None:
            return end
        self._days.pass_to(int(chunk.time_ns[start]), self._clock.now_ns())
        return start + int(np.searchsorted(chunk.time_ns[start:end], self._days.next_ns, "left"))

    def _due(self, chunk: Ticks, start: int) -> int:
        """The end of the rows from `start` that may be said now."""
        most = min(start + self._rules.frame_ticks, len(chunk))
        if self._rules.speed is None:
            return most
        return start + int(np.searchsorted(chunk.time_ns[start:most], self._market_time(chunk, start), "right"))

    def _pause(self, chunk: Ticks, start: int) -> float:
        """Seconds until the row at `start` is due; bounded, so that a lost audience is noticed."""
        ahead_ns = int(chunk.time_ns[start]) - self._market_time(chunk, start)
        return min(ahead_ns / 1e9 / (self._rules.speed or 1.0), _LONGEST_SLEEP_S)

    def _market_time(self, chunk: Ticks, start: int) -> int:
        """The market's own time now; its clock starts with the first row that is said."""
        now = self._clock.monotonic_ns()
        if self._anchor is None:
            self._anchor = (int(chunk.time_ns[start]), now)
        began_at, began = self._anchor
        return began_at + round((now - began) * (self._rules.speed or 1.0))

    async def _repeat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._rules.repeat_s)
            if len(self._last_quotes):
                batch = self._market.repeat(self._last_quotes, self._clock.now_ns())
                await self._feed.publish(batch, self._rules.patient)


async def keep_days(days: DayEnds, clock: Clock) -> None:
    """End each trading day by the wall clock; until cancelled."""
    while True:
        days.pass_to(clock.now_ns(), clock.now_ns())
        left_s = (days.next_ns - clock.now_ns()) / 1e9
        # Short sleeps, so that a host whose clock is set still ends the day at its time.
        await asyncio.sleep(min(max(left_s, 0.0), _LONGEST_WAIT_S))
