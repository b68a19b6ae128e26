"""Where execution is put together: the only place that sees adapters and settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fleet import bus, channels, subjects
from fleet.database import Database, open_database
from fleet.service import Runtime, Service
from neuraltrader.execution.v1 import execution_service_pb2
from neuraltrader.execution.v1.execution_service_pb2_grpc import add_ExecutionServiceServicer_to_server
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.execution import translate
from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.jetstream_events import JetStreamEvents
from services.execution.adapters.market_data_catalogue import MarketDataCatalogue
from services.execution.adapters.quote_board import QuoteBoard
from services.execution.adapters.sql_controls import SqlControls
from services.execution.adapters.sql_orders import SqlOrders, open_order_log
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.listeners import Listeners
from services.execution.ports import Broker
from services.execution.rpc import ExecutionServicer
from services.execution.settings import Settings
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.control import Control
from services.execution.usecases.follow_venue import FollowVenue
from services.execution.usecases.gate import Gate
from services.execution.usecases.journal import Journal, JournalBounds
from services.execution.usecases.look_up import LookUp
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.recall import recall
from services.execution.usecases.reconcile import Reconcile, Rhythm
from services.execution.usecases.record_venue_event import RecordVenueEvent
from services.execution.usecases.relay_outbox import RelayOutbox
from services.execution.usecases.run_orders import RunOrders
from services.execution.usecases.send import Send
from services.execution.usecases.submit import Submit
from services.execution.usecases.trade_signals import TradeSignals
from trading.clock import SECOND_NS
from trading.ids import AccountId
from trading.money import from_float
from trading.order import TradingState


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Open everything, recall the log, and give the service; orders are taken after the first reconciliation."""
    async with AsyncExitStack() as stack:
        outside = await _open(settings, runtime, stack)
        core = _core(settings, runtime, outside.log)
        await recall(outside.log, core.orders.blotter, core.orders.journal)
        stories = _stories(settings, runtime, outside, core)
        await stories.accounts.load()
        await stories.signals.load()
        await stories.relay.load()
        _export(runtime, stories)
        yield _service(settings, runtime, outside, core, stories)


@dataclass(frozen=True, slots=True)
class _Outside:
    bus: bus.Bus
    database: Database
    log: SqlOrders
    controls: SqlControls
    broker: Broker
    stream: AlpacaTradeUpdates
    board: QuoteBoard
    catalogue: MarketDataCatalogue


@dataclass(frozen=True, slots=True)
class _Core:
    orders: Orders
    observer: Observer
    background: Background
    gate: Gate


@dataclass(frozen=True, slots=True)
class _Stories:
    accounts: Accounts
    submit: Submit
    cancel: Cancel
    relay: RelayOutbox
    run: RunOrders
    signals: TradeSignals


async def _open(settings: Settings, runtime: Runtime, stack: AsyncExitStack) -> _Outside:
    database = await stack.enter_async_context(
        open_database(
            settings.database_url.get_secret_value(),
            service=runtime.name,
            data_dir=settings.data_dir,
            migrations="services.execution.migrations",
        )
    )
    nats = await stack.enter_async_context(bus.connect(settings.nats_url, runtime.name, runtime.metrics))
    await nats.ensure_stream(subjects.ORDER_STREAM, [subjects.ORDERS_ALL])
    channel = await stack.enter_async_context(
        channels.connect(settings.market_data_address, token=settings.token, client=runtime.name)
    )
    market_data = MarketDataServiceStub(channel)
    client = await stack.enter_async_context(_venue_client(settings))
    stream = AlpacaTradeUpdates(
        settings.alpaca_trading_stream_url,
        settings.alpaca_key_id,
        settings.alpaca_secret_key,
        runtime.log,
        runtime.metrics,
    )
    patience_s = settings.market_data_timeout_seconds
    return _Outside(
        nats,
        database,
        await stack.enter_async_context(open_order_log(database)),
        SqlControls(database),
        AlpacaBroker(client, stream),
        stream,
        QuoteBoard(market_data, runtime.clock, patience_s),
        MarketDataCatalogue(market_data, runtime.log, patience_s),
    )


def _venue_client(settings: Settings) -> VenueHttp:
    headers = {
        "APCA-API-KEY-ID": settings.alpaca_key_id,
        "APCA-API-SECRET-KEY": settings.alpaca_secret_key.get_secret_value(),
    }
    return VenueHttp(
        settings.alpaca_trading_url,
        headers=headers,
        timeout_s=settings.venue_timeout_seconds,
        connections=settings.venue_connections,
    )


def _core(settings: Settings, runtime: Runtime, log: SqlOrders) -> _Core:
    blotter = Blotter(_accounts(settings), settings.closed_orders_in_memory)
    bounds = JournalBounds(
        max_pending=settings.journal_pending_events,
        max_batch=settings.journal_batch_orders,
        intent_patience_s=settings.journal_patience_seconds,
        linger_s=settings.journal_linger_ms / 1e3,
    )
    journal = Journal(log, blotter, runtime.clock, translate.order_event_bytes, bounds)
    observer = Observer(journal, runtime.clock, runtime.metrics)
    return _Core(Orders(log, blotter, journal), observer, Background(settings.in_flight_orders), Gate())


def _stories(settings: Settings, runtime: Runtime, outside: _Outside, core: _Core) -> _Stories:
    clock, log, orders, broker = runtime.clock, runtime.log, core.orders, outside.broker
    accounts = Accounts(
        _accounts(settings), settings.execution_venue, _default_limits(settings), outside.controls, clock
    )
    send = Send(broker, orders.journal, core.background, core.observer, clock)
    market = Market(outside.catalogue, outside.board)
    submit = Submit(
        settings.execution_venue, broker.protocol, market, orders, accounts, send, core.observer, core.gate, clock
    )
    record = RecordVenueEvent(accounts.primary, settings.execution_venue, orders, market, core.observer, clock, log)
    reconcile = Reconcile(broker, orders, record, core.observer, clock, _rhythm(settings), log)
    relay = RelayOutbox(
        outside.log,
        JetStreamEvents(outside.bus),
        orders.journal,
        log,
        capacity=settings.outbox_pending_events,
        linger_s=settings.outbox_linger_ms / 1e3,
    )
    follow = FollowVenue(broker, record, reconcile, accounts, core.gate, log)
    return _Stories(
        accounts,
        submit,
        Cancel(broker, orders, core.background, clock, log, wait_s=settings.cancel_wait_seconds),
        relay,
        RunOrders(orders.journal, relay, core.background, follow, reconcile, core.gate, drain_s=settings.drain_seconds),
        TradeSignals(
            _signal_trading(settings),
            outside.controls,
            submit,
            orders.blotter,
            market,
            accounts,
            core.background,
            clock,
            log,
        ),
    )


def _service(settings: Settings, runtime: Runtime, outside: _Outside, core: _Core, stories: _Stories) -> Service:
    listeners = Listeners(outside.bus, outside.board.offer, stories.signals, core.observer, runtime.log)
    look_up = LookUp(
        core.orders,
        stories.accounts,
        outside.catalogue,
        core.observer,
        core.background,
        stories.relay,
        runtime.clock,
    )
    servicer = ExecutionServicer(
        stories.submit,
        stories.cancel,
        look_up,
        Control(stories.accounts, stories.cancel, outside.broker),
        stories.signals,
        runtime.clock,
        stream_in_flight=settings.stream_in_flight,
    )

    async def refresh_instruments() -> None:
        await outside.catalogue.refresh_forever(settings.instrument_refresh_seconds)

    async def refresh_accounts() -> None:
        await stories.accounts.refresh_forever(outside.broker, settings.account_refresh_seconds)

    async def taking_orders() -> None:
        core.gate.check()

    return Service(
        register=(lambda server: add_ExecutionServiceServicer_to_server(servicer, server),),
        service_names=(execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"].full_name,),
        loops={
            "orders": stories.run,
            "quotes": listeners.quotes,
            "signals": listeners.trade,
            "instruments": refresh_instruments,
            "accounts": refresh_accounts,
        },
        checks={"nats": outside.bus.check, "database": outside.database.check, "reconciled": taking_orders},
    )


def _export(runtime: Runtime, stories: _Stories) -> None:
    """Let the gauges read what they show."""
    runtime.metrics.outbox_depth.set_function(lambda: stories.relay.depth)
    for name in stories.accounts.names:
        runtime.metrics.kill_switch_state.labels(name).set_function(partial(_kill_switch, stories.accounts, name))


def _kill_switch(accounts: Accounts, name: AccountId) -> int:
    return _KILL_SWITCH.index(accounts.trading_state(name))


_KILL_SWITCH = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)


def _accounts(settings: Settings) -> tuple[AccountId, ...]:
    return tuple(AccountId(name) for name in settings.accounts)


def _default_limits(settings: Settings) -> RiskLimits:
    return RiskLimits(
        AccountId(""),
        max_order_notional_nanos=from_float(settings.default_max_order_notional),
        price_collar=settings.default_price_collar,
        max_quote_age_ns=int(settings.default_max_quote_age_seconds * SECOND_NS),
        max_open_orders=settings.default_max_open_orders,
    )


def _rhythm(settings: Settings) -> Rhythm:
    return Rhythm(
        in_flight_every_s=settings.reconcile_in_flight_seconds,
        in_flight_age_s=settings.reconcile_in_flight_age_seconds,
        open_every_s=settings.reconcile_open_seconds,
        miss_apart_s=settings.reconcile_miss_apart_seconds,
        lookback_s=settings.reconcile_lookback_seconds,
    )


def _signal_trading(settings: Settings) -> SignalTrading:
    return SignalTrading(
        enabled=settings.signal_trading_enabled,
        notional_nanos=from_float(settings.signal_notional),
        min_confidence=settings.signal_min_confidence,
        account=AccountId(settings.accounts[0]),
        models=settings.signal_models,
    )
