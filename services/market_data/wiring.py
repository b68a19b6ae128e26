"""Where market_data is put together; the only place that sees adapters and settings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random

from fleet.bus import connect
from fleet.cache import open_cache
from fleet.service import Runtime, Service
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from services.market_data.adapters.binance_stream import Rollover
from services.market_data.adapters.exchange_hours import ExchangeHours
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.adapters.metered_history import MeteredHistory
from services.market_data.adapters.nats_publisher import NatsPublisher
from services.market_data.adapters.query_pool import QueryLimits, open_query_pool
from services.market_data.adapters.record_cli import RecordOrder
from services.market_data.adapters.recording_file import RecordingFile
from services.market_data.adapters.recording_publisher import RecordingPublisher
from services.market_data.adapters.shared_quotes import SharedQuotes
from services.market_data.adapters.shared_ring import beside_ring
from services.market_data.adapters.stored_history import DiskLimits, Retention, StoredHistory
from services.market_data.adapters.venue_offers import VenueLimits, VenueOffers
from services.market_data.adapters.venue_socket import StreamLimits
from services.market_data.domain.bars import BarBook
from services.market_data.domain.coverage import Coverage
from services.market_data.domain.feed import CHANNELS, Venue
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.history_buffer import HistoryBuffer
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.recording import RecordedCounts
from services.market_data.domain.registry import Registry
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.trade_line import LineRules
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.domain.window_board import WindowBoard
from services.market_data.domain.windows import parse_window
from services.market_data.ports import HistorySource, MarketPublisher
from services.market_data.rpc import MarketDataServicer
from services.market_data.settings import Settings
from services.market_data.usecases.fetch_bars import FetchBars
from services.market_data.usecases.fill_holes import FillPolicy
from services.market_data.usecases.get_historical import GetHistorical
from services.market_data.usecases.get_quote import GetQuote
from services.market_data.usecases.list_bars import ListBars
from services.market_data.usecases.load_hours import LoadHours
from services.market_data.usecases.load_instruments import LoadInstruments
from services.market_data.usecases.mirror_quotes import MirrorQuotes
from services.market_data.usecases.owned_history import OwnedHistory
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.record_history import RecordHistory, TidyHistory
from services.market_data.usecases.record_venue import RecordVenue
from services.market_data.usecases.report_venue import ReportVenue
from services.market_data.usecases.run_feed import FeedPolicy, RunFeed
from services.market_data.usecases.run_venue import RunVenue
from services.market_data.usecases.stream_quotes import QuoteStreams
from services.market_data.usecases.table_places import TablePlaces
from trading.errors import Unavailable
from trading.ids import new_id
from trading.instruments import AssetClass

_MS = 1_000_000
_SECOND = 1_000_000_000
_MEGABYTE = 2**20
_ZONES = {AssetClass.EQUITY: "America/New_York", AssetClass.CRYPTO: "UTC"}
"""Where the day of a market begins."""
HISTORY = "history"
"""The folder of the history below the data directory."""
HOURS = "trading_hours"
"""The folder of the exchanges' hours there."""


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Connect to NATS, the cache and the venues' REST APIs, and build the service on them."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(settings.nats_url, runtime.name, runtime.metrics))
        cache = await stack.enter_async_context(open_cache(settings.redis_url.get_secret_value()))

        feed_id = new_id()
        board = QuoteBoard()
        streams = QuoteStreams(board, streams_most=settings.stream_clients, blocks_most=settings.stream_blocks)
        nats = NatsPublisher(bus, feed_id, runtime.clock, patience_s=settings.nats_patience_seconds)
        ringed = await stack.enter_async_context(
            beside_ring(nats, settings.ring, ticks=settings.ring_ticks, symbols=len(settings.symbols))
        )
        windows = WindowBoard(map(parse_window, settings.windows))
        buffer, store = HistoryBuffer(settings.history_pending_rows), _store(settings)
        folder = settings.data_dir / HISTORY
        queries = await stack.enter_async_context(open_query_pool(folder, _query_limits(settings)))
        market = Market(
            Registry(settings.symbols),
            Coverage(settings.market_data_venues),
            MarketState(board, LiveBars(settings.live_bars), streams, windows),
            RecordingPublisher(ringed, buffer) if settings.history_recording else ringed,
        )
        desks = [await open_desk(stack, settings, runtime, name, market) for name in settings.market_data_venues]
        sources = {desk.venue.name: _fetching(desk, store, settings, runtime) for desk in desks}
        history = OwnedHistory(market.coverage, sources)
        record = RecordHistory(
            buffer,
            store,
            MeteredHistory(runtime.metrics),
            flush_rows=settings.history_flush_rows,
            flush_s=settings.history_flush_seconds,
        )
        stack.push_async_callback(record.flush)  # what came since the last flush, once the loops have ended
        tidy = TidyHistory(store, tuple(sources), runtime.clock, every_s=settings.history_tidy_seconds)
        servicer = MarketDataServicer(
            registry=market.registry,
            get_quote=GetQuote(market.registry, board, {desk.venue.name: desk.venue for desk in desks}),
            streams=streams,
            session_of=market.state.session_of,
            windows=windows,
            list_bars=ListBars(market.registry, history, market.state.live_bars, settings.activity_bars),
            get_historical=GetHistorical(market.registry, market.coverage, store, sources, market.state.live_bars),
            queries=queries,
            places=TablePlaces(settings.history_tables),
            frame_rows_most=settings.history_rows,
            stats=[(desk.venue, desk.counts) for desk in desks],
            feed_id=feed_id,
            clock=runtime.clock,
        )
        hours = LoadHours(
            market.registry.all(),
            ExchangeHours(settings.data_dir / HOURS, timeout_s=settings.hours_timeout_seconds),
            market.state.sessions,
            runtime.clock,
            every_s=settings.hours_refresh_seconds,
            retry_s=settings.hours_retry_seconds,
        )
        mirror = MirrorQuotes(board, SharedQuotes(cache, settings.mirror_ttl_seconds), settings.mirror_ms / 1e3)
        yield Service(
            register=(lambda server: pb_grpc.add_MarketDataServiceServicer_to_server(servicer, server),),
            service_names=(pb.DESCRIPTOR.services_by_name["MarketDataService"].full_name,),
            loops={
                "mirror": mirror,
                "hours": hours,
                "record": record,
                "tidy": tidy,
                **{desk.venue.name: desk.run for desk in desks},
            },
            checks={"nats": bus.check, "venue": _check_of([desk.venue for desk in desks])},
        )


async def record(settings: Settings, runtime: Runtime, order: RecordOrder, stop: asyncio.Event) -> RecordedCounts:
    """Write what the first venue says to a file, with the connections of the service and without a fleet.

    Raises FeedRefused when the venue refuses us, and OSError when the file cannot be written.
    """
    (name, *_), board = settings.market_data_venues, QuoteBoard()
    streams = QuoteStreams(board, streams_most=1, blocks_most=1)
    async with AsyncExitStack() as stack, RecordingFile(order.out) as recording:
        state = MarketState(board, LiveBars(1), streams)
        market = Market(Registry(settings.symbols), Coverage([name]), state, recording)
        desk = await open_desk(stack, settings, runtime, name, market)
        run = RecordVenue(desk.run, desk.venue, partial(order.say, recording.counts))
        recording.counts.complaint = await run(order.seconds, stop)
    return recording.counts


@dataclass(frozen=True, slots=True)
class Market:
    """What all venues of the service share."""

    registry: Registry
    coverage: Coverage
    state: MarketState
    publisher: MarketPublisher


@dataclass(frozen=True, slots=True)
class Desk:
    """One venue: its state, its counts, its history, and the loop that runs it."""

    venue: Venue
    counts: VenueCounts
    history: HistorySource
    run: RunVenue


async def open_desk(stack: AsyncExitStack, settings: Settings, runtime: Runtime, name: str, market: Market) -> Desk:
    """Build everything that one venue needs on its REST clients."""
    clock, publisher = runtime.clock, market.publisher
    offers = VenueOffers(stack, settings, _limits(settings), clock)
    offer = await offers.open(name, _classes(market.registry))
    venue, counts = Venue(name, [feed.channel for feed in offer.feeds]), VenueCounts()
    meter = MeteredCounts(name, counts, runtime.metrics, lambda symbol: market.registry.get(symbol).asset_class)
    lines = TradeLines(name, LineRules(settings.trade_ids_kept, settings.held_trades), numbered=offer.numbered)
    gaps = GapWatch(name)
    bars = _bars(settings, name, market.registry)
    guard = FutureGuard(round(settings.future_seconds * _SECOND), settings.future_ticks)

    def owns(symbol: str) -> bool:
        return market.coverage.owner(symbol) == name

    publish = PublishTicks(market.state, bars, gaps, lines, guard, publisher, meter, owns)
    report = ReportVenue(venue, publisher, clock, stale_ns=_stale_ns(settings))
    load = LoadInstruments(name, market.registry, market.coverage, offer.assets)
    policy, random = _policy(settings), Random()  # noqa: S311  jitter, not a secret
    run_feed = RunFeed(publish, lines, gaps, offer.trades, report, meter, clock, policy, random)
    run = RunVenue(offer.feeds, load.carried, load, run_feed, publish, report, clock, policy, random)
    return Desk(venue, counts, offer.history, run)


def _bars(settings: Settings, name: str, registry: Registry) -> BarBook:
    return BarBook(
        name,
        settings.time_bars,
        round(settings.bar_grace_ms * _MS),
        revisable_ns=round(settings.bar_revisable_seconds * _SECOND),
        trades_kept=settings.bar_trades_kept,
        rules=settings.activity_bars,
        zone_of=lambda symbol: _ZONES[registry.get(symbol).asset_class],
    )


def _limits(settings: Settings) -> VenueLimits:
    return VenueLimits(
        stream=StreamLimits(
            settings.connect_timeout_seconds,
            settings.mute_after_seconds,
            settings.frame_bytes_most,
            settings.frames_ahead,
        ),
        rest_timeout_s=settings.venue_timeout_seconds,
        assets_at_once=len(settings.symbols) > settings.assets_asked_alone,
        binance_rollover=Rollover(settings.binance_life_seconds, settings.binance_overlap_seconds),
        binance_weight=settings.binance_weight,
        binance_by_depth=settings.binance_by_depth,
    )


def _store(settings: Settings) -> StoredHistory:
    return StoredHistory(
        settings.data_dir / HISTORY,
        Retention(settings.history_tick_days, settings.history_bar_days),
        DiskLimits(
            scan_bytes=settings.history_scan_megabytes * _MEGABYTE,
            decoded_bytes=settings.history_decoded_megabytes * _MEGABYTE,
            cached_bytes=settings.history_cached_megabytes * _MEGABYTE,
            joined_rows=settings.history_joined_rows,
        ),
        reads_at_once=settings.history_reads,
    )


def _fetching(desk: Desk, store: StoredHistory, settings: Settings, runtime: Runtime) -> FetchBars:
    settle_ns = round(settings.history_settle_seconds * _SECOND)
    return FetchBars(desk.venue.name, desk.history, store, runtime.clock, settle_ns=settle_ns)


def _query_limits(settings: Settings) -> QueryLimits:
    return QueryLimits(
        seconds=settings.query_seconds,
        megabytes=settings.query_megabytes,
        rows=settings.query_rows,
        answer_bytes=settings.query_answer_megabytes * _MEGABYTE,
        workers=settings.query_workers,
        waiting=settings.query_waiting,
    )


def _classes(registry: Registry) -> list[AssetClass]:
    """The asset classes that were asked for: one connection each, none for a class without symbols."""
    return [asset_class for asset_class in AssetClass if registry.listed(asset_class)]


def _stale_ns(settings: Settings) -> dict[str, int]:
    seconds = {AssetClass.EQUITY: settings.stale_after_seconds, AssetClass.CRYPTO: settings.stale_crypto_seconds}
    return {CHANNELS[asset_class]: round(limit * _SECOND) for asset_class, limit in seconds.items()}


def _policy(settings: Settings) -> FeedPolicy:
    return FeedPolicy(
        block_ticks=settings.block_ticks,
        pending_ticks_most=settings.pending_ticks,
        flush_ns=round(settings.flush_ms * _MS),
        first_retry_s=settings.first_retry_ms / 1e3,
        retry_base_s=settings.retry_base_seconds,
        retry_cap_s=settings.retry_cap_seconds,
        silence_s={AssetClass.CRYPTO: settings.silent_crypto_seconds},
        fill=FillPolicy(
            overlap_ns=round(settings.backfill_overlap_seconds * _SECOND),
            trades_most=settings.backfill_trades,
            patience_ns=round(settings.backfill_patience_seconds * _SECOND),
            settle_ns=round(settings.backfill_settle_seconds * _SECOND),
        ),
    )


def _check_of(venues: Sequence[Venue]) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if complaints := [complaint for venue in venues if (complaint := venue.complaint()) is not None]:
            raise Unavailable("; ".join(complaints))

    return check
