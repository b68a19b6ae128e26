"""Two executors with one account: one leads, the other stands by, and who lost the lease does nothing any more."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from builders.crash_evidence import Scene
from builders.execution_process import ExecutionProcess, execution_process
from builders.live_venue import LiveVenue, MarketData, live_venue
from servers import wait_until
from waiting import until

from fleet.bus import Bus
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from trading.errors import TradingError
from trading.ids import new_id
from trading.money import ONE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
LEASE_S = 1.5
STANDING_BY = "stands by"


@pytest.fixture(scope="module")
def venue(log_url: str) -> Iterator[LiveVenue]:
    """An exchange where nobody trades but the owners of one log."""
    with live_venue("--admin", "--symbols", "AAPL,TSLA,BTC-USDT", "--port", "0") as running:
        yield running


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, log_url: str) -> Path:
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture
def replicas(
    venue: LiveVenue, market: MarketData, nats_url: str, log_url: str, directory: Path
) -> Iterator[tuple[ExecutionProcess, ExecutionProcess]]:
    """Two services over one log; the second was started while the first led."""
    with ExitStack() as stack:
        both = [
            stack.enter_context(execution_process(directory, venue, nats_url, market.grpc, log_url)) for _ in range(2)
        ]
        for replica in both:
            replica.env = {**replica.env, "NT_LEASE_SECONDS": str(LEASE_S)}
        both[1].log = directory / "second.log"
        both[0].start()
        both[1].launch()
        wait_until(lambda: STANDING_BY in _readiness(both[1]), "the second to stand by", 60)
        try:
            yield both[0], both[1]
        finally:
            for replica in both:
                if not replica.process_ended():
                    replica.process.send_signal(signal.SIGCONT)


@pytest.fixture
async def scene(
    replicas: tuple[ExecutionProcess, ExecutionProcess], venue: LiveVenue, bus: Bus, log_url: str, directory: Path
) -> AsyncIterator[Scene]:
    """What can be known from outside; the second one is asked, for it leads in the end."""
    scene = Scene(replicas[1], venue, bus, directory, log_url)
    async with scene.listening():
        yield scene


def an_order() -> rpc.SubmitOrderRequest:
    """To buy one AAPL."""
    return rpc.SubmitOrderRequest(
        symbol="AAPL",
        side=pb.SIDE_BUY,
        order_type=pb.ORDER_TYPE_MARKET,
        quantity_nanos=ONE,
        client_order_id=new_id(),
        wait=pb.WAIT_NONE,
    )


async def test_a_frozen_leader_is_succeeded_and_fenced(
    replicas: tuple[ExecutionProcess, ExecutionProcess], scene: Scene, directory: Path
) -> None:
    """SIGSTOP past the lease in the middle of a load, then SIGCONT: the old one submits nothing more."""
    old, new = replicas
    assert old.process is not None
    async with old.stub() as leader:
        with pytest.raises(TradingError):
            async with new.stub() as follower:
                await follower.SubmitOrder(an_order())
        callers = [asyncio.create_task(_submit(leader, scene)) for _ in range(4)]
        await until(lambda: len(scene.acknowledged) >= 50, "fifty orders")
        await asyncio.to_thread(_freeze, old.process, directory / "execution.db")
        await asyncio.to_thread(wait_until, new.is_ready, "the second to lead", 30)
        frozen = len(scene.acknowledged)
        async with new.stub() as successor:
            for _ in range(10):
                scene.acknowledge((await successor.SubmitOrder(an_order())).order)
            old.process.send_signal(signal.SIGCONT)
            await asyncio.wait(callers)
            # What was written before the freeze may still be answered, one call of each caller.
            assert len(scene.acknowledged) <= frozen + 10 + len(callers)
            await until(lambda: old.process_ended() or STANDING_BY in _readiness(old), "the first to be fenced")
            for _ in range(10):
                scene.acknowledge((await successor.SubmitOrder(an_order())).order)
    await scene.check()


async def test_a_leader_that_leaves_is_succeeded_at_once(
    replicas: tuple[ExecutionProcess, ExecutionProcess], scene: Scene
) -> None:
    """SIGTERM gives the lease back: nobody waits for its end."""
    old, new = replicas
    async with old.stub() as leader:
        scene.acknowledge((await leader.SubmitOrder(an_order())).order)
    assert await asyncio.to_thread(old.stop) == 0
    await asyncio.to_thread(wait_until, new.is_ready, "the second to lead", 30)
    await scene.check()


def _freeze(process: "subprocess.Popen[bytes]", file: Path) -> None:
    """Stop it, in SQLite between two transactions: one that it holds open would lock the file for everybody."""
    process.send_signal(signal.SIGSTOP)
    while file.exists() and _is_locked(file):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)  # it runs for this long: nothing to wait for, only its transaction to leave behind
        process.send_signal(signal.SIGSTOP)


def _is_locked(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


async def _submit(stub: ExecutionServiceStub, scene: Scene) -> None:
    """Until it is refused."""
    with contextlib.suppress(TradingError):
        while True:
            scene.acknowledge((await stub.SubmitOrder(an_order(), timeout=60)).order)


def _readiness(replica: ExecutionProcess) -> str:
    """What /readyz says; empty while nobody listens or answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{replica.probe_port}/readyz", trust_env=False, timeout=2).text
    except httpx.HTTPError:
        return ""
