"""Builds the venue from its settings: the only place that sees files, clocks and protocols together."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from starlette.routing import BaseRoute, Route, WebSocketRoute

from services.paper_venue.alpaca.auth import Credentials
from services.paper_venue.alpaca.data_rest import DataApi
from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.market_stream import MarketStream, StreamRules
from services.paper_venue.alpaca.rest import data_door, trading_door
from services.paper_venue.alpaca.trading_rest import TradingApi
from services.paper_venue.alpaca.trading_stream import TradingStream
from services.paper_venue.binance.auth import Keys
from services.paper_venue.binance.connection import SocketRules
from services.paper_venue.binance.limits import LimitRules
from services.paper_venue.binance.routes import routes as binance_routes
from services.paper_venue.counts import SentCounts
from services.paper_venue.domain.account import AccountRules
from services.paper_venue.domain.bursts import BurstRules
from services.paper_venue.domain.charts import Charts
from services.paper_venue.domain.day_ends import DayEnds
from services.paper_venue.domain.exchange import Exchange, ExchangeRules
from services.paper_venue.domain.fees import FeeRules
from services.paper_venue.domain.history import History
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.profiles import profile_of
from services.paper_venue.domain.sessions import SessionRule, Sessions
from services.paper_venue.domain.simulation import Simulation, SimulationRules
from services.paper_venue.domain.tape import Tape
from services.paper_venue.domain.ticks import Ticks
from services.paper_venue.domain.touch import Slippage
from services.paper_venue.faults.admin import Admin
from services.paper_venue.faults.fault import Board, Protocol
from services.paper_venue.faults.floor import Floor
from services.paper_venue.faults.guard import Guard
from services.paper_venue.faults.messages import Reader
from services.paper_venue.faults.wires import Wires
from services.paper_venue.feed import Feed
from services.paper_venue.polygon.auth import ApiKey
from services.paper_venue.polygon.routes import routes as polygon_routes
from services.paper_venue.polygon.stream import StreamRules as PolygonRules
from services.paper_venue.pump import Pump, PumpRules, keep_days
from services.paper_venue.rate_limit import RateLimit
from services.paper_venue.settings import Settings
from services.paper_venue.stats import StatsPage
from trading.clock import Clock, SystemClock
from trading.ids import new_id
from trading.instruments import CATALOGUE, AssetClass, Instrument, Instruments
from trading.money import ONE, from_float


@dataclass(frozen=True, slots=True)
class Source:
    """Where the market comes from: what it lists, what it says, and what its past leads up to."""

    instruments: tuple[Instrument, ...]
    chunks: Iterator[Ticks]
    last_quotes: Ticks
    opening_prices: dict[str, int]
    opens_ns: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Venue:
    """The whole venue, ready to be served."""

    credentials: Credentials
    binance_keys: Keys
    polygon_key: ApiKey
    routes: list[BaseRoute]
    admin: Admin | None
    wires: Wires
    market: Market
    pump: Pump
    days: DayEnds | None
    clock: Clock

    async def keep_days(self) -> None:
        """End each trading day by the wall clock; a recording ends them by its own."""
        if self.days is not None:
            await keep_days(self.days, self.clock)


def wire(settings: Settings) -> Venue:
    """Build the venue; raises UnknownSymbol or MarketFileError for a market that cannot be had."""
    clock = SystemClock()
    source = recorded(settings) if settings.files else simulated(settings, clock.now_ns())
    market = _market(settings, source)
    feed = Feed()
    sessions = Sessions(settings.sessions)
    days = DayEnds(market.exchange, sessions, source.opens_ns)
    replayed, live = (days, None) if settings.files else (None, days)
    pump = Pump(market, feed, source.chunks, source.last_quotes, _pump_rules(settings), clock, replayed)
    pump.progress.total = source.total
    credentials = _credentials(settings)
    counts = SentCounts(market.exchange.symbols)
    stats = StatsPage(market, pump.progress, feed, counts, recorded=bool(settings.files))
    keys, api_key = Keys.of(credentials.key, credentials.secret), ApiKey(credentials.key)
    protocols = {
        Protocol.ALPACA: _alpaca_routes(settings, market, sessions, feed, counts, credentials, clock),
        Protocol.BINANCE: _binance_routes(settings, market, feed, keys, clock),
        Protocol.POLYGON: _polygon_routes(settings, market, sessions, feed, counts, api_key, clock),
    }
    wires = Wires()
    admin = _admin(settings, market, feed, wires, protocols, clock)
    routes = [route for own in protocols.values() for route in own] + [
        *stats.routes(),
        *(admin.routes() if admin else []),
    ]
    return Venue(credentials, keys, api_key, routes, admin, wires, market, pump, live, clock)


def recorded(settings: Settings) -> Source:
    """A market that replays files."""
    # Polars costs 60 MB and half a second, which a simulated market does not need.
    from services.paper_venue.adapters.market_files import load_recording

    recording = load_recording(settings.files, settings.symbols, Instruments(CATALOGUE))
    return Source(
        recording.instruments,
        recording.chunks(settings.loop),
        recording.last_quotes(),
        recording.opening_prices(),
        int(recording.ticks.time_ns[0]),
        None if settings.loop else len(recording.ticks),
    )


def simulated(settings: Settings, start_ns: int) -> Source:
    """A market that is drawn by lot."""
    catalogue = Instruments(CATALOGUE)
    instruments = tuple({i.symbol: i for i in map(catalogue.get, settings.simulated_symbols)}.values())
    rules = SimulationRules(settings.quote_rate, settings.trade_rate, BurstRules(enabled=settings.edge))
    simulation = Simulation(instruments, settings.seed, start_ns, rules)
    prices = {instrument.symbol: int(from_float(profile_of(instrument).price)) for instrument in instruments}
    chunks = _within_sessions(simulation.chunks(), instruments, Sessions(settings.sessions))
    return Source(instruments, chunks, Ticks.empty(), prices, start_ns, None)


def _within_sessions(
    chunks: Iterator[Ticks], instruments: tuple[Instrument, ...], sessions: Sessions
) -> Iterator[Ticks]:
    """The chunks without the shares while their market is closed."""
    if sessions.rule is SessionRule.ALWAYS:
        return chunks
    crypto = [index for index, i in enumerate(instruments) if i.asset_class is AssetClass.CRYPTO]
    return (_open_part(chunk, crypto, sessions) for chunk in chunks)


def _open_part(chunk: Ticks, crypto: list[int], sessions: Sessions) -> Ticks:
    """A chunk without the shares' ticks from the close on; one that begins before the open has none of them."""
    begins_ns = int(chunk.time_ns[0])
    closes_ns = sessions.next_close_ns(begins_ns) if sessions.is_open(begins_ns) else begins_ns
    return chunk[(chunk.time_ns < closes_ns) | np.isin(chunk.instrument, crypto)]


def _market(settings: Settings, source: Source) -> Market:
    fees = FeeRules(settings.maker_fee_bps, settings.taker_fee_bps)
    account = AccountRules(settings.cash * ONE, settings.multiplier, fees, settings.position_flips)
    rules = ExchangeRules(Slippage(settings.slippage_ticks), account, settings.orders_kept)
    exchange = Exchange(source.instruments, rules, new_id)
    tape = Tape(max(settings.tape_rows, source.total or 0))
    history = History(source.instruments, source.opening_prices, settings.seed, source.opens_ns)
    return Market(exchange, tape, Charts(source.instruments, history, settings.bars_kept), source.opens_ns)


def _pump_rules(settings: Settings) -> PumpRules:
    """A recording waits for its audience and loses nothing; so does a simulation at full speed."""
    waits = bool(settings.files) or settings.speed_factor is None
    return PumpRules(settings.speed_factor, waits, waits, settings.frame_ticks, settings.repeat_s)


def _credentials(settings: Settings) -> Credentials:
    key = settings.key_id or f"PK{secrets.token_hex(9).upper()}"
    return Credentials(key, settings.secret_key.get_secret_value() or secrets.token_urlsafe(30))


def _admin(
    settings: Settings,
    market: Market,
    feed: Feed,
    wires: Wires,
    protocols: dict[Protocol, list[BaseRoute]],
    clock: Clock,
) -> Admin | None:
    """Put every route under the guard of scripted faults, if they are asked for; beside them the floor is scripted."""
    if not settings.admin:
        return None
    guard = Guard(Board(clock.monotonic_ns), Reader(market.exchange.instruments), wires)
    for protocol, routes in protocols.items():
        guard.around(protocol, routes)
    return Admin(guard, Floor(market, feed, clock), secrets.token_urlsafe(24))


def _alpaca_routes(
    settings: Settings,
    market: Market,
    sessions: Sessions,
    feed: Feed,
    counts: SentCounts,
    credentials: Credentials,
    clock: Clock,
) -> list[BaseRoute]:
    exchange = market.exchange
    listing = Listing(tuple(exchange.instruments))
    limit = RateLimit(settings.rate_limit)
    market_clock = (lambda: market.time_ns) if settings.files else clock.now_ns
    trading = TradingApi(exchange, listing, sessions, clock, market_clock, new_id())
    updates = TradingStream(listing, credentials, settings.outbox_updates, settings.auth_timeout_s)
    exchange.listen(updates.tell)
    rules = StreamRules(settings.auth_timeout_s, settings.outbox_frames, settings.connections)
    stocks = MarketStream(AssetClass.EQUITY, listing, feed, credentials, counts, rules)
    crypto = MarketStream(AssetClass.CRYPTO, listing, feed, credentials, counts, rules)
    data = [DataApi(market, listing, asset_class, clock) for asset_class in AssetClass]
    streams: list[BaseRoute] = [
        WebSocketRoute("/v2/iex", stocks.endpoint),
        WebSocketRoute("/v2/sip", stocks.endpoint),
        WebSocketRoute("/v1beta3/crypto/us", crypto.endpoint),
        WebSocketRoute("/stream", updates.endpoint),
    ]
    rest: list[Route] = trading.routes(trading_door(credentials, limit))
    for api in data:
        rest += api.routes(data_door(credentials, limit))
    return [*streams, *rest]


def _binance_routes(settings: Settings, market: Market, feed: Feed, keys: Keys, clock: Clock) -> list[BaseRoute]:
    """One kind of rules for the streams, another for the WebSocket API, where weight bounds the messages instead."""
    streams = SocketRules(settings.outbox_frames, settings.connections, life_s=settings.socket_life_s)
    api = SocketRules(settings.outbox_updates, settings.connections, settings.weight_limit, settings.socket_life_s)
    limits = LimitRules(settings.weight_limit, settings.order_limit)
    slippage = Slippage(settings.slippage_ticks)
    return binance_routes(market, feed, keys, slippage, settings.orders_kept, limits, streams, api, clock)


def _polygon_routes(
    settings: Settings,
    market: Market,
    sessions: Sessions,
    feed: Feed,
    counts: SentCounts,
    key: ApiKey,
    clock: Clock,
) -> list[BaseRoute]:
    rules = PolygonRules(settings.auth_timeout_s, settings.outbox_frames, settings.polygon_connections)
    return polygon_routes(market, sessions, feed, counts, key, RateLimit(settings.rate_limit), rules, clock)
