"""The portfolio as a process: on a real nats-server, on SQLite and Postgres, killed and started again."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from builders.portfolio import a_fill, fill_event
from fakes.portfolio import ExecutionServer, MarketDataServer, serving
from servers import free_port, process

from fleet import channels, subjects
from fleet.bus import Bus, Message, connect
from fleet.metrics import Metrics
from neuraltrader.common.v1 import common_pb2 as common
from neuraltrader.execution.v1 import execution_pb2, execution_service_pb2
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.portfolio.v1 import book_service_pb2 as book_pb
from neuraltrader.portfolio.v1 import portfolio_pb2
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from neuraltrader.portfolio.v1.book_service_pb2_grpc import BookServiceStub
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from services.portfolio.domain.entries import Fill
from services.portfolio.domain.ledger import Ledger
from trading.errors import Kind, TradingError
from trading.money import ONE
from trading.order import Side

READY_S = 90.0
SETTLED_S = 100.0
NOBODY = "127.0.0.1:1"


class Life:
    """How to start one portfolio, again and again, over the same database."""

    def __init__(self, directory: Path, nats_url: str, database_url: str, others: str = NOBODY) -> None:
        self.directory = directory
        self.grpc_port, self.metrics_port = free_port(), free_port()
        self.environment = {
            "NATS_URL": nats_url,
            "DATABASE_URL": database_url,
            "NT_DATA_DIR": str(directory),
            "NT_GRPC_PORT": str(self.grpc_port),
            "NT_METRICS_PORT": str(self.metrics_port),
            "NT_EXECUTION_ADDRESS": others,
            "NT_MARKET_DATA_ADDRESS": others,
            "NT_CATCH_UP_S": "0.2",
            "NT_READ_TIMEOUT_S": "2",
            "NT_FILL_BATCH": "16",
        }

    @contextmanager
    def started(self) -> Iterator["Life"]:
        command = [sys.executable, "-m", "services.portfolio"]
        with process(command, env=self.environment, log=self.directory / "portfolio.log") as child:
            self.child = child
            yield self

    async def ready(self) -> None:
        url = f"http://127.0.0.1:{self.metrics_port}/readyz"
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(READY_S):
            while True:
                assert self.child.poll() is None, (self.directory / "portfolio.log").read_text()
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()


@asynccontextmanager
async def calls_to(life: Life) -> AsyncIterator[PortfolioServiceStub]:
    async with channels.connect(
        f"127.0.0.1:{life.grpc_port}", token=None, client="test", default_timeout_s=60
    ) as channel:
        yield PortfolioServiceStub(channel)


def some_fills(count: int) -> list[Fill]:
    dice = random.Random(11)
    return [
        a_fill(
            number,
            dice.choice(list(Side)),
            quantity_nanos=dice.randrange(1, 10**11),
            price_nanos=dice.randrange(1, 10**12),
            fee_nanos=dice.randrange(0, 10**7),
            symbol=dice.choice(["AAPL", "TSLA", "BTC-USDT"]),
        )
        for number in range(1, count + 1)
    ]


async def publish(bus: Bus, fills: list[Fill], salt: str) -> None:
    """Put fills on the stream; another salt makes JetStream take the same fill for a new message."""
    for fill in fills:
        await bus.publish_event(
            subjects.order_event("fill", fill.account), fill_event(fill),
            event_id=f"{fill.event_id}/{salt}", event_type="fill", source="test", time_ns=fill.event_time_ns,
        )  # fmt: skip


async def booked(calls: PortfolioServiceStub, count: int) -> pb.ListPositionsResponse:
    async with asyncio.timeout(SETTLED_S):
        while True:
            answer = await calls.ListPositions(pb.ListPositionsRequest(include_flat=True))
            if sum(position.fill_count for position in answer.positions) >= count:
                return answer
            await asyncio.sleep(0.05)


def nanos(money: object) -> int:
    return money.units * ONE + money.nanos  # type: ignore[attr-defined,no-any-return]


def assert_exact(answer: pb.ListPositionsResponse, fills: list[Fill]) -> None:
    ledger = Ledger()
    for fill in fills:
        ledger.post(fill)
    expected = sorted(
        (p.symbol, p.quantity_nanos, p.avg_price_nanos, p.realized_nanos, p.fees_nanos, p.fill_count)
        for p in ledger.positions.values()
    )
    assert [
        (p.symbol, p.quantity_nanos, p.avg_price_nanos, nanos(p.realized_pnl), nanos(p.fees), p.fill_count)
        for p in answer.positions
    ] == expected


async def changes_on(bus: Bus, count: int) -> list[portfolio_pb2.PositionChanged]:
    """The changes on the stream, as soon as there are at least `count`."""
    found: list[Message] = []
    whole = asyncio.Event()

    async def keep(messages: list[Message]) -> None:
        found.extend(messages)
        if len(found) >= count:
            whole.set()

    reading = asyncio.create_task(bus.consume(subjects.POSITION_STREAM, "test", subjects.POSITIONS_ALL, keep))
    async with asyncio.timeout(SETTLED_S):
        await whole.wait()
    reading.cancel()
    return [portfolio_pb2.PositionChanged.FromString(message.payload) for message in found]


async def live_through_a_kill(first: Life, second: Life, bus: Bus) -> None:
    """Fills come in disorder and more than once; the process is killed among them; every one counts once."""
    fills = some_fills(240)
    disorder = random.Random(3).sample(fills[:150], 150)
    async with calls_to(first) as calls:
        with first.started():
            await first.ready()
            await publish(bus, disorder, "first")
            await booked(calls, 20)
            first.kill()
    await publish(bus, fills[100:200], "again")
    async with calls_to(second) as calls:
        with second.started():
            await second.ready()
            await publish(bus, fills[200:] + fills[:40], "third")
            assert_exact(await booked(calls, 240), fills)
            changes = await changes_on(bus, 240)
    assert len(changes) == 240
    assert {change.event_id for change in changes} == {fill.event_id for fill in fills}
    assert sorted(change.account_sequence for change in changes) == list(range(1, 241))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_killed_book_on_sqlite_is_made_whole_by_the_stream_alone(tmp_path: Path, own_nats_url: str) -> None:
    async with connect(own_nats_url, "test", Metrics()) as bus:
        life = Life(tmp_path, own_nats_url, "")
        await live_through_a_kill(life, life, bus)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_killed_book_on_postgres_is_made_whole_by_stream_and_log_together(
    tmp_path: Path, own_nats_url: str, postgres_url: str
) -> None:
    whole_log = ExecutionServer(some_fills(240), [an_account()])
    async with connect(own_nats_url, "test", Metrics()) as bus, serving(whole_log, MarketDataServer()) as others:
        first = Life(tmp_path, own_nats_url, postgres_url)
        await live_through_a_kill(first, Life(tmp_path, own_nats_url, postgres_url, others), bus)


def an_account(opening: int = 100_000) -> execution_service_pb2.Account:
    return execution_service_pb2.Account(
        id="main", venue="alpaca", currency="USD", trading_state=execution_pb2.TRADING_STATE_ACTIVE,
        opening_cash_nanos=opening * ONE, buying_power_nanos=400_000 * ONE,
    )  # fmt: skip


@asynccontextmanager
async def a_desk(directory: Path, nats_url: str) -> AsyncIterator[tuple[ExecutionServer, PortfolioServiceStub, Bus]]:
    """A portfolio on SQLite beside an execution and a market_data that answer."""
    execution = ExecutionServer(accounts=[an_account()])
    quote = market.Quote(symbol="AAPL", bid_nanos=110 * ONE, ask_nanos=112 * ONE, receive_time_ns=1)
    tech = market.Instrument(symbol="AAPL", sector="Technology", venue_symbols={"alpaca": "AAPL"})
    async with serving(execution, MarketDataServer([quote], [tech])) as others:
        life = Life(directory, nats_url, "", others)
        with life.started():
            await life.ready()
            async with calls_to(life) as calls, connect(nats_url, "test", Metrics()) as bus:
                yield execution, calls, bus
            life.child.terminate()
            assert await asyncio.to_thread(life.child.wait, 20) == 0


async def until_valued(calls: PortfolioServiceStub, equity: int) -> portfolio_pb2.Account:
    async with asyncio.timeout(SETTLED_S):
        while True:
            account = (await calls.GetAccount(pb.GetAccountRequest())).account
            if nanos(account.equity) == equity:
                return account
            await asyncio.sleep(0.05)


async def refusal_of(calls: PortfolioServiceStub, request: pb.OptimizeRequest) -> TradingError:
    with pytest.raises(TradingError) as refused:
        await calls.Optimize(request)
    return refused.value


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_desk_values_the_book_chooses_weights_and_measures_risk(tmp_path: Path, own_nats_url: str) -> None:
    async with a_desk(tmp_path, own_nats_url) as (execution, calls, bus):
        await _assert_values_the_book(execution, calls, bus)
        await _assert_chooses_weights(calls)
        await _assert_takes_every_route(calls)
        await _assert_judges_large_covariances_meanwhile(calls)
        await _assert_measures_risk(calls)


async def _assert_values_the_book(execution: ExecutionServer, calls: PortfolioServiceStub, bus: Bus) -> None:
    """Fills that the stream never brought come from execution's log, at once for a reader."""
    execution.log = [a_fill(1, quantity="10", price="100", fee="1")]
    (position,) = (await calls.ListPositions(pb.ListPositionsRequest())).positions
    assert (position.symbol, position.quantity_nanos) == ("AAPL", 10 * ONE)
    account = await until_valued(calls, (100_000 - 1001 + 1110) * ONE)
    assert (account.id, account.venue, account.currency, account.trading_state) == ("main", "alpaca", "USD", "ACTIVE")
    assert nanos(account.cash) == (100_000 - 1001) * ONE
    assert nanos(account.day_pnl) == 109 * ONE
    assert (account.fill_count, account.log_sequence) == (1, 3)
    (change,) = await changes_on(bus, 1)
    assert (change.event_id, nanos(change.cash)) == ("event-1", (100_000 - 1001) * ONE)
    assert [account.id for account in (await calls.ListAccounts(pb.ListAccountsRequest())).accounts] == ["main"]
    with pytest.raises(TradingError) as absent:
        await calls.GetAccount(pb.GetAccountRequest(account="nobody"))
    assert absent.value.kind is Kind.NOT_FOUND


async def _assert_chooses_weights(calls: PortfolioServiceStub) -> None:
    request = pb.OptimizeRequest(
        symbols=["AAPL", "TSLA", "NVDA"], expected_returns=[0.1, 0.12, 0.2],
        covariance_f64le=np.diag([0.04, 0.09, 0.16]).tobytes(),
    )  # fmt: skip
    request.constraints.max_position_size = 0.3
    refused = await refusal_of(calls, request)
    assert (refused.kind, refused.reason) == (Kind.INVALID_ARGUMENT, "INFEASIBLE_BUDGET")
    assert refused.metadata["constraint"] == "max_position_size"
    request.constraints.allow_cash = True
    answer = await calls.Optimize(request)
    assert sum(answer.allocations.values()) + answer.cash == pytest.approx(1.0)
    assert max(answer.allocations.values()) == pytest.approx(0.3)
    assert (answer.psd, answer.solver.status) == ("verified", "optimal")
    assert answer.solver.max_violation <= 1e-8
    assert len(answer.input_sha256) == 64
    request.constraints.sector_caps["Technology"] = 0.2
    request.constraints.sectors.update({"TSLA": "Consumer", "NVDA": "Technology"})
    capped = await calls.Optimize(request)
    assert capped.allocations["AAPL"] + capped.allocations["NVDA"] <= 0.2 + 1e-8


async def _assert_takes_every_route(calls: PortfolioServiceStub) -> None:
    random = np.random.default_rng(4)
    returns = random.normal(0.0005, 0.01, (120, 1)) + random.normal(0.0005, 0.01, (120, 6))
    request = pb.OptimizeRequest(symbols=[f"S{index}" for index in range(6)], returns_f64le=returns.tobytes())
    request.risk_free_rate = 0.0
    routes = {
        pb.OBJECTIVE_MIN_VARIANCE: "column-generation/piqp",
        pb.OBJECTIVE_MAX_SHARPE: "column-generation/piqp",
        pb.OBJECTIVE_MAX_UTILITY: "column-generation/piqp",
        pb.OBJECTIVE_MIN_CVAR: "column-generation/highs",
        pb.OBJECTIVE_TARGET_RISK: "column-generation/cvxpy/clarabel",
        pb.OBJECTIVE_RISK_PARITY: "newton",
        pb.OBJECTIVE_HRP: "hierarchy",
    }
    request.target_risk = 0.25
    for objective, route in routes.items():
        request.objective = objective
        answer = await calls.Optimize(request, timeout=30)
        assert (answer.solver.route, answer.psd) == (route, "verified")
        assert answer.HasField("cvar") == (objective == pb.OBJECTIVE_MIN_CVAR)
        assert bool(answer.risk_contributions) == (route in {"newton", "hierarchy"})
    request.objective, request.constraints.min_position_size = pb.OBJECTIVE_MIN_VARIANCE, 0.2
    held = [weight for weight in (await calls.Optimize(request)).allocations.values() if weight]
    assert min(held) >= 0.2 - 1e-8
    request.constraints.ClearField("min_position_size")
    points = [answer async for answer in calls.ComputeFrontier(pb.ComputeFrontierRequest(problem=request, points=7))]
    assert [answer.index for answer in points] == list(range(7))
    assert points[0].point.risk < points[-1].point.risk


async def _assert_judges_large_covariances_meanwhile(calls: PortfolioServiceStub) -> None:
    """The first answer comes before the verdict, the next ones after it."""
    random = np.random.default_rng(6)
    loadings = random.normal(0.1, 0.05, (300, 3))
    request = pb.OptimizeRequest(
        symbols=[f"S{index}" for index in range(300)],
        expected_returns=random.uniform(0.05, 0.15, 300),
        covariance_f64le=(loadings @ loadings.T + np.eye(300) * 0.04).tobytes(),
    )
    assert (await calls.Optimize(request)).psd == "pending"
    async with asyncio.timeout(SETTLED_S):
        while True:
            if (await calls.Optimize(request)).psd == "verified":
                return
            await asyncio.sleep(0.02)


async def _assert_measures_risk(calls: PortfolioServiceStub) -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (252, 2))
    request = pb.CalculateRiskRequest(symbols=["AAPL", "SPY"], positions=[1, 0], returns_f64le=returns.tobytes())
    report = await calls.CalculateRisk(request)
    assert report.var_95 == pytest.approx(np.sort(-returns[:, 0])[-13])
    assert report.beta == pytest.approx(np.cov(returns.T)[0, 1] / returns[:, 1].var(ddof=1))
    assert report.observations == 252


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_is_booked_by_hand_and_its_performance_survive_a_kill(tmp_path: Path, own_nats_url: str) -> None:
    execution = ExecutionServer(accounts=[an_account(1000)])
    quotes = [
        market.Quote(symbol=symbol, bid_nanos=price * ONE, ask_nanos=price * ONE, receive_time_ns=1)
        for symbol, price in (("AAPL", 111), ("BTC-USDT", 60_000))
    ]
    known = [
        market.Instrument(symbol="AAPL", asset_class="EQUITY", currency="USD"),
        market.Instrument(symbol="BTC-USDT", asset_class="CRYPTO", currency="USD", venue_symbols={"alpaca": "BTC/USD"}),
    ]
    async with serving(execution, MarketDataServer(quotes, known)) as others:
        life = Life(tmp_path, own_nats_url, "", others)
        for is_first in (True, False):
            with life.started():
                await life.ready()
                address = f"127.0.0.1:{life.grpc_port}"
                async with channels.connect(address, token=None, client="test", default_timeout_s=60) as channel:
                    await _book_by_hand(BookServiceStub(channel), is_first)
                    await _assert_worth(PortfolioServiceStub(channel), BookServiceStub(channel))
                life.kill()


async def _book_by_hand(book: BookServiceStub, is_first: bool) -> None:
    """The first life books; the second is told the same again."""
    half_a_coin = common.Money(currency="BTC", nanos=500_000_000)
    transfer = book_pb.RecordTransferRequest(transfer_id="t-1", amount=half_a_coin, note="cold store")
    transferred = await book.RecordTransfer(transfer)
    assert (transferred.repeated_transfer, nanos(transferred.cash)) == (not is_first, ONE // 2)
    line = book_pb.ImportedPosition(symbol="aapl", quantity_nanos=10 * ONE, avg_price_nanos=100 * ONE)
    brought = await book.ImportPositions(book_pb.ImportPositionsRequest(import_id="i-1", positions=[line]))
    assert brought.repeated_import is not is_first
    assert [(each.symbol, each.quantity_nanos) for each in brought.positions] == [("AAPL", 10 * ONE)]
    line.quantity_nanos += 1
    with pytest.raises(TradingError) as refused:
        await book.ImportPositions(book_pb.ImportPositionsRequest(import_id="i-1", positions=[line]))
    assert refused.value.kind is Kind.ALREADY_EXISTS
    with pytest.raises(TradingError) as mixed:
        await book.RecordTransfer(
            book_pb.RecordTransferRequest(transfer_id="t-2", amount=common.Money(currency="USD", units=1, nanos=-1))
        )
    assert mixed.value.kind is Kind.INVALID_ARGUMENT


async def _assert_worth(calls: PortfolioServiceStub, book: BookServiceStub) -> None:
    account = await until_valued(calls, (1000 + 30_000 + 1110) * ONE)
    assert [(each.currency, nanos(each)) for each in account.balances] == [("BTC", ONE // 2), ("USD", 1000 * ONE)]
    assert not account.unpriced_currencies
    assert nanos(account.gross_exposure) == nanos(account.net_exposure) == 1110 * ONE
    found = await book.GetPerformance(book_pb.GetPerformanceRequest())
    assert (found.account, found.currency, found.total_return) == ("main", "USD", 0.0)
    assert nanos(found.curve[-1].equity) == nanos(found.curve[-1].paid_in) == 32_110 * ONE
    with pytest.raises(TradingError) as absent:
        await book.GetPerformance(book_pb.GetPerformanceRequest(account="nobody"))
    assert absent.value.kind is Kind.NOT_FOUND
