"""Between the words of the trade and the protobuf messages of market_data."""

from fleet.blocks import quotes_message
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc_pb
from services.market_data.domain.feed import FeedState, Venue, VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.quotes import NewestQuote
from services.market_data.domain.stats import VenueCounts
from trading.instruments import Instrument
from trading.market import Bar, QuoteBlock

_STATES = {
    FeedState.UP: pb.VENUE_STATE_UP,
    FeedState.DOWN: pb.VENUE_STATE_DOWN,
    FeedState.STALE: pb.VENUE_STATE_STALE,
    FeedState.FAILED: pb.VENUE_STATE_FAILED,
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


def instrument(found: Instrument) -> pb.Instrument:
    """One tradable thing."""
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
