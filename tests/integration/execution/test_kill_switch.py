"""The kill switch under load: the venue's own books tell when the last order came; and the one that pulls itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders.execution_process import ExecutionProcess, execution_process
from builders.fault_script import Script
from builders.live_venue import LiveVenue, MarketData, live_venue
from waiting import until, within

from fleet import subjects
from fleet.bus import Bus
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.inference.v1 import inference_pb2
from trading.clock import SECOND_NS, SystemClock
from trading.ids import new_id
from trading.money import ONE

CLOCK = SystemClock()
EVERY_S = 0.004
"""Submits 250 times a second."""
GRACE_NS = round(within(0.1) * SECOND_NS)
"""An order that had left before the halt may still be on its way for so long."""


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    """An exchange whose prices are scripted: by itself the market hardly moves."""
    flags = ("--admin", "--symbols", "AAPL,TSLA,BTC-USDT", "--port", "0", "--quote-rate", "0.001", "--trade-rate", "0")
    with live_venue(*flags) as running:
        yield running


@pytest.fixture
def service(
    venue: LiveVenue, market: MarketData, nats_url: str, tmp_path: Path, script: Script
) -> Iterator[ExecutionProcess]:
    """A service with a log of its own."""
    with execution_process(tmp_path, venue, nats_url, market.grpc) as process:
        process.start(NT_DAILY_LOSS_SECONDS="0.1", NT_DEFAULT_MAX_QUOTE_AGE_SECONDS="3600")
        yield process


@pytest.fixture
def script(venue: LiveVenue, market: MarketData) -> Script:
    """The admin route, with a market that stands at 100."""
    script = Script(str(venue.line["admin"]))
    for symbol in ("AAPL", "TSLA"):
        say(script, 100, symbol)
    return script


def say(script: Script, price: float, symbol: str = "AAPL") -> None:
    """Let the market stand a cent around a price at which it has just traded."""
    said = [{"symbol": symbol, "bid": round(price - 0.01, 2), "ask": round(price + 0.01, 2), "last": price}]
    assert script.call("POST", "/market", json=said).status_code == 200


def resting() -> rpc.SubmitOrderRequest:
    """At a price below the market that the collar lets pass."""
    return rpc.SubmitOrderRequest(
        symbol="AAPL",
        side=pb.SIDE_BUY,
        order_type=pb.ORDER_TYPE_LIMIT,
        price_nanos=95 * ONE,
        quantity_nanos=ONE,
        time_in_force=pb.TIME_IN_FORCE_GTC,
        wait=pb.WAIT_NONE,
    )


@pytest.mark.timed
async def test_no_order_leaves_after_the_halt_and_every_cancel_does(
    service: ExecutionProcess, venue: LiveVenue
) -> None:
    """A stream of submits goes on for a while after the halt has been answered."""
    answers: dict[int, rpc.StreamOrdersResponse] = {}
    submitted: list[int] = []
    over = asyncio.Event()
    begun_ns = CLOCK.now_ns()

    async def submits() -> AsyncIterator[rpc.StreamOrdersRequest]:
        while not over.is_set():
            submitted.append(len(submitted) + 1)
            yield rpc.StreamOrdersRequest(request_id=submitted[-1], submit=resting())
            await asyncio.sleep(EVERY_S)

    async def stream(stub: ExecutionServiceStub) -> None:
        async for answer in stub.StreamOrders(submits()):
            answers[answer.request_id] = answer

    async with service.plain_channel() as channel, service.stub() as stub:
        streaming = asyncio.create_task(stream(ExecutionServiceStub(channel)))
        await until(lambda: len(answers) >= 200, "two hundred orders")
        halt = rpc.SetTradingStateRequest(state=pb.TRADING_STATE_HALTED, reason="test", actor="test")
        await stub.SetTradingState(halt)
        halted_ns, before = CLOCK.now_ns(), len(submitted)
        await until(lambda: len(answers) >= before + 100, "answers to a hundred submits after the halt")
        over.set()
        await streaming
        codes = [answers[number].submitted.order.denial.code for number in submitted]
        assert set(codes[before:]) == {"TRADING_HALTED"}
        arrivals = await _arrivals(venue)
        assert len(arrivals) <= codes.count("")  # what was kept before the halt and not sent yet stays here
        assert [at_ns - halted_ns for at_ns in arrivals if at_ns > halted_ns + GRACE_NS] == []
        assert len([at_ns for at_ns in arrivals if begun_ns < at_ns < CLOCK.now_ns()]) == len(arrivals) > 100
        working = await stub.ListOrders(rpc.ListOrdersRequest(statuses=[pb.ORDER_STATUS_ACCEPTED], page_size=1_000))
        assert len(working.orders) > 100
        canceled = await stub.CancelOrder(rpc.CancelOrderRequest(order_id=working.orders[0].order_id))
        assert canceled.order.status == pb.ORDER_STATUS_CANCELED
        await stub.CancelOrders(rpc.CancelOrdersRequest())

        async def none_works() -> bool:
            return await _open_orders(venue) == 0

        await until(none_works, "every order to be canceled at the venue")


async def _arrivals(venue: LiveVenue) -> list[int]:
    """When the venue got each order of ours, by its own clock (ns UTC)."""
    times: list[str] = []
    async with _books(venue) as client:
        query = {"status": "all", "limit": "500", "direction": "asc"}
        while page := (await client.get("/v2/orders", params=query)).json():
            times += [order["submitted_at"] for order in page]
            if len(page) < 500:
                break
            query["after"] = page[-1]["submitted_at"]
    return [round(datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp() * SECOND_NS) for text in times]


async def _open_orders(venue: LiveVenue) -> int:
    async with _books(venue) as client:
        return len((await client.get("/v2/orders", params={"status": "open", "limit": "500"})).json())


def _books(venue: LiveVenue) -> httpx.AsyncClient:
    headers = venue.key.headers()
    return httpx.AsyncClient(base_url=venue.addresses["rest"], headers=headers, trust_env=False, timeout=20)


async def test_a_runaway_strategy_is_stopped_by_its_losses(
    service: ExecutionProcess, venue: LiveVenue, script: Script, bus: Bus
) -> None:
    """Signals buy more the deeper the market falls, until the day's loss halts them; what follows trades nothing."""
    async with service.stub() as stub:
        limits = (await stub.GetRiskLimits(rpc.GetRiskLimitsRequest())).limits
        limits.max_daily_loss_nanos = 500 * ONE
        await stub.SetRiskLimits(rpc.SetRiskLimitsRequest(limits=limits, actor="test"))
        switch = pb.SignalTrading(enabled=True, notional_nanos=5_000 * ONE, min_confidence=0.1)
        await stub.SetSignalTrading(rpc.SetSignalTradingRequest(signal_trading=switch, actor="test"))
        assert await _held(venue) == 0
        price = 100.0
        while await _state(stub) == pb.TRADING_STATE_ACTIVE:
            assert price > 50, "the market has halved and nobody stopped"
            await _buy(bus)
            await asyncio.sleep(0.2)  # a market falls in its own time
            price -= 1
            say(script, price, "TSLA")
        held = await _held(venue)
        audit = (await stub.ListAudit(rpc.ListAuditRequest())).entries
        assert "daily-loss" in {entry.actor for entry in audit}
        assert held > 0
        seen = (await stub.GetStats(rpc.GetStatsRequest())).signals
        for _ in range(5):
            await _buy(bus)

        async def taken_in() -> bool:
            return (await stub.GetStats(rpc.GetStatsRequest())).signals >= seen + 5

        await until(taken_in, "the signals to be taken in")
        denied = (await stub.SubmitOrder(resting())).order
        assert denied.denial.code == "TRADING_HALTED"
        assert await _held(venue) == held


async def _state(stub: ExecutionServiceStub) -> Any:
    return (await stub.ListAccounts(rpc.ListAccountsRequest())).accounts[0].trading_state


async def _held(venue: LiveVenue) -> float:
    async with _books(venue) as client:
        return float((await client.get("/v2/positions/TSLA")).json().get("qty", 0))


async def _buy(bus: Bus) -> None:
    now_ns = CLOCK.now_ns()
    signal = inference_pb2.Signal(
        id=new_id(),
        symbol="TSLA",
        side=inference_pb2.SIGNAL_SIDE_BUY,
        strength=1.0,
        confidence=0.9,
        model="runaway",
        tick_receive_time_ns=now_ns,
        created_time_ns=now_ns,
        expires_ns=now_ns + 60 * SECOND_NS,
    )
    await bus.publish(subjects.signal(signal.model, signal.symbol), signal.SerializeToString())
