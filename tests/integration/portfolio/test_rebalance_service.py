"""Rebalances and risk of a real portfolio process over gRPC: killed with orders under way, it places nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders.portfolio import a_fill
from fakes.portfolio import MarketDataServer, serving
from fakes.trading_server import TradingServer
from integration.portfolio.test_service import Life, an_account
from waiting import until

from fleet import channels, subjects
from fleet.bus import Bus, connect
from fleet.metrics import Metrics
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as pb
from neuraltrader.portfolio.v1 import risk_service_pb2 as risk
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from neuraltrader.portfolio.v1.rebalance_service_pb2_grpc import RebalanceServiceStub
from neuraltrader.portfolio.v1.risk_service_pb2_grpc import RiskServiceStub
from trading.clock import DAY_NS, SystemClock
from trading.errors import Kind, TradingError
from trading.money import ONE

pytestmark = pytest.mark.timeout(240)
PRICES = {"AAPL": 100 * ONE, "MSFT": 400 * ONE, "SPY": 500 * ONE}
RULES = pb.RebalanceRules(targets={"MSFT": 0.5})
PATIENCE_S = 60.0


@dataclass
class Desk:
    """One portfolio process after another over the same database, and the rest of its fleet."""

    life: Life
    execution: TradingServer
    bus: Bus

    @asynccontextmanager
    async def alive(self) -> AsyncIterator["Stubs"]:
        with self.life.started():
            await self.life.ready()
            address = f"127.0.0.1:{self.life.grpc_port}"
            async with channels.connect(address, token=None, client="test", default_timeout_s=30) as channel:
                yield Stubs(PortfolioServiceStub(channel), RebalanceServiceStub(channel), RiskServiceStub(channel))


@dataclass
class Stubs:
    """What a client calls."""

    portfolio: PortfolioServiceStub
    rebalances: RebalanceServiceStub
    risk: RiskServiceStub

    async def proposed(self, rules: pb.RebalanceRules = RULES) -> pb.Rebalance:
        return (await self.rebalances.ProposeRebalance(pb.ProposeRebalanceRequest(rules=rules))).rebalance

    async def executed(self, rebalance_id: str) -> pb.Rebalance:
        return (await self.rebalances.ExecuteRebalance(pb.ExecuteRebalanceRequest(id=rebalance_id))).rebalance

    async def watched(self, rebalance_id: str) -> list[pb.Rebalance]:
        """Every version that a watcher sees, to the end."""
        watch = self.rebalances.WatchRebalance(pb.WatchRebalanceRequest(id=rebalance_id), timeout=PATIENCE_S)
        return [answer.rebalance async for answer in watch]


def history() -> list[market.Bar]:
    """A year and more of daily bars up to yesterday."""
    today = SystemClock().now_ns() // DAY_NS
    return [
        market.Bar(
            symbol=symbol,
            interval="1d",
            timestamp_ns=(today - 300 + day) * DAY_NS,
            close_nanos=price + (day * 37 * step % 41 - 20) * ONE // 20,
        )
        for step, (symbol, price) in enumerate(PRICES.items(), 1)
        for day in range(300)
    ]


@pytest.fixture
async def desk(tmp_path: Path, own_nats_url: str) -> AsyncIterator[Desk]:
    """An account of 100,000 that has bought a hundred AAPL at 100."""
    execution = TradingServer(PRICES, [an_account()])
    execution.log = [a_fill(1, quantity="100", price="100")]
    quotes = [
        market.Quote(symbol=symbol, bid_nanos=price, ask_nanos=price, receive_time_ns=1, event_time_ns=1)
        for symbol, price in PRICES.items()
    ]
    instruments = [
        market.Instrument(symbol=symbol, currency="USD", lot_nanos=1, tradable=True, sector="Technology")
        for symbol in PRICES
    ]
    others = serving(execution, MarketDataServer(quotes, instruments, history()))
    async with connect(own_nats_url, "test", Metrics()) as bus, others as address:
        yield Desk(Life(tmp_path, own_nats_url, "", address), execution, bus)


async def told_states(bus: Bus) -> list[int]:
    """States of the rebalances on the stream, oldest first."""
    found: list[int] = []
    subscription = await bus.jetstream.subscribe(subjects.REBALANCES_ALL, stream=subjects.POSITION_STREAM)
    async with asyncio.timeout(PATIENCE_S):
        while pb.REBALANCE_STATE_DONE not in found:
            found.append(pb.Rebalance.FromString((await subscription.next_msg()).data).state)
    return found


async def test_killed_between_submit_and_answer_it_goes_on_and_places_nothing_twice(desk: Desk) -> None:
    desk.execution.may_answer.clear()
    async with desk.alive() as stubs:
        rebalance = await stubs.proposed()
        assert [order.symbol for order in rebalance.orders] == ["AAPL", "MSFT"]
        started = await stubs.executed(rebalance.id)
        assert started.state == pb.REBALANCE_STATE_EXECUTING
        await until(lambda: bool(desk.execution.orders), "the first order")
        desk.life.kill()
    desk.execution.may_answer.set()
    async with desk.alive() as stubs:
        seen = await stubs.watched(rebalance.id)
        assert (seen[-1].state, seen[-1].error) == (pb.REBALANCE_STATE_DONE, "")
        assert sorted(order.symbol for order in desk.execution.orders.values()) == ["AAPL", "MSFT"]
        assert [request.symbol for request in desk.execution.requests].count("AAPL") == 2
        held = {
            p.symbol: p.quantity_nanos
            for p in (await stubs.portfolio.ListPositions(calls.ListPositionsRequest())).positions
        }
        assert held == {"MSFT": 125 * ONE}  # half of 100,000 at 400
        assert (await stubs.executed(rebalance.id)).state == pb.REBALANCE_STATE_DONE
        assert len(desk.execution.orders) == 2
    states = await told_states(desk.bus)
    assert states[0] == pb.REBALANCE_STATE_PROPOSED


async def test_a_rebalance_ends_when_somebody_cancels_it(desk: Desk) -> None:
    desk.execution.resting.add("AAPL")
    async with desk.alive() as stubs:
        rebalance = await stubs.proposed()
        await stubs.executed(rebalance.id)
        watching = asyncio.create_task(stubs.watched(rebalance.id))
        await until(lambda: bool(desk.execution.orders), "the order that rests")
        await stubs.rebalances.CancelRebalance(pb.CancelRebalanceRequest(id=rebalance.id))
        ended = (await watching)[-1]
        assert (ended.state, [order.status for order in ended.orders]) == (
            pb.REBALANCE_STATE_CANCELED,
            ["CANCELED", ""],
        )
        (order,) = desk.execution.orders.values()
        assert order.status == execution_pb2.ORDER_STATUS_CANCELED
        page = await stubs.rebalances.ListRebalances(pb.ListRebalancesRequest(limit=1))
        assert (page.rebalances[0].id, page.next_cursor) == (rebalance.id, "")
        with pytest.raises(TradingError) as refused:
            await stubs.rebalances.ListRebalances(pb.ListRebalancesRequest(limit=501))
        assert refused.value.kind is Kind.INVALID_ARGUMENT
        with pytest.raises(TradingError) as unknown:
            await stubs.rebalances.GetRebalance(pb.GetRebalanceRequest(id="nothing"))
        assert unknown.value.reason == "UNKNOWN_REBALANCE"


async def test_a_schedule_is_kept_over_a_restart_and_removed(desk: Desk) -> None:
    optimize = calls.OptimizeRequest(
        symbols=["AAPL", "MSFT"],
        objective=calls.OBJECTIVE_MIN_VARIANCE,
        window=calls.ReturnsWindow(days=60),
    )
    schedule = pb.Schedule(rules=pb.RebalanceRules(drift_band=0.1), optimize=optimize, every_ns=300 * ONE)
    async with desk.alive() as stubs:
        await stubs.rebalances.PutSchedule(pb.PutScheduleRequest(schedule=schedule))
    async with desk.alive() as stubs:
        (kept,) = (await stubs.rebalances.ListSchedules(pb.ListSchedulesRequest())).schedules
        assert (kept.rules.account, kept.optimize, kept.enabled) == ("main", optimize, False)
        made = await stubs.rebalances.ProposeRebalance(
            pb.ProposeRebalanceRequest(rules=pb.RebalanceRules(), optimize=optimize)
        )
        assert sum(made.rebalance.rules.targets.values()) == pytest.approx(1.0)
        await stubs.rebalances.DeleteSchedule(pb.DeleteScheduleRequest())
        assert (await stubs.rebalances.ListSchedules(pb.ListSchedulesRequest())).schedules == []


async def test_risk_losses_and_shocks_of_the_book_come_by_grpc(desk: Desk) -> None:
    async with desk.alive() as stubs:
        report = await stubs.portfolio.CalculateRisk(calls.CalculateRiskRequest(account="main"))
        assert (report.gross_exposure, report.observations) == (10_000.0, 252)
        simulated = await stubs.risk.SimulateLosses(risk.SimulateLossesRequest(paths=20_000, seed=-1))
        assert simulated.value == 10_000.0
        assert simulated.var_95 == pytest.approx(report.var_95, rel=0.1)
        scenario = risk.StressScenario(name="tech", sector_shocks={"Technology": -0.1})
        stressed = await stubs.risk.StressTest(risk.StressTestRequest(scenarios=[scenario]))
        assert stressed.outcomes[0].profit == pytest.approx(-1000.0)
        assert (stressed.gross_value, stressed.net_value) == (10_000.0, 10_000.0)
