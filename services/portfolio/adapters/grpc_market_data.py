"""market_data over gRPC."""

import asyncio
from collections.abc import Mapping, Sequence

from fleet.blocks import to_quote
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.portfolio.domain.estimation.history import Closes
from trading.clock import DAY_NS
from trading.instruments import AssetClass, Instrument, Instruments
from trading.market import Quote
from trading.money import to_float

_PAGE_BARS = 10_000
_CONCURRENT_READS = 8


class GrpcMarketData:
    """Reads quotes, the sectors of instruments and daily closes."""

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

    async def instruments(self) -> Instruments:
        """Every instrument, by any spelling."""
        answer = await self._stub.ListInstruments(pb.ListInstrumentsRequest())
        return Instruments(map(_instrument, answer.instruments))

    async def daily_closes(self, symbols: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Closes]:
        """Closes of each symbol by day, a few symbols at a time."""
        slots = asyncio.Semaphore(_CONCURRENT_READS)
        try:
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(self._closes(symbol, start_ns, end_ns, slots)) for symbol in symbols]
        except ExceptionGroup as failed:  # the first to fail ended the others: its error is the answer
            raise failed.exceptions[0] from None
        return [task.result() for task in reading]

    async def _closes(self, symbol: str, start_ns: int, end_ns: int, slots: asyncio.Semaphore) -> Closes:
        closes: dict[int, float] = {}
        question = pb.ListBarsRequest(
            symbols=[symbol], start_time_ns=start_ns, end_time_ns=end_ns, interval="1d", page_size=_PAGE_BARS
        )
        async with slots:
            while True:
                answer = await self._stub.ListBars(question)
                closes.update(
                    (bar.timestamp_ns // DAY_NS, to_float(bar.close_nanos))
                    for bar in answer.bars
                    if bar.close_nanos > 0
                )
                if not answer.next_cursor:
                    return closes
                question.cursor = answer.next_cursor


def _instrument(message: market.Instrument) -> Instrument:
    return Instrument(
        symbol=message.symbol,
        asset_class=AssetClass(message.asset_class or AssetClass.EQUITY),
        currency=message.currency,
        tick_nanos=message.tick_nanos,
        lot_nanos=max(message.lot_nanos, 1),
        min_quantity_nanos=max(message.min_quantity_nanos, 1),
        max_quantity_nanos=message.max_quantity_nanos,
        sector=message.sector,
        name=message.name,
        tradable=message.tradable,
        shortable=message.shortable,
        venue_symbols=dict(message.venue_symbols),
        trading_hours=message.trading_hours,
    )
