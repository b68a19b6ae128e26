"""Drives the market: says a recording or a simulation piece by piece, at its own pace or as fast as customers read."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.paper_venue.domain.market import Market
from services.paper_venue.domain.sessions import SessionRule, Sessions
from services.paper_venue.domain.ticks import Ticks
from services.paper_venue.feed import Feed
from trading.clock import Clock
from trading.instruments import AssetClass
from trading.order import TimeInForce

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
    """Says chunk after chunk; after the last one it repeats `last_quotes` so that orders still fill."""

    def __init__(
        self, market: Market, feed: Feed, chunks: Iterator[Ticks], last_quotes: Ticks, rules: PumpRules, clock: Clock
    ) -> None:
        self._market = market
        self._feed = feed
        self._chunks = chunks
        self._last_quotes = last_quotes
        self._rules = rules
        self._clock = clock
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


async def keep_sessions(market: Market, sessions: Sessions, clock: Clock) -> None:
    """Whenever the trading day ends, end DAY orders and, where the market closes then, its quotes; until cancelled."""
    closes_ns = sessions.next_close_ns(clock.now_ns())
    while True:
        left_s = (closes_ns - clock.now_ns()) / 1e9
        # Short sleeps, so that a host whose clock is set still ends the day at its time.
        await asyncio.sleep(min(max(left_s, 0.0), _LONGEST_WAIT_S))
        if clock.now_ns() >= closes_ns:
            market.exchange.expire(TimeInForce.DAY, clock.now_ns())
            if sessions.rule is SessionRule.NYSE:
                market.exchange.clear_quotes(AssetClass.EQUITY)
            closes_ns = sessions.next_close_ns(clock.now_ns())
