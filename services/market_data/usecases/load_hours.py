"""Keeps the trading hours of the exchanges known, without holding up the start of the service."""

import asyncio
from collections.abc import Iterable

import structlog

from services.market_data.domain.sessions import SessionBoard
from services.market_data.ports import HoursSource
from trading.clock import Clock
from trading.errors import Unavailable
from trading.instruments import ALWAYS_OPEN, Instrument


class LoadHours:
    """A loop that asks for every exchange's hours at the start and every `every_s`; sooner after a failure."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        source: HoursSource,
        board: SessionBoard,
        clock: Clock,
        *,
        every_s: float,
        retry_s: float,
    ) -> None:
        self._codes = sorted({instrument.trading_hours for instrument in instruments} - {ALWAYS_OPEN})
        self._source, self._board, self._clock = source, board, clock
        self._every_s, self._retry_s = every_s, retry_s
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Run until cancelled."""
        while True:
            answered = await self.once()
            await asyncio.sleep(self._every_s if answered else self._retry_s)

    async def once(self) -> bool:
        """Ask for all; whether every exchange answered."""
        answered = [await self._load(code) for code in self._codes]
        return all(answered)

    async def _load(self, code: str) -> bool:
        try:
            self._board.learn(code, await self._source.schedule(code, self._clock.now_ns()))
        except Unavailable as error:
            self._log.warning("trading hours are not known", exchange=code, reason=error.message)
            return False
        return True
