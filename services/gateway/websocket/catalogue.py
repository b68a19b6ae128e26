"""Every spelling of every symbol, asked of market_data and remembered for a moment."""

from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from trading.clock import SECOND_NS, Clock
from trading.instruments import Instrument, Instruments


class Catalogue:
    """Finds the canonical symbol behind any spelling."""

    def __init__(self, market_data: MarketDataServiceStub, clock: Clock, *, fresh_s: float) -> None:
        self._market_data = market_data
        self._clock = clock
        self._fresh_ns = round(fresh_s * SECOND_NS)
        self._instruments = Instruments()
        self._asked_ns: int | None = None

    async def canonical(self, spelling: str) -> str:
        """The canonical symbol; raises UnknownSymbol, or Unavailable before market_data has answered once."""
        if spelling not in self._instruments and not self._is_fresh():
            await self._ask()
        return self._instruments.get(spelling).symbol

    async def canonical_all(self, spellings: list[str]) -> list[str]:
        """The canonical symbols, each once; raises UnknownSymbol for the first that is none."""
        return list({await self.canonical(spelling): None for spelling in spellings})

    def _is_fresh(self) -> bool:
        return self._asked_ns is not None and self._clock.monotonic_ns() - self._asked_ns < self._fresh_ns

    async def _ask(self) -> None:
        answer = await self._market_data.ListInstruments(rpc.ListInstrumentsRequest())
        for found in answer.instruments:
            self._instruments.add(Instrument(found.symbol, venue_symbols=dict(found.venue_symbols)))
        self._asked_ns = self._clock.monotonic_ns()
