"""The gRPC face of market_data: translate, call, translate."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from services.market_data import translate
from services.market_data.domain.bar_query import bar_query
from services.market_data.domain.feed import Venue
from services.market_data.domain.registry import Registry
from services.market_data.domain.sessions import SessionNow
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.window_board import WindowBoard
from services.market_data.ports import HistoryQueries
from services.market_data.usecases.get_historical import GetHistorical
from services.market_data.usecases.get_quote import GetQuote
from services.market_data.usecases.list_bars import ListBars
from services.market_data.usecases.stream_quotes import QuoteStreams
from services.market_data.usecases.table_places import TablePlaces
from trading.clock import Clock
from trading.instruments import Instrument

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class MarketDataServicer(pb_grpc.MarketDataServiceServicer):
    """Quotes, bars, instruments and counters; errors are raised and become statuses at the boundary."""

    registry: Registry
    get_quote: GetQuote
    session_of: Callable[[Instrument, int], SessionNow]
    streams: QuoteStreams
    windows: WindowBoard
    list_bars: ListBars
    get_historical: GetHistorical
    queries: HistoryQueries
    places: TablePlaces
    frame_rows_most: int
    stats: Sequence[tuple[Venue, VenueCounts]]
    feed_id: str
    clock: Clock

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Context) -> pb.GetQuoteResponse:
        newest, stale = self.get_quote(request.symbol)
        return pb.GetQuoteResponse(quote=translate.quote(newest, stale=stale))

    async def StreamQuotes(
        self, request: pb.StreamQuotesRequest, context: Context
    ) -> AsyncIterator[pb.StreamQuotesResponse]:
        asked = [self.registry.quoted(symbol).symbol for symbol in request.symbols]
        symbols = dict.fromkeys(asked or [instrument.symbol for instrument in self.registry.listed()])
        with self.streams.open(symbols) as stream:
            async for block, first_sequence in stream:
                yield translate.quotes(block, first_sequence, self.feed_id)

    async def ListBars(self, request: pb.ListBarsRequest, context: Context) -> pb.ListBarsResponse:
        query = bar_query(
            tuple(self.registry.get(symbol).symbol for symbol in request.symbols),
            request.interval,
            request.start_time_ns,
            request.end_time_ns,
            request.page_size,
            self.clock.now_ns(),
        ).resumed(request.cursor)
        bars, rest = await self.list_bars(query)
        return pb.ListBarsResponse(bars=map(translate.bar, bars), next_cursor=rest.cursor())

    async def GetHistorical(
        self, request: pb.GetHistoricalRequest, context: Context
    ) -> AsyncIterator[pb.GetHistoricalResponse]:
        symbols = [await self.get_historical.symbol(symbol) for symbol in request.symbols]
        query = translate.frame_query(request, symbols, self.clock.now_ns(), rows_most=self.frame_rows_most)
        with self.places.taken():
            for part in translate.historical(await self.get_historical(query)):
                yield part

    async def QueryHistory(
        self, request: pb.QueryHistoryRequest, context: Context
    ) -> AsyncIterator[pb.QueryHistoryResponse]:
        as_json = request.format == pb.HISTORY_FORMAT_JSON
        with self.places.taken():
            found = await self.queries.query(request.sql, request.row_limit, as_json=as_json)
            for part in translate.answered(found):
                yield part

    async def GetWindows(self, request: pb.GetWindowsRequest, context: Context) -> pb.GetWindowsResponse:
        symbol = self.registry.quoted(request.symbol).symbol
        return translate.windows(symbol, self.windows.get(symbol))

    async def ListInstruments(self, request: pb.ListInstrumentsRequest, context: Context) -> pb.ListInstrumentsResponse:
        now_ns = self.clock.now_ns()
        found = [translate.instrument(one, self.session_of(one, now_ns)) for one in self.registry.all()]
        return pb.ListInstrumentsResponse(instruments=found)

    async def GetInstrument(self, request: pb.GetInstrumentRequest, context: Context) -> pb.GetInstrumentResponse:
        found = self.registry.get(request.symbol)
        now = self.session_of(found, self.clock.now_ns())
        return pb.GetInstrumentResponse(instrument=translate.instrument(found, now))

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        return pb.GetStatsResponse(venues=[translate.venue_stats(venue, counts) for venue, counts in self.stats])
