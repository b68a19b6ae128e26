"""Builds the portfolio service; the only room that sees adapters and settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fleet import bus, channels, subjects
from fleet.bus import Bus
from fleet.database import Database, open_database
from fleet.service import Loop, Runtime, Service
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.portfolio.adapters.grpc_execution import GrpcExecution
from services.portfolio.adapters.grpc_market_data import GrpcMarketData
from services.portfolio.adapters.grpc_orders import GrpcOrders
from services.portfolio.adapters.nats_positions import NatsPositions
from services.portfolio.adapters.nats_rebalances import NatsRebalances
from services.portfolio.adapters.solver_pool import SolverPool, open_solver_pool
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.adapters.sql_curves import SqlCurves
from services.portfolio.adapters.sql_rebalances import SqlRebalances
from services.portfolio.adapters.sql_schedules import SqlSchedules
from services.portfolio.adapters.threads import open_threads
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from services.portfolio.listeners import ChargeListener, Errand, FillListener, QuoteListener, Relay, Rounds, Step
from services.portfolio.ports import Horizons, Offload, Targets
from services.portfolio.rpc import book as book_calls
from services.portfolio.rpc import portfolio, rebalance, risk
from services.portfolio.rpc.book import BookRpc
from services.portfolio.rpc.portfolio import Choosing, PortfolioRpc
from services.portfolio.rpc.rebalance import RebalanceRpc, RebalanceStories
from services.portfolio.rpc.risk import RiskRpc
from services.portfolio.rpc.targets import OptimisedTargets
from services.portfolio.settings import Settings
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.calculate_risk import CalculateRisk
from services.portfolio.usecases.catch_up import CatchUp, CatchUpCharges, Freshen
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.execute_rebalance import CancelRebalance, ExecuteRebalance, FindRebalance
from services.portfolio.usecases.forget_rebalances import ForgetRebalances
from services.portfolio.usecases.frontier import ComputeFrontier
from services.portfolio.usecases.import_positions import ImportPositions
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from services.portfolio.usecases.price_positions import PricePositions
from services.portfolio.usecases.propose_rebalance import ProposeRebalance
from services.portfolio.usecases.read_book import ReadBook
from services.portfolio.usecases.read_exposures import ReadExposures
from services.portfolio.usecases.read_market import ReadMarket
from services.portfolio.usecases.read_performance import ReadPerformance
from services.portfolio.usecases.read_returns import ReadReturns
from services.portfolio.usecases.record_curve import RecordCurve, ThinCurve
from services.portfolio.usecases.record_transfer import RecordTransfer
from services.portfolio.usecases.roll_day import RollDay
from services.portfolio.usecases.run_rebalances import RunRebalances
from services.portfolio.usecases.run_schedules import KeepSchedules, RunSchedules
from services.portfolio.usecases.simulate_losses import SimulateLosses
from services.portfolio.usecases.stress_test import StressTest
from services.portfolio.usecases.survey import Survey
from services.portfolio.usecases.tell_changes import TellChanges
from services.portfolio.usecases.tell_rebalances import TellRebalances
from services.portfolio.usecases.watch_rebalance import WatchRebalance
from trading.ids import new_id

_MIGRATIONS = "services.portfolio.migrations"
_MIB = 1024 * 1024
_SPARE = 10
"""Niceness of what nobody waits for: a verdict on 1,000 assets takes as long as an answer."""


@dataclass(frozen=True, slots=True)
class _Outside:
    """Everything that was opened."""

    settings: Settings
    runtime: Runtime
    nats: Bus
    database: Database
    book: SqlBook
    marks: Marks
    offload: Offload
    spare: Offload
    """Arithmetic that nobody waits for."""
    execution: GrpcExecution
    orders: GrpcOrders
    market_data: GrpcMarketData
    solver: SolverPool


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    """Enter what the service holds, and say what it does."""
    async with AsyncExitStack() as stack:
        outside = await _open(stack, settings, runtime)
        offload = outside.offload
        read, book_rpc, loops = _build(outside)
        judge = JudgeCovariances(outside.spare, kept=settings.verdicts_kept, waiting=settings.verdicts_waiting)
        know = KnowCovariances(kept=settings.covariances_kept, bytes_most=settings.covariances_kept_mb * _MIB)
        optimize = Optimize(
            outside.solver,
            outside.market_data,
            offload,
            judge,
            know,
            runtime.clock,
            timeout_s=settings.solver_timeout_s,
        )
        frontier = ComputeFrontier(
            optimize,
            outside.solver,
            judge,
            offload,
            runtime.clock,
            workers=settings.solver_workers,
            timeout_s=settings.solver_timeout_s,
        )
        exposures, returns = ReadExposures(read, _rates(outside)), ReadReturns(outside.market_data, runtime.clock)
        market = ReadMarket(returns)
        rpc = PortfolioRpc(
            read, Choosing(optimize, frontier, returns, know.recall), CalculateRisk(exposures, market, offload), offload
        )
        simulate = SimulateLosses(exposures, returns, offload, cells_max=settings.simulation_cells_max)
        risk_rpc = RiskRpc(simulate, StressTest(exposures, market, outside.market_data))
        rebalance_rpc, running = _rebalancing(outside, read, OptimisedTargets(optimize, returns, offload))
        yield Service(
            register=[rpc.register, book_rpc.register, risk_rpc.register, rebalance_rpc.register],
            service_names=[
                portfolio.SERVICE_NAME,
                book_calls.SERVICE_NAME,
                risk.SERVICE_NAME,
                rebalance.SERVICE_NAME,
            ],
            large_calls=portfolio.LARGE_CALLS,
            loops={**loops, **running, "verdicts": judge.run},
            checks={"database": outside.database.check, "nats": outside.nats.check},
        )


async def _open(stack: AsyncExitStack, settings: Settings, runtime: Runtime) -> _Outside:
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
    await nats.ensure_stream(subjects.POSITION_STREAM, [subjects.PORTFOLIO_ALL])
    execution = channels.connect(settings.execution_address, token=settings.token, client=runtime.name)
    market_data = channels.connect(settings.market_data_address, token=settings.token, client=runtime.name)
    solver = open_solver_pool(
        workers=settings.solver_workers,
        waiting=settings.solver_waiting,
        search_limit_s=settings.solver_search_s,
        log=runtime.log,
    )
    stub = ExecutionServiceStub(await stack.enter_async_context(execution))
    return _Outside(
        settings,
        runtime,
        nats,
        database,
        await stack.enter_async_context(open_book(database)),
        await _remembered(database),
        stack.enter_context(open_threads(settings.offload_threads)),
        stack.enter_context(open_threads(1, niceness=_SPARE)),
        GrpcExecution(stub),
        GrpcOrders(stub, wait_ms=settings.rebalance_submit_wait_ms),
        GrpcMarketData(MarketDataServiceStub(await stack.enter_async_context(market_data))),
        await stack.enter_async_context(solver),
    )


def _rates(outside: _Outside) -> Rates:
    return Rates(outside.marks, frozenset(outside.settings.usd_stablecoins))


async def _remembered(database: Database) -> Marks:
    """The prices at which the book was valued last, until newer ones come."""
    marks = Marks()
    for mark in await SqlCurves(database).marks():
        marks.remember(*mark)
    return marks


def _build(outside: _Outside) -> tuple[ReadBook, BookRpc, dict[str, Loop]]:
    """The book's use cases over what was opened, and what they do by themselves."""
    settings, runtime, execution = outside.settings, outside.runtime, outside.execution
    book, marks, log = outside.book, outside.marks, runtime.log
    accounts, curves = SqlAccounts(outside.database), SqlCurves(outside.database)
    rates = _rates(outside)
    changed = asyncio.Event()
    apply = ApplyFills(book, changed)
    page, patience = settings.catch_up_page, settings.read_timeout_s
    know = KnowAccounts(execution, accounts, settings.accounts, log, timeout_s=patience)
    freshen = Freshen(execution, book, apply, log, page=page, timeout_s=patience)
    read = ReadBook(book, freshen, know, accounts, rates, runtime.clock)
    record = RecordCurve(book, curves, know, marks, rates, runtime.clock)
    price = PricePositions(book, accounts, outside.market_data, marks, rates, log)
    rpc = BookRpc(
        ReadPerformance(curves, record, freshen, know, outside.offload, runtime.clock),
        RecordTransfer(book, know, record, runtime.clock),
        ImportPositions(
            apply,
            know,
            outside.market_data,
            price,
            record,
            read,
            rates,
            runtime.clock,
            most=settings.import_positions_max,
        ),
    )
    catch_up = CatchUp(
        execution, book, apply, page=page, overlap=settings.catch_up_overlap, timeout_s=settings.catch_up_timeout_s
    )
    catch_up_charges = CatchUpCharges(execution, book, apply, page=page, timeout_s=settings.catch_up_timeout_s)
    roll = RollDay(book, know, accounts, read, marks, runtime.clock)
    warm = outside.solver.warm  # in the first round, so that its import does not compete with the start
    steps: dict[str, Step] = {
        "accounts": know.learn,
        "day": roll,
        "fills": catch_up,
        "charges": catch_up_charges,
        "marks": price,
        "solver": warm,
    }
    horizons = Horizons(settings.curve_all_days, settings.curve_hourly_days, settings.curve_daily_days)
    thin = ThinCurve(curves, horizons, runtime.clock)
    rounds = Rounds(steps, log, period_s=settings.catch_up_s)
    curve = Rounds({"curve": record}, log, period_s=settings.curve_period_s)
    thinning = Rounds({"thin": thin}, log, period_s=settings.curve_thin_s)
    tell = TellChanges(book, know, NatsPositions(outside.nats), marks, batch=settings.outbox_batch)
    fills = FillListener(outside.nats, apply, runtime.metrics, batch=settings.fill_batch)
    charges = ChargeListener(outside.nats, apply, runtime.metrics, batch=settings.fill_batch)
    quotes = QuoteListener(outside.nats, marks, log)
    relay = Relay(tell, changed, log, retry_s=settings.outbox_retry_s)
    listening: dict[str, Loop] = {"fills": fills.run, "charges": charges.run, "quotes": quotes.run}
    curve_loops: dict[str, Loop] = {"curve": curve.run, "thinning": thinning.run}
    return read, rpc, {**listening, **curve_loops, "relay": relay.run, "rounds": rounds.run}


def _rebalancing(outside: _Outside, read: ReadBook, targets: Targets) -> tuple[RebalanceRpc, dict[str, Loop]]:
    """What proposes and executes rebalances, and what goes on by itself."""
    settings, clock, log = outside.settings, outside.runtime.clock, outside.runtime.log
    rebalances, schedules = SqlRebalances(outside.database), SqlSchedules(outside.database)
    called, untold = asyncio.Event(), asyncio.Event()
    changes = Changes(called, untold)
    survey = Survey(read, outside.market_data, cushion_bps=settings.rebalance_cushion_bps)
    propose = ProposeRebalance(
        survey,
        outside.market_data,
        targets,
        rebalances,
        changes,
        clock,
        new_id,
        orders_max=settings.rebalance_orders_max,
    )
    execute = ExecuteRebalance(rebalances, survey, changes, clock, drift_most=settings.rebalance_drift_most)
    stories = RebalanceStories(
        propose,
        FindRebalance(rebalances),
        execute,
        CancelRebalance(rebalances, changes, clock),
        WatchRebalance(rebalances, changes, look_again_s=settings.rebalance_watch_s),
        KeepSchedules(schedules, read, clock),
    )
    run = RunRebalances(rebalances, outside.orders, changes, clock, log, concurrent=settings.rebalance_concurrent)
    tell = TellRebalances(rebalances, NatsRebalances(outside.nats), batch=settings.outbox_batch)
    forget = ForgetRebalances(rebalances, clock, keep_days=settings.rebalance_keep_days)
    timetable = RunSchedules(schedules, rebalances, propose, execute, clock, log)
    loops: dict[str, Loop] = {
        "rebalances": Errand("rebalances", run, called, log, again_s=settings.rebalance_poll_s).run,
        "rebalance events": Relay(tell, untold, log, retry_s=settings.outbox_retry_s).run,
        "old rebalances": Rounds({"forget": forget}, log, period_s=settings.rebalance_forget_s).run,
        "schedules": Rounds({"schedules": timetable}, log, period_s=settings.schedule_look_s).run,
    }
    return RebalanceRpc(stories, rebalances), loops
