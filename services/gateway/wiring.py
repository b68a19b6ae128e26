"""Puts the gateway together: the only place that knows settings and every part."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from fleet import bus as nats_bus
from fleet.bus import Bus
from fleet.cache import Cache, open_cache
from fleet.service import Runtime, Service
from services.gateway.app import Parts, make_app
from services.gateway.auth import ALL_SCOPES, Keys
from services.gateway.backends import Addresses, Backends, open_backends
from services.gateway.bulk import Bulk
from services.gateway.door import Bounds, Door
from services.gateway.limits import RateLimiter
from services.gateway.schemas.config import fleet_config
from services.gateway.server import HttpServer, WireLimits
from services.gateway.settings import Settings
from services.gateway.version import find_version
from services.gateway.websocket.accounts import AccountWatch
from services.gateway.websocket.catalogue import Catalogue
from services.gateway.websocket.feed import ORDERS, POSITIONS, Feed, Kind
from services.gateway.websocket.hub import Hub, StreamLimits
from services.gateway.websocket.journal import Journal
from services.gateway.websocket.listeners import market_loops
from services.gateway.websocket.market import Market
from services.gateway.websocket.subscriber import Subscriber

HOUR_S = 3600.0
Check = Callable[[], Awaitable[None]]


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """The gateway, until the block ends."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(nats_bus.connect(settings.nats_url, runtime.name, runtime.metrics))
        cache = await stack.enter_async_context(open_cache(settings.redis_url.get_secret_value()))
        fleet = await stack.enter_async_context(_backends(settings, runtime))
        hub = Hub(_stream_limits(settings), runtime.clock, runtime.metrics)
        market = Market(hub)
        feeds = {kind.channel: _feed(kind, bus, hub, runtime) for kind in (ORDERS, POSITIONS)}
        catalogue = Catalogue(fleet.market_data, runtime.clock, fresh_s=settings.catalogue_seconds)
        checks = _checks(fleet, bus)
        bulk = Bulk(settings.bulk_process_bytes, settings.bulk_waiting_max)
        stack.callback(bulk.close)
        parts = Parts(
            _door(settings, runtime, cache),
            fleet,
            hub,
            Subscriber(hub, market, feeds, catalogue, fleet),
            checks,
            bulk,
            find_version(
                build_date=settings.build_date,
                commit=settings.commit,
                shared_cache=bool(settings.redis_url.get_secret_value()),
            ),
            fleet_config([Settings]),
        )
        server = HttpServer(
            make_app(parts, runtime.metrics, runtime.log),
            host=settings.host,
            port=settings.gateway_port,
            limits=WireLimits(settings.stream_message_bytes_max, settings.head_bytes_max, settings.head_seconds),
            on_stop=hub.close_all,
        )
        accounts = AccountWatch(fleet, hub, interval_s=settings.stream_account_seconds, log=runtime.log)
        loops = {
            "orders": fleet.orders.run,
            "heartbeat": hub.beat,
            "accounts": accounts.run,
            **market_loops(bus, market, runtime.log),
            **{f"{channel.value}-feed": feed.run for channel, feed in feeds.items()},
        }
        yield Service(loops=loops, checks=checks, servers=(server,))


def _backends(settings: Settings, runtime: Runtime) -> AbstractAsyncContextManager[Backends]:
    addresses = Addresses(
        settings.market_data_address,
        settings.inference_address,
        settings.execution_address,
        settings.portfolio_address,
    )
    return open_backends(
        addresses,
        token=settings.token,
        timeout_s=settings.request_timeout_seconds,
        orders_pending_max=settings.orders_pending_max,
        clock=runtime.clock,
        log=runtime.log,
    )


def _stream_limits(settings: Settings) -> StreamLimits:
    return StreamLimits(
        settings.stream_clients_max,
        settings.stream_symbols_max,
        settings.stream_queue_max,
        settings.stream_auth_seconds,
        settings.stream_heartbeat_seconds,
    )


def _door(settings: Settings, runtime: Runtime, cache: Cache) -> Door:
    keys = Keys()
    keys.add(settings.admin_api_key.get_secret_value(), ALL_SCOPES)
    rates = RateLimiter(
        runtime.clock,
        per_second=settings.rate_per_second,
        burst=settings.rate_burst,
        callers_max=settings.callers_max,
    )
    failures = RateLimiter(
        runtime.clock,
        per_second=settings.failures_per_second,
        burst=settings.failures_burst,
        callers_max=settings.callers_max,
    )
    bounds = Bounds(
        settings.request_timeout_seconds,
        settings.body_bytes_max,
        settings.bulk_body_bytes_max,
        settings.idempotency_hours * HOUR_S,
        settings.file_bytes_max,
        settings.file_timeout_seconds,
    )
    return Door(keys, rates, failures, cache, bounds)


def _feed(kind: Kind, bus: Bus, hub: Hub, runtime: Runtime) -> Feed:
    journal = Journal(bus.jetstream, kind.stream, kind.cursor_of, runtime.log)
    return Feed(kind, journal, hub, runtime.log)


def _checks(fleet: Backends, bus: Bus) -> dict[str, Check]:
    return {**{name: partial(fleet.check, name) for name in fleet.health}, "nats": bus.check}
