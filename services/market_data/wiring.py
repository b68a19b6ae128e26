"""Where market_data is put together; the only place that sees adapters and settings."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import httpx

from fleet.bus import connect
from fleet.cache import open_cache
from fleet.http import http_client
from fleet.service import Runtime, Service
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_history import AlpacaHistory, feed_of
from services.market_data.adapters.alpaca_key import AlpacaKey
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.alpaca_stream import CHANNELS, AlpacaFeed, StreamLimits
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.adapters.nats_publisher import NatsPublisher
from services.market_data.adapters.shared_quotes import SharedQuotes
from services.market_data.domain.bars import BarBook
from services.market_data.domain.feed import Venue
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.registry import Registry
from services.market_data.domain.stats import VenueCounts
from services.market_data.ports import MarketPublisher
from services.market_data.rpc import MarketDataServicer
from services.market_data.settings import Settings
from services.market_data.usecases.get_quote import GetQuote
from services.market_data.usecases.list_bars import ListBars
from services.market_data.usecases.load_instruments import LoadInstruments
from services.market_data.usecases.mirror_quotes import MirrorQuotes
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.report_venue import ReportVenue
from services.market_data.usecases.run_venue import FeedPolicy, RunVenue
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.errors import Unavailable
from trading.ids import new_id
from trading.instruments import AssetClass
from trading.market import Interval

_MS = 1_000_000
_SECOND = 1_000_000_000


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Connect to NATS, the cache and the venue's REST APIs, and build the service on them."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(settings.nats_url, runtime.name, runtime.metrics))
        cache = await stack.enter_async_context(open_cache(settings.redis_url.get_secret_value()))
        data = await stack.enter_async_context(_client(settings, settings.alpaca_data_url))
        trading = await stack.enter_async_context(_client(settings, settings.alpaca_trading_url))

        feed_id = new_id()
        board = QuoteBoard()
        streams = QuoteStreams(board, streams_most=settings.stream_clients, blocks_most=settings.stream_blocks)
        state = MarketState(board, LiveBars(settings.live_bars), streams)
        registry = Registry(settings.symbols)
        venue = Venue(settings.venue, [CHANNELS[asset_class] for asset_class in _classes(registry)])
        counts = VenueCounts()
        publisher = NatsPublisher(bus, feed_id, runtime.clock, patience_s=settings.nats_patience_seconds)
        load = LoadInstruments(venue.name, registry, AlpacaAssets(AlpacaRest(trading)))
        history = AlpacaHistory(venue.name, AlpacaRest(data), feed_of(settings.alpaca_stream_url))
        servicer = MarketDataServicer(
            registry=registry,
            get_quote=GetQuote(registry, board, venue, CHANNELS),
            streams=streams,
            list_bars=ListBars(registry, history, state.live_bars),
            stats=((venue, counts),),
            feed_id=feed_id,
            clock=runtime.clock,
        )
        parts = _Parts(settings, runtime, state, registry, venue, counts, publisher)
        mirror = MirrorQuotes(board, SharedQuotes(cache, settings.mirror_ttl_seconds), settings.mirror_ms / 1e3)
        yield Service(
            register=(lambda server: pb_grpc.add_MarketDataServiceServicer_to_server(servicer, server),),
            service_names=(pb.DESCRIPTOR.services_by_name["MarketDataService"].full_name,),
            loops={venue.name: _run_venue(parts, load), "mirror": mirror},
            checks={"nats": bus.check, "venue": _check_of(venue)},
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    settings: Settings
    runtime: Runtime
    state: MarketState
    registry: Registry
    venue: Venue
    counts: VenueCounts
    publisher: MarketPublisher


def _run_venue(parts: _Parts, load: LoadInstruments) -> RunVenue:
    settings, clock, venue = parts.settings, parts.runtime.clock, parts.venue
    gaps = GapWatch(venue.name)
    meter = MeteredCounts(venue.name, parts.counts, parts.runtime.metrics)
    bars = BarBook(venue.name, Interval.ONE_MINUTE, round(settings.bar_grace_ms * _MS))
    return RunVenue(
        feeds=_feeds(parts),
        registry=parts.registry,
        load=load,
        publish=PublishTicks(parts.state, bars, gaps, parts.publisher, meter),
        gaps=gaps,
        report=ReportVenue(venue, parts.publisher, clock, stale_ns=round(settings.stale_after_seconds * _SECOND)),
        meter=meter,
        clock=clock,
        policy=_policy(settings),
        random=Random(),  # noqa: S311  jitter, not a secret
    )


def _feeds(parts: _Parts) -> list[AlpacaFeed]:
    settings = parts.settings
    urls = {AssetClass.EQUITY: settings.alpaca_stream_url, AssetClass.CRYPTO: settings.alpaca_crypto_stream_url}
    limits = StreamLimits(
        settings.connect_timeout_seconds, settings.ping_seconds, settings.frame_bytes_most, settings.frames_ahead
    )
    return [
        AlpacaFeed(parts.venue.name, asset_class, urls[asset_class], _key(settings), parts.runtime.clock, limits)
        for asset_class in _classes(parts.registry)
    ]


def _classes(registry: Registry) -> list[AssetClass]:
    """The asset classes that were asked for: one connection each, none for a class without symbols."""
    return [asset_class for asset_class in AssetClass if registry.listed(asset_class)]


def _policy(settings: Settings) -> FeedPolicy:
    return FeedPolicy(
        block_ticks=settings.block_ticks,
        pending_ticks_most=settings.pending_ticks,
        flush_ns=round(settings.flush_ms * _MS),
        first_retry_s=settings.first_retry_ms / 1e3,
        retry_base_s=settings.retry_base_seconds,
        retry_cap_s=settings.retry_cap_seconds,
    )


def _key(settings: Settings) -> AlpacaKey:
    return AlpacaKey(settings.alpaca_key_id, settings.alpaca_secret_key)


def _client(settings: Settings, base_url: str) -> httpx.AsyncClient:
    return http_client(base_url, headers=_key(settings).headers(), timeout_s=settings.venue_timeout_seconds)


def _check_of(venue: Venue) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if (complaint := venue.complaint()) is not None:
            raise Unavailable(complaint)

    return check
