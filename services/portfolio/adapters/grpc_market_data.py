"""market_data over gRPC."""

from collections.abc import Mapping

from fleet.blocks import to_quote
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from trading.market import Quote


class GrpcMarketData:
    """Reads quotes and the sectors of instruments."""

    def __init__(self, stub: MarketDataServiceStub) -> None:
        self._stub = stub

    async def quote(self, symbol: str) -> Quote:
        """The newest quote."""
        answer = await self._stub.GetQuote(pb.GetQuoteRequest(symbol=symbol))
        return to_quote(answer.quote)

    async def sectors(self) -> Mapping[str, str]:
        """Sector of every instrument that has one, by every spelling of its symbol in capitals."""
        answer = await self._stub.ListInstruments(pb.ListInstrumentsRequest())
        return {
            spelling.upper(): instrument.sector
            for instrument in answer.instruments
            if instrument.sector
            for spelling in (instrument.symbol, *instrument.venue_symbols.values())
        }
