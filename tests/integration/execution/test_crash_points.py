"""kill -9 at every step of the writing order, triggered by what can be seen from outside; SQLite and Postgres.

No test hook is needed in the service: the venue holds an answer back or forgets a request, a lock holds the log, and
two settings say how long an event may wait in memory before it is committed, and before it is published.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest
from builders.crash_evidence import Scene
from builders.execution_process import ExecutionProcess, execution_process
from builders.fault_script import Script
from builders.live_venue import LiveVenue, MarketData, live_venue
from waiting import until

from fleet.bus import Bus
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from trading.errors import FailedPrecondition, TradingError
from trading.ids import new_id
from trading.money import ONE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ORDERS = {"transport": "http", "protocol": "alpaca", "path": "/v2/orders"}
ANSWERS_LATE = {"NT_JOURNAL_LINGER_MS": "1000"}
TELLS_LATE = {"NT_OUTBOX_LINGER_MS": "1000"}
QUICK = {"NT_VENUE_TIMEOUT_SECONDS": "1", "NT_RECONCILE_IN_FLIGHT_AGE_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def venue(log_url: str) -> Iterator[LiveVenue]:
    """An exchange whose faults are scripted, where nobody trades but the owner of one log."""
    with live_venue("--admin", "--symbols", "AAPL,TSLA,BTC-USDT", "--port", "0") as running:
        yield running


@pytest.fixture
def script(venue: LiveVenue) -> Iterator[Script]:
    script = Script(str(venue.line["admin"]))
    yield script
    script.call("DELETE")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, log_url: str) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def killed(
    venue: LiveVenue, market: MarketData, nats_url: str, log_url: str, directory: Path
) -> Iterator[ExecutionProcess]:
    """One service and one log for all the deaths of a module, so that each has the history of those before."""
    with execution_process(directory, venue, nats_url, market.grpc, log_url) as process:
        process.env = {**process.env, **QUICK}
        yield process


@pytest.fixture(scope="module")
def acknowledged(killed: ExecutionProcess) -> dict[str, str]:
    """What callers were told over all the lives of the service."""
    return {}


@pytest.fixture
async def scene(
    killed: ExecutionProcess, venue: LiveVenue, bus: Bus, directory: Path, log_url: str, acknowledged: dict[str, str]
) -> AsyncIterator[Scene]:
    scene = Scene(killed, venue, bus, directory, log_url)
    scene.acknowledged = acknowledged
    async with scene.listening():
        yield scene


def a_market_order(**changes: object) -> rpc.SubmitOrderRequest:
    """To buy one AAPL."""
    given = {"symbol": "AAPL", "side": pb.SIDE_BUY, "order_type": pb.ORDER_TYPE_MARKET, "quantity_nanos": ONE}
    return rpc.SubmitOrderRequest(**{"client_order_id": new_id(), **given, **changes})


def a_resting_order() -> rpc.SubmitOrderRequest:
    """At a price that no market reaches."""
    limit = {"order_type": pb.ORDER_TYPE_LIMIT, "price_nanos": ONE, "time_in_force": pb.TIME_IN_FORCE_GTC}
    return a_market_order(**limit)


@dataclass
class Moment:
    """What a point of the writing order is reached by: `script` lets the venue go wrong, `scene` is what happens."""

    stub: ExecutionServiceStub
    scene: Scene
    script: Script
    hold: Callable[[], "contextlib.AbstractAsyncContextManager[None]"]
    pending: list["asyncio.Task[object]"] = field(default_factory=list)

    async def submit(self, request: rpc.SubmitOrderRequest) -> pb.Order:
        order = (await self.stub.SubmitOrder(request)).order
        self.scene.acknowledge(order)
        return order

    def begin(self, call: Awaitable[object]) -> None:
        """A call that will not be answered."""
        self.pending.append(asyncio.ensure_future(call))

    async def strike(self, fault: int) -> None:
        await until(lambda: self.script.hits(fault) > 0, "the fault to strike")


Reach = Callable[[Moment, rpc.SubmitOrderRequest], Awaitable[str]]
"""Comes to a step; gives the id of the order that is there, empty when none was taken."""


async def before_the_intent(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """The log does not take it; the order has been judged."""
    before = (await moment.stub.GetStats(rpc.GetStatsRequest())).orders_processed
    async with moment.hold():
        moment.begin(moment.stub.SubmitOrder(request))

        async def judged() -> bool:
            return (await moment.stub.GetStats(rpc.GetStatsRequest())).orders_processed > before

        await until(judged, "the order to be judged")
        moment.scene.service.kill()
    return ""


async def before_the_venue_has_it(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """Written down and on its way."""
    fault = moment.script.arm("drop", method="POST", count=1, **ORDERS)
    request.wait = pb.WAIT_NONE
    order = await moment.submit(request)
    await moment.strike(fault)
    return order.order_id


async def before_the_answer(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """The venue has taken it and says nothing."""
    moment.script.arm("mute", method="POST", count=1, **ORDERS)
    moment.script.arm("drop", channel="orders", protocol="alpaca", duration_s=2)
    request.wait = pb.WAIT_NONE
    order = await moment.submit(request)
    name = order.order_id.replace("-", "")
    venue = moment.scene.venue
    url = f"{venue.addresses['rest']}/v2/orders:by_client_order_id?client_order_id={name}"
    async with httpx.AsyncClient(headers=venue.key.headers(), trust_env=False, timeout=60) as client:

        async def taken() -> bool:
            return (await client.get(url)).status_code == 200

        await until(taken, "the venue to take the order")
    return order.order_id


async def before_the_answer_is_written(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """The caller knows, the log does not."""
    request.wait = pb.WAIT_ACCEPTED
    return (await moment.submit(request)).order_id


async def before_it_is_published(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """In the log, not yet on JetStream."""
    request.wait = pb.WAIT_TERMINAL
    order = await moment.submit(request)
    await moment.stub.ListOrders(rpc.ListOrdersRequest())  # it reads what is written
    return order.order_id


async def after_it_is_published(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """On JetStream, and still in the outbox."""
    request.wait = pb.WAIT_TERMINAL
    before = moment.scene.heard.total()
    order = await moment.submit(request)
    await until(lambda: moment.scene.heard.total() >= before + 3, "the events on JetStream")
    return order.order_id


async def before_a_cancel_is_answered(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """The venue has canceled, and nobody has heard of it."""
    order = await moment.submit(a_resting_order())
    moment.script.arm("drop", channel="orders", protocol="alpaca", duration_s=2)
    fault = moment.script.arm("mute", method="DELETE", count=1, **ORDERS)
    moment.begin(moment.stub.CancelOrder(rpc.CancelOrderRequest(order_id=order.order_id)))
    await moment.strike(fault)
    return order.order_id


async def before_a_change_is_answered(moment: Moment, request: rpc.SubmitOrderRequest) -> str:
    """The venue has another order in its place."""
    order = await moment.submit(a_resting_order())
    moment.script.arm("drop", channel="orders", protocol="alpaca", duration_s=2)
    fault = moment.script.arm("mute", method="PATCH", count=1, **ORDERS)
    change = rpc.ModifyOrderRequest(order_id=order.order_id, quantity_nanos=2 * ONE)
    moment.begin(moment.stub.ModifyOrder(change))
    await moment.strike(fault)
    return order.order_id


@pytest.mark.parametrize(
    ("reach", "settings", "last"),
    [
        (before_the_intent, {}, None),
        (before_the_venue_has_it, {}, "SUBMITTED"),
        (before_the_answer, {}, "SUBMITTED"),
        (before_the_answer_is_written, ANSWERS_LATE, "SUBMITTED"),
        (before_it_is_published, TELLS_LATE, "FILL"),
        (after_it_is_published, {}, "FILL"),
        (before_a_cancel_is_answered, {}, "PENDING_CANCEL"),
        (before_a_change_is_answered, {}, "PENDING_UPDATE"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
async def test_killed_at_a_step_of_the_writing_order(
    scene: Scene,
    script: Script,
    log_url: str,
    directory: Path,
    reach: Reach,
    settings: dict[str, str],
    last: str | None,
) -> None:
    """Nothing accepted is lost, nothing is sent twice, the same submit again is the same order."""
    await _started(scene, settings)
    request = a_market_order()
    async with scene.service.stub() as stub:
        moment = Moment(stub, scene, script, lambda: _held(log_url, directory))
        order_id = await reach(moment, request)
        if not scene.service.process_ended():
            scene.service.kill()
        await asyncio.gather(*moment.pending, return_exceptions=True)
    assert await scene.last_word(order_id) == last
    script.call("DELETE")
    await _started(scene, {})
    await scene.check()
    async with scene.service.stub() as stub:
        request.wait = pb.WAIT_NONE
        scene.acknowledge((await stub.SubmitOrder(request)).order)
    await scene.check()


FAULTS = (
    {"kind": "mute", "method": "POST", "count": 2, **ORDERS},
    {"kind": "disconnect", "method": "POST", "count": 2, **ORDERS},
    {"kind": "refuse", "method": "POST", "count": 2, **ORDERS},
    {"kind": "status", "status": 429, "method": "POST", "count": 2, **ORDERS},
    {"kind": "status", "status": 503, "method": "POST", "count": 2, **ORDERS},
    {"kind": "duplicate", "channel": "orders", "protocol": "alpaca", "count": 10},
    {"kind": "late", "channel": "orders", "protocol": "alpaca", "count": 10, "delay_s": 0.5},
    {"kind": "reorder", "channel": "orders", "protocol": "alpaca", "count": 10, "delay_s": 0.3},
    {"kind": "drop", "channel": "orders", "protocol": "alpaca", "count": 3},
)


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_random_among_faults_of_the_venue(scene: Scene, script: Script, seed: int) -> None:
    """Callers submit, cancel and ask again; each round another handful of faults and another death."""
    chance = random.Random(seed)
    for _ in range(4):
        await _started(scene, {})
        for fault in chance.sample(FAULTS, 3):
            script.arm(**fault)
        async with scene.service.stub() as stub:
            callers = [asyncio.create_task(_trade(stub, scene, random.Random(chance.random()))) for _ in range(4)]
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            scene.service.kill()
            await asyncio.wait(callers)
        script.call("DELETE")
    await _started(scene, {})
    await scene.check()


async def _trade(stub: ExecutionServiceStub, scene: Scene, chance: random.Random) -> None:
    """Until the service dies."""
    with contextlib.suppress(TradingError):
        while True:
            request = a_resting_order() if chance.random() < 0.3 else a_market_order()
            request.side = chance.choice((pb.SIDE_BUY, pb.SIDE_BUY, pb.SIDE_SELL))
            request.wait = chance.choice((pb.WAIT_NONE, pb.WAIT_ACCEPTED, pb.WAIT_TERMINAL))
            request.wait_ms = 500
            order = (await stub.SubmitOrder(request)).order
            scene.acknowledge(order)
            if chance.random() < 0.5:
                with contextlib.suppress(FailedPrecondition):
                    await stub.CancelOrder(rpc.CancelOrderRequest(order_id=order.order_id))


async def _started(scene: Scene, settings: dict[str, str]) -> None:
    """The service, alive; with other settings it is another one."""
    if not scene.service.process_ended():
        await asyncio.to_thread(scene.service.stop)
    await asyncio.to_thread(lambda: scene.service.start(**settings))


@contextlib.asynccontextmanager
async def _held(log_url: str, directory: Path) -> AsyncIterator[None]:
    """Nobody else writes the log meanwhile."""
    if not log_url:
        with contextlib.closing(sqlite3.connect(directory / "execution.db", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    connection = await asyncpg.connect(log_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE execution.order_events IN EXCLUSIVE MODE")
        yield
    await connection.close()
