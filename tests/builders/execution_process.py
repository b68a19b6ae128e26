"""Execution as a process among a real nats-server, a real paper venue and a real market_data."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
from builders.live_venue import LiveVenue
from servers import REPOSITORY, free_port, wait_until

from fleet.channels import connect
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub


@dataclass
class ExecutionProcess:
    """An execution service that can be killed and started again on the same log and ports."""

    env: Mapping[str, str]
    log: Path
    grpc_port: int
    probe_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self, **settings: str) -> None:
        """Start it and wait until it takes orders."""
        self.launch(**settings)
        wait_until(lambda: self.is_ready() or self.process_ended(), "execution", 90)
        assert not self.process_ended(), self.log.read_text()[-4000:]

    def launch(self, **settings: str) -> None:
        """Start it."""
        own = {
            "NT_GRPC_PORT": str(self.grpc_port),
            "NT_METRICS_PORT": str(self.probe_port),
            "PYTHONPATH": os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", ""))),
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.execution"],
                env={**os.environ, **self.env, **own, **settings},
                stdout=output,
                stderr=output,
            )

    def is_ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.probe_port}/readyz"
            return httpx.get(url, trust_env=False, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def process_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[ExecutionServiceStub]:
        """A client of the service."""
        async with connect(self.address, token=None, client="test", default_timeout_s=20) as channel:
            yield ExecutionServiceStub(channel)

    @asynccontextmanager
    async def plain_channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel without anything of ours."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield channel


@contextmanager
def execution_process(
    directory: Path, venue: LiveVenue, nats_url: str, market_data: str, database_url: str = ""
) -> Iterator[ExecutionProcess]:
    """An execution service that is not started yet; ended in any case when the block ends."""
    env = {
        **venue.settings,
        "ALPACA_TRADING_STREAM_URL": venue.addresses["trading_stream"],
        "NATS_URL": nats_url,
        "NT_MARKET_DATA_ADDRESS": market_data,
        "NT_DATA_DIR": str(directory),
        "DATABASE_URL": database_url,
        "NT_RECONCILE_IN_FLIGHT_SECONDS": "0.2",
        "NT_RECONCILE_MISS_APART_SECONDS": "0.5",
    }
    service = ExecutionProcess(env, directory / "execution.log", free_port(), free_port())
    try:
        yield service
    finally:
        if not service.process_ended():
            service.stop()
