"""Between the words of the trade and the protobuf messages of market_data."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from fleet.blocks import quotes_message
from fleet.rpc import written
from fleet.slices import sliced
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc_pb
from services.market_data.domain.feed import FeedState, Venue, VenueStatus
from services.market_data.domain.frame_query import Aggregate, FrameQuery, selection
from services.market_data.domain.frame_query import frame_query as checked_query
from services.market_data.domain.gaps import Gap
from services.market_data.domain.history import Kind
from services.market_data.domain.quotes import NewestQuote
from services.market_data.domain.sessions import Session, SessionNow, SessionState
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.window_board import SymbolWindows
from services.market_data.ports import EncodedFrame
from trading.errors import InvalidArgument
from trading.instruments import Instrument
from trading.market import Bar, QuoteBlock

_STATES = {
    FeedState.UP: pb.VENUE_STATE_UP,
    FeedState.DOWN: pb.VENUE_STATE_DOWN,
    FeedState.STALE: pb.VENUE_STATE_STALE,
    FeedState.FAILED: pb.VENUE_STATE_FAILED,
}
_KINDS = {
    rpc_pb.HISTORY_KIND_UNSPECIFIED: Kind.BARS,
    rpc_pb.HISTORY_KIND_BARS: Kind.BARS,
    rpc_pb.HISTORY_KIND_QUOTES: Kind.QUOTES,
    rpc_pb.HISTORY_KIND_TRADES: Kind.TRADES,
}
ResponseT = TypeVar("ResponseT", rpc_pb.GetHistoricalResponse, rpc_pb.QueryHistoryResponse)


_SESSION_STATES = {
    SessionState.UNKNOWN: pb.SESSION_STATE_UNSPECIFIED,
    SessionState.OPEN: pb.SESSION_STATE_OPEN,
    SessionState.CLOSED: pb.SESSION_STATE_CLOSED,
    SessionState.HALTED: pb.SESSION_STATE_HALTED,
    SessionState.LIMIT_UP: pb.SESSION_STATE_LIMIT_UP,
    SessionState.LIMIT_DOWN: pb.SESSION_STATE_LIMIT_DOWN,
}


def quote(newest: NewestQuote, *, stale: bool) -> pb.Quote:
    """The newest quote of a symbol, with its newest trade when there was one."""
    found = newest.quote
    return pb.Quote(
        symbol=found.symbol,
        bid_nanos=found.bid_nanos,
        bid_size_nanos=found.bid_size_nanos,
        ask_nanos=found.ask_nanos,
        ask_size_nanos=found.ask_size_nanos,
        event_time_ns=found.event_time_ns,
        receive_time_ns=found.receive_time_ns,
        venue=found.venue,
        last_trade_price_nanos=newest.last_trade_price_nanos,
        last_trade_size_nanos=newest.last_trade_size_nanos,
        stale=stale,
    )


def quotes(block: QuoteBlock, first_sequence: int, feed_id: str) -> rpc_pb.StreamQuotesResponse:
    """A block for a reader of the stream."""
    return rpc_pb.StreamQuotesResponse(block=quotes_message(block, first_sequence, feed_id))


def bar(found: Bar) -> pb.Bar:
    """A time bar."""
    return pb.Bar(**found._asdict())


def windows(symbol: str, found: SymbolWindows) -> rpc_pb.GetWindowsResponse:
    """The rolling windows of a symbol."""
    return rpc_pb.GetWindowsResponse(
        symbol=symbol,
        windows=[rpc_pb.RollingWindow(**one._asdict()) for one in found.windows],
        as_of_ns=found.as_of_ns,
        from_quotes=found.from_quotes,
    )


def gap(found: Gap) -> pb.Gap:
    """A hole in a symbol's ticks."""
    return pb.Gap(
        venue=found.venue,
        symbol=found.symbol,
        from_time_ns=found.from_time_ns,
        to_time_ns=found.to_time_ns,
        reason=found.reason,
    )


def venue_status(status: VenueStatus) -> pb.VenueStatus:
    """A change of a venue's state."""
    return pb.VenueStatus(venue=status.venue, state=_STATES[status.state], reason=status.reason, time_ns=status.time_ns)


def instrument(found: Instrument, now: SessionNow) -> pb.Instrument:
    """One tradable thing, and whether it can be traded now."""
    session = now.session or Session(0, 0)
    return pb.Instrument(
        symbol=found.symbol,
        asset_class=found.asset_class,
        currency=found.currency,
        tick_nanos=found.tick_nanos,
        lot_nanos=found.lot_nanos,
        min_quantity_nanos=found.min_quantity_nanos,
        max_quantity_nanos=found.max_quantity_nanos,
        sector=found.sector,
        name=found.name,
        tradable=found.tradable,
        shortable=found.shortable,
        venue_symbols=dict(found.venue_symbols),
        trading_hours=found.trading_hours,
        session_state=_SESSION_STATES[now.state],
        session_open_ns=session.open_ns,
        session_close_ns=session.close_ns,
    )


def venue_stats(venue: Venue, counts: VenueCounts) -> rpc_pb.VenueStats:
    """The counts of one venue."""
    return rpc_pb.VenueStats(
        venue=venue.name,
        quotes=counts.quotes,
        trades=counts.trades,
        blocks=counts.blocks,
        dropped=counts.dropped,
        reconnects=counts.reconnects,
        state=_STATES[venue.state],
    )


def frame_query(
    request: rpc_pb.GetHistoricalRequest, symbols: Sequence[str], now_ns: int, *, rows_most: int
) -> FrameQuery:
    """A question about the past, checked; raises InvalidArgument with the field."""
    if request.kind not in _KINDS:
        raise InvalidArgument("Expected bars, quotes or trades.", field="kind", value=request.kind)
    rows = selection(
        _KINDS[request.kind],
        tuple(symbols),
        request.interval,
        request.start_time_ns,
        request.end_time_ns,
        request.venue,
        now_ns,
    )
    return checked_query(
        rows,
        columns=request.columns,
        filter_text=request.filter,
        group_by=request.group_by,
        aggregates=[Aggregate(one.column, one.function, one.name) for one in request.aggregates],
        row_limit=request.row_limit,
        rows_most=rows_most,
    )


def historical(found: EncodedFrame) -> Iterator[rpc_pb.GetHistoricalResponse]:
    """A table in slices."""
    return _sliced(found, rpc_pb.GetHistoricalResponse)


def answered(found: EncodedFrame) -> Iterator[rpc_pb.QueryHistoryResponse]:
    """The answer of a query in slices."""
    return _sliced(found, rpc_pb.QueryHistoryResponse)


def _sliced(found: EncodedFrame, response: type[ResponseT]) -> Iterator[ResponseT]:
    for message in sliced(found.parts, found.rows, truncated=found.truncated):
        yield written(response, message)
