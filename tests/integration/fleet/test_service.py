"""A service lives in a process of its own, from its settings to its exit code."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from servers import REPOSITORY, free_port
from waiting import until, within

from fleet import channels
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from trading.errors import Unavailable

PROGRAM = REPOSITORY / "tests" / "fakes" / "tiny_service.py"
READY_CPU_SECONDS = 3.0


@dataclass
class Tiny:
    """A running process and what it said."""

    process: asyncio.subprocess.Process
    grpc_address: str
    probes_url: str
    said: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def probe(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{self.probes_url}{path}")

    async def is_ready(self) -> bool:
        assert self.process.returncode is None, self.errors
        try:
            return (await self.probe("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def ended(self, number: int | None = None) -> int:
        """Send a signal, if any, and wait for the exit code."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Lines of the log; fails when one is no JSON."""
        return [json.loads(line) for line in self.errors]


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Runs the tiny service; it is killed when the block ends, if it still lives."""

    @asynccontextmanager
    async def run(*flags: str, grpc_port: int = 0, probes_port: int = 0, **tiny: str) -> AsyncIterator[Tiny]:
        grpc_port, probes_port = grpc_port or free_port(), probes_port or free_port()
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY / "tests"),
            "NT_GRPC_PORT": str(grpc_port),
            "NT_METRICS_PORT": str(probes_port),
            **{f"TINY_{name.upper()}": value for name, value in tiny.items()},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            *flags,
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        service = Tiny(process, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{probes_port}")
        readers = [
            asyncio.create_task(_collect(process.stdout, service.said)),
            asyncio.create_task(_collect(process.stderr, service.errors)),
        ]
        try:
            yield service
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await asyncio.gather(*readers)

    return run


async def _collect(stream: asyncio.StreamReader | None, into: list[str]) -> None:
    assert stream is not None
    async for line in stream:
        into.append(line.decode().rstrip())  # noqa: PERF401  # seen while it grows


async def heard(service: Tiny, word: str) -> None:
    await until(lambda: word in service.said, f"{word!r}; it said {service.said} {service.errors}")


@pytest.mark.timed
async def test_a_service_is_soon_ready_and_drains_to_exit_code_zero(start: Start) -> None:
    started = time.perf_counter()
    async with start() as service:
        await until(service.is_ready, "the service to be ready")
        took = time.perf_counter() - started
        used = psutil.Process(service.process.pid).cpu_times()
        print(f"ready after {took:.2f} s, {used.user + used.system:.2f} s of processor time")
        health = await _health(service.grpc_address)
        assert await service.ended(signal.SIGTERM) == 0
    assert service.said == ["wiring", "working", "work ended", "closed"]
    assert health == health_pb2.HealthCheckResponse.SERVING
    assert used.user + used.system < within(READY_CPU_SECONDS * (4 if sys.flags.dont_write_bytecode else 1))
    assert [event["event"] for event in service.events] == ["tiny.wired", "service.started", "service.stopped"]
    assert {event["service"] for event in service.events} == {"tiny"}


async def _health(address: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="ready"))).status


async def test_a_call_on_its_way_is_answered_before_the_end(start: Start) -> None:
    async with (
        start(slow_s="1") as service,
        channels.connect(service.grpc_address, token=None, client="test", default_timeout_s=30) as channel,
    ):
        await until(service.is_ready, "the service to be ready")
        stub = portfolio_grpc.PortfolioServiceStub(channel)
        call = asyncio.ensure_future(stub.ListAccounts(portfolio.ListAccountsRequest()))
        await heard(service, "called")
        service.process.send_signal(signal.SIGTERM)
        await until(lambda: _is_unready(service), "readiness to end")
        with pytest.raises(Unavailable):
            await _new_call(service.grpc_address)
        assert "work ended" not in service.said  # loops run until the servers have stopped
        assert isinstance(await call, portfolio.ListAccountsResponse)
        assert await service.ended() == 0


async def _is_unready(service: Tiny) -> bool:
    return (await service.probe("/readyz")).json()["status"] == "stopping"


async def _new_call(address: str) -> None:
    async with channels.connect(address, token=None, client="test") as channel:
        await portfolio_grpc.PortfolioServiceStub(channel).ListAccounts(portfolio.ListAccountsRequest())


@pytest.mark.timed
async def test_a_call_that_outlasts_the_grace_does_not_hold_the_process(start: Start) -> None:
    async with start("--drain-seconds", "0.2", slow_s="60") as service:
        await until(service.is_ready, "the service to be ready")
        call = asyncio.create_task(_new_call(service.grpc_address))
        await heard(service, "called")
        started = time.perf_counter()
        assert await service.ended(signal.SIGTERM) == 0
        assert time.perf_counter() - started < within(10)
        with pytest.raises(Exception, match=r"."):
            await call


@pytest.mark.parametrize(("death", "why"), [("raises", "the loop is broken"), ("ends", "Loop 'work' ended")])
async def test_a_dying_loop_takes_the_service_down_loudly(start: Start, death: str, why: str) -> None:
    async with start(death=death) as service:
        assert await service.ended() == 1
    assert service.said == ["wiring", "working", "work ended", "closed"]
    died = [event for event in service.events if event["event"] == "service.died"]
    assert len(died) == 1
    assert why in died[0]["error"]
    assert "Traceback" in died[0]["exception"]


@pytest.mark.parametrize("port", ["grpc_port", "probes_port"])
async def test_a_taken_port_is_one_clear_line_and_exit_code_one(start: Start, port: str) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        number = taken.sockets[0].getsockname()[1]
        async with start(**{port: number}) as service:
            assert await service.ended() == 1
    refusals = [line for line in service.errors if not line.startswith("{")]
    assert refusals == [f"tiny: Cannot listen on 127.0.0.1:{number}: the port is taken."]
    assert service.said[-1] == "closed"


async def test_unusable_settings_are_one_clear_line_and_exit_code_two(start: Start) -> None:
    async with start("--grpc-port", "70000") as service:
        assert await service.ended() == 2
    assert service.errors == ["tiny: NT_GRPC_PORT: Input should be less than or equal to 65535, was '70000'"]
    assert service.said == []


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_still_waits_for_its_resources_can_be_stopped(start: Start, number: int) -> None:
    async with start(wiring_s="600") as service:
        await heard(service, "wiring")
        started = time.perf_counter()
        assert await service.ended(number) == 0
        assert time.perf_counter() - started < within(5)


async def test_readiness_follows_the_dependency_and_liveness_does_not(start: Start, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.touch()
    async with start(away=str(away)) as service:
        await heard(service, "working")
        await until(lambda: _verdict_is(service, "The dependency is away."), "the verdict")
        ready, alive = await service.probe("/readyz"), await service.probe("/healthz")
        assert (ready.status_code, ready.json()) == (
            503,
            {"status": "not ready", "checks": {"dependency": "The dependency is away."}},
        )
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert await _health(service.grpc_address) == health_pb2.HealthCheckResponse.NOT_SERVING
        away.unlink()
        await until(service.is_ready, "readiness to come back")
        await until(lambda: _is_serving(service.grpc_address), "the health service to hear of it")
        away.touch()
        await until(lambda: _verdict_is(service, "The dependency is away."), "readiness to go again")


async def _verdict_is(service: Tiny, verdict: str) -> bool:
    try:
        return bool((await service.probe("/readyz")).json()["checks"]["dependency"] == verdict)
    except httpx.TransportError:
        return False


async def _is_serving(address: str) -> bool:
    return await _health(address) == health_pb2.HealthCheckResponse.SERVING


async def test_the_metrics_of_a_call_can_be_scraped(start: Start) -> None:
    async with start() as service:
        await until(service.is_ready, "the service to be ready")
        await _new_call(service.grpc_address)
        scraped = (await service.probe("/metrics")).text
        absent = await service.probe("/elsewhere")
    method = "/neuraltrader.portfolio.v1.PortfolioService/ListAccounts"
    assert f'nt_rpc_seconds_count{{code="OK",method="{method}"}} 1.0' in scraped
    assert "nt_ready 1.0" in scraped
    assert absent.status_code == 404
