"""Where execution is put together: the only place that sees adapters and settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fleet import bus, channels, subjects
from fleet.database import Database, open_database
from fleet.service import Runtime, Service
from neuraltrader.execution.v1 import execution_service_pb2
from neuraltrader.execution.v1.execution_service_pb2_grpc import add_ExecutionServiceServicer_to_server
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.binance_broker import BinanceBroker
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.binance_rest import HEADERS, BinanceRest
from services.execution.adapters.binance_symbols import BinanceSymbols, spelling
from services.execution.adapters.binance_user_data import BinanceUserData
from services.execution.adapters.jetstream_events import JetStreamEvents
from services.execution.adapters.market_data_catalogue import MarketDataCatalogue
from services.execution.adapters.outbox_bell import PostgresBell, SilentBell
from services.execution.adapters.quote_board import QuoteBoard
from services.execution.adapters.sql_charges import SqlCharges
from services.execution.adapters.sql_controls import SqlControls
from services.execution.adapters.sql_copy import Copied, Progress, copy_log
from services.execution.adapters.sql_lease import SqlLease
from services.execution.adapters.sql_orders import SqlOrders, open_order_log
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.listeners import Listeners
from services.execution.ports.publishing import OutboxBell
from services.execution.ports.venue import Broker
from services.execution.rpc import ExecutionServicer
from services.execution.settings import Settings
from services.execution.translate import events
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.collect_charges import ChargeRhythm
from services.execution.usecases.desk import Desk, Outside, Rules
from services.execution.usecases.journal import JournalBounds
from services.execution.usecases.lead import LeaseRhythm
from services.execution.usecases.reconcile import Rhythm
from trading.clock import SECOND_NS, SystemClock
from trading.errors import FailedPrecondition, InvalidArgument
from trading.ids import AccountId
from trading.money import from_float
from trading.order import TradingState


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Open everything, recall the log, and give the service; orders are taken after the first reconciliation."""
    async with AsyncExitStack() as stack:
        opened = await _open(settings, runtime, stack)
        desk = Desk(_outside(runtime, opened), _rules(settings))
        _export(runtime, desk)
        yield _service(settings, runtime, opened, desk)


_MIGRATIONS = "services.execution.migrations"
_COPY_LEASE_S = 3_600.0
"""A copy that dies gives its lease back: its process is gone."""


@dataclass(frozen=True, slots=True)
class _Opened:
    bus: bus.Bus
    database: Database
    log: SqlOrders
    broker: Broker
    board: QuoteBoard
    catalogue: MarketDataCatalogue


async def _open(settings: Settings, runtime: Runtime, stack: AsyncExitStack) -> _Opened:
    database = await stack.enter_async_context(
        open_database(
            settings.database_url.get_secret_value(),
            service=runtime.name,
            data_dir=settings.data_dir,
            migrations=_MIGRATIONS,
        )
    )
    nats = await stack.enter_async_context(bus.connect(settings.nats_url, runtime.name, runtime.metrics))
    await nats.ensure_stream(subjects.ORDER_STREAM, [subjects.ORDERS_ALL, subjects.CHARGES_ALL])
    channel = await stack.enter_async_context(
        channels.connect(settings.market_data_address, token=settings.token, client=runtime.name)
    )
    market_data = MarketDataServiceStub(channel)
    patience_s = settings.market_data_timeout_seconds
    return _Opened(
        nats,
        database,
        await stack.enter_async_context(open_order_log(database)),
        await stack.enter_async_context(_BROKERS[settings.venue_protocol](settings, runtime)),
        QuoteBoard(market_data, runtime.clock, patience_s),
        MarketDataCatalogue(market_data, runtime.log, patience_s),
    )


@asynccontextmanager
async def _alpaca(settings: Settings, runtime: Runtime) -> AsyncIterator[Broker]:
    secret = settings.alpaca_secret_key
    headers = {"APCA-API-KEY-ID": settings.alpaca_key_id, "APCA-API-SECRET-KEY": secret.get_secret_value()}
    stream = AlpacaTradeUpdates(
        settings.alpaca_trading_stream_url, settings.alpaca_key_id, secret, runtime.log, runtime.metrics
    )
    async with _http(settings, settings.alpaca_trading_url, headers) as client:
        yield AlpacaBroker(client, stream)


@asynccontextmanager
async def _binance(settings: Settings, runtime: Runtime) -> AsyncIterator[Broker]:
    key = BinanceKey(settings.binance_api_key, settings.binance_api_secret)
    headers = {**HEADERS, "X-MBX-APIKEY": settings.binance_api_key}
    async with _http(settings, settings.binance_rest_url, headers) as client:
        rest = BinanceRest(client, key, runtime.clock, window_ms=int(settings.venue_timeout_seconds * 1e3))
        symbols = BinanceSymbols(rest, [spelling(name) for name in settings.symbols], runtime.log)
        stream = BinanceUserData(settings.binance_ws_api_url, key, rest, runtime.log, runtime.metrics)
        yield BinanceBroker(rest, symbols, stream, runtime.log)


_BROKERS = {"alpaca": _alpaca, "binance": _binance}


def _http(settings: Settings, url: str, headers: Mapping[str, str]) -> VenueHttp:
    return VenueHttp(
        url, headers=headers, timeout_s=settings.venue_timeout_seconds, connections=settings.venue_connections
    )


def _outside(runtime: Runtime, opened: _Opened) -> Outside:
    return Outside(
        store=opened.log,
        controls=SqlControls(opened.database),
        charges=SqlCharges(opened.database),
        lease=SqlLease(opened.database, runtime.clock),
        broker=opened.broker,
        catalogue=opened.catalogue,
        quotes=opened.board,
        publisher=JetStreamEvents(opened.bus),
        bell=_bell(runtime, opened.database),
        encode=events.order_event_bytes,
        clock=runtime.clock,
        metrics=runtime.metrics,
        log=runtime.log,
    )


def _bell(runtime: Runtime, database: Database) -> OutboxBell:
    return SilentBell() if database.dialect == "sqlite" else PostgresBell(database.engine, runtime.log)


def _rules(settings: Settings) -> Rules:
    return Rules(
        accounts=tuple(AccountId(name) for name in settings.accounts),
        venue=settings.execution_venue,
        limits=_default_limits(settings),
        signals=_signal_trading(settings),
        bounds=JournalBounds(
            max_pending=settings.journal_pending_events,
            max_batch=settings.journal_batch_orders,
            intent_patience_s=settings.journal_patience_seconds,
            linger_s=settings.journal_linger_ms / 1e3,
        ),
        rhythm=_rhythm(settings),
        charges=_charge_rhythm(settings),
        lease=LeaseRhythm(settings.lease_seconds, settings.lease_seconds / 5, margin_s=settings.lease_seconds / 10),
        in_flight=settings.in_flight_orders,
        sending=settings.venue_connections,
        closed_in_memory=settings.closed_orders_in_memory,
        outbox_capacity=settings.outbox_pending_events,
        outbox_linger_s=settings.outbox_linger_ms / 1e3,
        cancel_wait_s=settings.cancel_wait_seconds,
        drain_s=settings.drain_seconds,
        account_refresh_s=settings.account_refresh_seconds,
        expire_every_s=settings.expire_seconds,
        losses_every_s=settings.daily_loss_seconds,
    )


def _service(settings: Settings, runtime: Runtime, opened: _Opened, desk: Desk) -> Service:
    listeners = Listeners(opened.bus, opened.board.offer, desk.release.quoted, desk.signals, desk.observer, runtime.log)
    servicer = ExecutionServicer(desk, runtime.clock, stream_in_flight=settings.stream_in_flight)

    async def refresh_instruments() -> None:
        await opened.catalogue.refresh_forever(settings.instrument_refresh_seconds)

    async def taking_orders() -> None:
        desk.gate.check()

    return Service(
        register=(lambda server: add_ExecutionServiceServicer_to_server(servicer, server),),
        service_names=(execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"].full_name,),
        loops={
            "orders": desk.lead,
            "quotes": listeners.quotes,
            "signals": listeners.trade,
            "instruments": refresh_instruments,
        },
        checks={"nats": opened.bus.check, "database": opened.database.check, "reconciled": taking_orders},
    )


def _export(runtime: Runtime, desk: Desk) -> None:
    """Let the gauges read what they show."""
    runtime.metrics.outbox_depth.set_function(lambda: desk.relay.depth)
    for name in desk.accounts.names:
        runtime.metrics.kill_switch_state.labels(name).set_function(partial(_kill_switch, desk.accounts, name))


def _kill_switch(accounts: Accounts, name: AccountId) -> int:
    return _KILL_SWITCH.index(accounts.trading_state(name))


_KILL_SWITCH = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)


def _default_limits(settings: Settings) -> RiskLimits:
    return RiskLimits(
        AccountId(""),
        max_order_notional_nanos=from_float(settings.default_max_order_notional),
        price_collar=settings.default_price_collar,
        max_quote_age_ns=int(settings.default_max_quote_age_seconds * SECOND_NS),
        max_open_orders=settings.default_max_open_orders,
        refuse_self_trades=settings.default_refuse_self_trades,
    )


def _rhythm(settings: Settings) -> Rhythm:
    return Rhythm(
        in_flight_every_s=settings.reconcile_in_flight_seconds,
        in_flight_age_s=settings.reconcile_in_flight_age_seconds,
        open_every_s=settings.reconcile_open_seconds,
        positions_every_s=settings.reconcile_positions_seconds,
        miss_apart_s=settings.reconcile_miss_apart_seconds,
        lookback_s=settings.reconcile_lookback_seconds,
    )


def _charge_rhythm(settings: Settings) -> ChargeRhythm:
    return ChargeRhythm(
        settings.charges_seconds, settings.charges_lookback_seconds, settings.charges_lookback_every_seconds
    )


def _signal_trading(settings: Settings) -> SignalTrading:
    return SignalTrading(
        enabled=settings.signal_trading_enabled,
        notional_nanos=from_float(settings.signal_notional),
        min_confidence=settings.signal_min_confidence,
        account=AccountId(settings.accounts[0]),
        models=settings.signal_models,
    )


async def copy_between(source_url: str, target_url: str, progress: Progress) -> Copied:
    """Copy an order log into an empty database while nobody writes either.

    Raises InvalidArgument, Unavailable, and FailedPrecondition where execution runs, the target is not empty, or the
    log is broken.
    """
    async with AsyncExitStack() as stack:
        source, target = [await stack.enter_async_context(_held_log(url)) for url in (source_url, target_url)]
        return await copy_log(source, target, progress)


@asynccontextmanager
async def _held_log(url: str) -> AsyncIterator[Database]:
    """A database whose lease is ours for as long as the block runs."""
    if not url:
        raise InvalidArgument("Expected the URL of a database.")
    async with open_database(url, service="execution", data_dir=Path(), migrations=_MIGRATIONS) as database:
        lease = SqlLease(database, SystemClock())
        epoch = await lease.take(_COPY_LEASE_S)
        if epoch is None:
            raise FailedPrecondition("Execution is running on this database: stop it first.")
        try:
            yield database
        finally:
            await lease.give_back(epoch)
