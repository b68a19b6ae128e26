"""Asks the venue about every symbol that we were told to stream."""

import asyncio

import structlog

from services.market_data.domain.registry import Registry
from services.market_data.ports import InstrumentSource
from trading.instruments import Instrument

_AT_ONCE = 8


class LoadInstruments:
    """Fills the registry with what the venue knows; what it does not list is left out of the streams, by name."""

    def __init__(self, venue: str, registry: Registry, source: InstrumentSource) -> None:
        self._venue, self._registry, self._source = venue, registry, source
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Ask about all; raises what the source raises, and may then be called again."""
        instruments = self._registry.all()
        for start in range(0, len(instruments), _AT_ONCE):
            await asyncio.gather(*map(self._ask, instruments[start : start + _AT_ONCE]))
        if unlisted := self._registry.unlisted():
            self._log.error("the venue does not list these symbols", venue=self._venue, symbols=unlisted)

    async def _ask(self, instrument: Instrument) -> None:
        self._registry.learn(instrument.symbol, await self._source.asset(instrument), self._venue)
