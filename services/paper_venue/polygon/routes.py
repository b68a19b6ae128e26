"""Puts the protocol together: REST at the root, where Polygon has it, and the streams below one prefix."""

from starlette.routing import BaseRoute, WebSocketRoute

from services.paper_venue.counts import SentCounts
from services.paper_venue.domain.market import Market as Exchange
from services.paper_venue.domain.sessions import Sessions
from services.paper_venue.feed import Feed
from services.paper_venue.polygon.aggregates_api import AggregatesApi
from services.paper_venue.polygon.auth import ApiKey
from services.paper_venue.polygon.listing import Listing
from services.paper_venue.polygon.reference_api import ReferenceApi
from services.paper_venue.polygon.rest import Door
from services.paper_venue.polygon.snapshots_api import SnapshotsApi
from services.paper_venue.polygon.stream import StreamRules, Streams
from services.paper_venue.polygon.ticks_api import TicksApi
from services.paper_venue.rate_limit import RateLimit
from trading.clock import Clock

PREFIX = "/polygon"


def addresses(authority: str, key: ApiKey) -> dict[str, str]:
    """Where clients find the protocol at `host:port`; they put `/stocks` or `/crypto` behind the stream's address.

    REST has no prefix: official clients keep the path of a `next_url` and put it behind their own base.
    """
    return {"rest": f"http://{authority}", "stream": f"ws://{authority}{PREFIX}", "key": key.text}


def routes(
    exchange: Exchange,
    sessions: Sessions,
    feed: Feed,
    counts: SentCounts,
    key: ApiKey,
    limit: RateLimit,
    rules: StreamRules,
    clock: Clock,
) -> list[BaseRoute]:
    """Every route; the streams answer at the root too, for clients that take nothing but a host."""
    listing, door = Listing(tuple(exchange.exchange.instruments)), Door(key, limit)
    streams = Streams(exchange, listing, feed, key, counts, rules)
    aggregates, ticks = AggregatesApi(exchange, listing, clock), TicksApi(exchange, listing)
    rest = [*aggregates.routes(door), *ticks.routes(door), *SnapshotsApi(listing, aggregates, ticks).routes(door)]
    rest += ReferenceApi(listing, sessions, clock).routes(door)
    endpoints = {"stocks": streams.stocks, "crypto": streams.crypto}
    sockets = [
        WebSocketRoute(f"{prefix}/{market}", endpoint)
        for prefix in (PREFIX, "")
        for market, endpoint in endpoints.items()
    ]
    return [*sockets, *rest]
