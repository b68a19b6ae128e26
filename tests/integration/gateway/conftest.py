"""A gateway on a real port, before fakes of the fleet on real gRPC and a real NATS."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog
import websockets
from fakes.backends import FakeFleet, fake_fleet
from servers import free_port
from websockets.asyncio.client import ClientConnection

from fleet.bus import Bus
from fleet.bus import connect as connect_bus
from fleet.metrics import Metrics
from fleet.service import Runtime
from services.gateway.settings import Settings
from services.gateway.wiring import wire
from trading.clock import SystemClock

KEY = "nt_admin1_0123456789abcdef0123456789abcdef"
PATIENCE_S = 60.0
ORDER: dict[str, Any] = {"symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "MARKET"}
ORDER_ID = "01990000-0000-7000-8000-000000000001"


@dataclass
class Client:
    """One WebSocket client that keeps what it has read."""

    socket: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, op: str, **facts: Any) -> None:
        """Send a command."""
        await self.socket.send(json.dumps({"op": op, **facts}))

    async def subscribe(self, *channels: dict[str, Any], **facts: Any) -> dict[str, Any]:
        """Subscribe, and read up to the ack."""
        await self.say("subscribe", channels=list(channels), **facts)
        return await self.until(lambda frame: frame.get("op") in {"ack", "error"})

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read up to the first frame that is wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame: dict[str, Any] = json.loads(await self.socket.recv())
                self.frames.append(frame)
                if wanted(frame):
                    return frame

    async def next_of(self, channel: str, type: str = "update") -> dict[str, Any]:
        """Read up to the next frame of a channel and type."""
        return await self.until(lambda frame: frame.get("channel") == channel and frame["type"] == type)


@dataclass
class Gateway:
    """A running gateway and what stands behind it."""

    port: int
    fleet: FakeFleet
    http: httpx.AsyncClient
    metrics: Metrics

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """A WebSocket client with the admin key in its header."""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with websockets.connect(self.stream_url, additional_headers=headers, proxy=None, **options) as socket:
            yield Client(socket)


def settings_for(fleet: FakeFleet, nats_url: str, **changes: Any) -> Settings:
    """Settings of a gateway before this fleet."""
    addresses = {f"{name}_address": address for name, address in fleet.addresses.items()}
    fields: dict[str, Any] = {
        "admin_api_key": KEY,
        "gateway_port": free_port(),
        "metrics_port": free_port(),
        "nats_url": nats_url,
        "request_timeout_seconds": 60.0,
        **addresses,
    }
    return Settings(**fields | changes)


@asynccontextmanager
async def running(fleet: FakeFleet, nats_url: str, **changes: Any) -> AsyncIterator[Gateway]:
    """A gateway with its loops and its server, as the service runs it."""
    settings = settings_for(fleet, nats_url, **changes)
    runtime = Runtime("gateway", Metrics(), SystemClock(), structlog.get_logger())
    headers = {"Authorization": f"Bearer {KEY}"}
    async with wire(settings, runtime) as service, asyncio.TaskGroup() as group:
        loops = [group.create_task(_as_coroutine(loop)) for loop in service.loops.values()]
        for server in service.servers:
            await server.start()
        url = f"http://127.0.0.1:{settings.gateway_port}"
        try:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S, trust_env=False) as http:
                yield Gateway(settings.gateway_port, fleet, http, runtime.metrics)
        finally:
            for server in service.servers:
                await server.stop(1)
            for loop in loops:
                loop.cancel()


async def _as_coroutine(loop: Callable[[], Any]) -> None:
    await loop()


async def eventually(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Poll a condition that another task or server makes true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def fleet() -> AsyncIterator[FakeFleet]:
    """Four fake services on real gRPC servers."""
    async with fake_fleet(KEY) as started:
        yield started


@pytest.fixture
async def own_gateway(fleet: FakeFleet, nats_url: str) -> AsyncIterator[Gateway]:
    """A gateway of this test's own."""
    async with running(fleet, nats_url) as started:
        yield started


@pytest.fixture
async def own_bus(own_nats_url: str) -> AsyncIterator[Bus]:
    """A connection to this test's own NATS."""
    async with connect_bus(own_nats_url, "test", Metrics()) as bus:
        yield bus


@pytest.fixture
async def streaming(fleet: FakeFleet, own_nats_url: str) -> AsyncIterator[Gateway]:
    """A gateway on a NATS of its own, whose streams are empty."""
    async with running(fleet, own_nats_url, stream_heartbeat_seconds=0.2, stream_account_seconds=0.05) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_gateway(nats_url: str) -> AsyncIterator[Gateway]:
    """One gateway for the tests of a file: none of them breaks it."""
    async with fake_fleet(KEY) as fleet, running(fleet, nats_url) as started:
        yield started


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """The shared gateway before a fleet that remembers nothing."""
    shared_gateway.fleet.reset()
    return shared_gateway


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, checked for what every one of them carries."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"urn:neural-trader:problem:{code.lower().replace('_', '-')}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body
