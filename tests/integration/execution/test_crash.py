"""Killed in the middle of everything: nothing accepted is lost, nothing is traded twice."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from builders.execution import until
from builders.execution_process import ExecutionProcess, execution_process
from builders.live_venue import LiveVenue, MarketData

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from trading.errors import TradingError
from trading.ids import new_id
from trading.money import ONE, parse_nanos

WORKERS = 8
_WORKING = [pb.ORDER_STATUS_SUBMITTED, pb.ORDER_STATUS_UNRESOLVED, pb.ORDER_STATUS_ACCEPTED]
_WORKING += [pb.ORDER_STATUS_PARTIALLY_FILLED]


@pytest.fixture
def own_service(
    venue: LiveVenue, market: MarketData, nats_url: str, log_url: str, tmp_path: Path
) -> Iterator[ExecutionProcess]:
    """An execution service that the test starts and ends."""
    with execution_process(tmp_path, venue, nats_url, market.grpc, log_url) as process:
        yield process


class Load:
    """Clients that submit market orders as fast as they can; `accepted` are those that got an answer."""

    def __init__(self) -> None:
        self.accepted: dict[str, pb.Order] = {}

    async def run(self, stub: ExecutionServiceStub) -> None:
        with contextlib.suppress(TradingError):
            for number in range(10**6):
                side = pb.SIDE_BUY if number % 3 else pb.SIDE_SELL
                request = rpc.SubmitOrderRequest(
                    symbol="AAPL",
                    side=side,
                    order_type=pb.ORDER_TYPE_MARKET,
                    quantity_nanos=ONE,
                    client_order_id=new_id(),
                    wait=(pb.WAIT_NONE, pb.WAIT_ACCEPTED, pb.WAIT_TERMINAL)[number % 3],
                )
                order = (await stub.SubmitOrder(request)).order
                self.accepted[order.order_id] = order


@pytest.mark.slow
async def test_kill_9_under_load_loses_nothing_and_doubles_nothing(
    own_service: ExecutionProcess, venue: LiveVenue
) -> None:
    """Three times killed; every accepted order is there, every fill once, our position is the venue's."""
    load = Load()
    for count in (20, 50, 80):
        await asyncio.to_thread(own_service.start)
        goal = len(load.accepted) + count
        async with own_service.stub() as stub:
            workers = [asyncio.create_task(load.run(stub)) for _ in range(WORKERS)]
            await until(lambda: len(load.accepted) >= goal, 60)  # noqa: B023 - awaited before goal moves on
            own_service.kill()
            await asyncio.wait(workers)
    await asyncio.to_thread(own_service.start)
    async with own_service.stub() as stub:
        await _until_settled(stub)
        for order_id, accepted in load.accepted.items():
            found = (await stub.GetOrder(rpc.GetOrderRequest(order_id=order_id))).order
            assert found.client_order_id == accepted.client_order_id
            assert found.filled_quantity_nanos >= accepted.filled_quantity_nanos
        fills = await _fills(stub)
        assert max(Counter(fill.event_id for fill in fills).values()) == 1
        traded = Counter[str]()
        for fill in fills:
            traded[fill.order_id] += fill.quantity_nanos
        assert max(traded.values()) == ONE
        ours = sum(fill.quantity_nanos * (1 if fill.side == pb.SIDE_BUY else -1) for fill in fills)
        assert ours == _position_at(venue)
    assert await asyncio.to_thread(own_service.stop) == 0


async def _until_settled(stub: ExecutionServiceStub) -> None:
    async with asyncio.timeout(60):
        while (await stub.ListOrders(rpc.ListOrdersRequest(statuses=_WORKING))).orders:  # noqa: ASYNC110 - polled by RPC
            await asyncio.sleep(0.1)


async def _fills(stub: ExecutionServiceStub) -> list[pb.Fill]:
    page = await stub.ListFills(rpc.ListFillsRequest(page_size=10_000))
    assert not page.has_more
    return list(page.fills)


def _position_at(venue: LiveVenue) -> int:
    """What the venue says we hold of AAPL, in nanos."""
    url = f"{venue.addresses['rest']}/v2/positions/AAPL"
    answer = httpx.get(url, headers=venue.key.headers(), trust_env=False, timeout=60)
    return 0 if answer.status_code == 404 else parse_nanos(answer.json()["qty"])


async def test_what_was_set_and_what_was_ordered_survives_a_restart(own_service: ExecutionProcess) -> None:
    """SIGTERM drains and exits 0; limits, kill switch, signal switch and keys are as they were."""
    await asyncio.to_thread(own_service.start)
    submit = rpc.SubmitOrderRequest(
        symbol="AAPL", side=pb.SIDE_BUY, order_type=pb.ORDER_TYPE_MARKET, quantity_nanos=ONE, client_order_id=new_id()
    )
    other = rpc.SubmitOrderRequest()
    other.CopyFrom(submit)
    other.client_order_id = ""
    async with own_service.stub() as stub:
        order = (await stub.SubmitOrder(submit)).order
        limits = (await stub.GetRiskLimits(rpc.GetRiskLimitsRequest())).limits
        limits.max_order_notional_nanos = ONE
        await stub.SetRiskLimits(rpc.SetRiskLimitsRequest(limits=limits, actor="test"))
        switch = pb.SignalTrading(enabled=True, notional_nanos=1_000 * ONE, min_confidence=0.6, models=["m"])
        await stub.SetSignalTrading(rpc.SetSignalTradingRequest(signal_trading=switch, actor="test"))
        halt = rpc.SetTradingStateRequest(state=pb.TRADING_STATE_HALTED, reason="test", cancel_open=True)
        assert (await stub.SetTradingState(halt)).state == pb.TRADING_STATE_HALTED
        denied = (await stub.SubmitOrder(other)).order
        assert (denied.status, denied.denial.code) == (pb.ORDER_STATUS_DENIED, "TRADING_HALTED")
    assert await asyncio.to_thread(own_service.stop) == 0
    await asyncio.to_thread(own_service.start)
    async with own_service.stub() as stub:
        accounts = (await stub.ListAccounts(rpc.ListAccountsRequest())).accounts
        assert accounts[0].trading_state == pb.TRADING_STATE_HALTED
        again = await stub.SubmitOrder(submit)
        assert (again.duplicate, again.order) == (True, order)
        kept = (await stub.GetSignalTrading(rpc.GetSignalTradingRequest())).signal_trading
        assert (kept.enabled, list(kept.models), kept.account) == (True, ["m"], "main")
        await stub.SetTradingState(rpc.SetTradingStateRequest(state=pb.TRADING_STATE_ACTIVE))
        denied = (await stub.SubmitOrder(other)).order
        assert denied.denial.code == "ORDER_NOTIONAL"
        assert denied.denial.limits["limit"] == "1"
    assert await asyncio.to_thread(own_service.stop) == 0
