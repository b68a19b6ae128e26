"""The instruments that market_data knows, asked for again and again and kept here between."""

import asyncio
from typing import Any

from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as stubs
from trading.errors import TradingError, Unavailable
from trading.instruments import Instrument
from trading.instruments import Instruments as Known


class GrpcInstruments:
    """The `Instruments` port over market_data's gRPC."""

    def __init__(self, market_data: stubs.MarketDataServiceStub, refresh_s: float, retry_s: float, log: Any) -> None:
        self._market_data = market_data
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._log = log
        self._known = Known()

    def canonical(self, spelling: str) -> str:
        """The symbol behind any spelling; raises UnknownSymbol, or Unavailable before market_data has answered."""
        if not len(self._known):
            raise Unavailable("Instruments are not known yet; market_data has not answered.")
        return self._known.get(spelling).symbol

    async def refresh(self) -> None:
        """Ask for the instruments, for ever; soon again after a failure."""
        while True:
            try:
                await self.ask()
                wait_s = self._refresh_s
            except TradingError as error:
                self._log.debug("instruments.unavailable", error=error.message)
                wait_s = self._retry_s
            await asyncio.sleep(wait_s)

    async def ask(self) -> None:
        """Ask once; raises what market_data raises."""
        answer = await self._market_data.ListInstruments(pb.ListInstrumentsRequest())
        self._known = Known(
            Instrument(symbol=each.symbol, venue_symbols=dict(each.venue_symbols)) for each in answer.instruments
        )
