"""Asks a venue about every symbol that we were told to stream."""

import asyncio

import structlog

from services.market_data.domain.coverage import Coverage
from services.market_data.domain.registry import Registry
from services.market_data.ports import InstrumentSource
from trading.errors import FailedPrecondition
from trading.instruments import AssetClass, Instrument

_AT_ONCE = 8


class LoadInstruments:
    """Fills the registry with what the venue knows; what no venue lists is left out of the streams, by name."""

    def __init__(self, venue: str, registry: Registry, coverage: Coverage, source: InstrumentSource) -> None:
        self._venue, self._registry, self._coverage, self._source = venue, registry, coverage, source
        self._log = structlog.get_logger(__name__)

    async def __call__(self) -> None:
        """Ask about all; raises what the source raises, and may then be called again."""
        instruments = self._registry.all()
        try:
            for start in range(0, len(instruments), _AT_ONCE):
                await asyncio.gather(*map(self._ask, instruments[start : start + _AT_ONCE]))
        except FailedPrecondition:  # refused for good: others may answer for its symbols
            self._coverage.deny(self._venue, (instrument.symbol for instrument in instruments))
            raise
        finally:
            for instrument in instruments:
                self._settle(instrument.symbol)
        if unlisted := [one.symbol for one in instruments if not self._coverage.carries(self._venue, one.symbol)]:
            self._log.error("the venue does not list these symbols", venue=self._venue, symbols=unlisted)

    def carried(self, asset_class: AssetClass) -> list[Instrument]:
        """What the venue lists of one class, as far as it has said."""
        return [
            instrument
            for instrument in self._registry.all()
            if instrument.asset_class is asset_class and self._coverage.carries(self._venue, instrument.symbol)
        ]

    async def _ask(self, instrument: Instrument) -> None:
        self._coverage.learn(self._venue, instrument.symbol, await self._source.asset(instrument))

    def _settle(self, symbol: str) -> None:
        """The registry believes the venue that answers for the symbol, once it has spoken."""
        owner = self._coverage.owner(symbol)
        if owner is None:
            self._registry.learn(symbol, None, str(self._coverage))
        elif (asset := self._coverage.asset(owner, symbol)) is not None:
            self._registry.learn(symbol, asset, owner)
