"""A market for the execution service: paper venue, nats-server and market_data, started once for each module."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from builders.execution_process import ExecutionProcess, execution_process
from builders.live_venue import LiveVenue, MarketData, live_venue, market_data

SYMBOLS = "AAPL,TSLA,BTC-USDT"


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--symbols", SYMBOLS, "--port", "0") as running:
        yield running


@pytest.fixture(scope="module")
def market(venue: LiveVenue, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketData]:
    env = {**venue.settings, "NATS_URL": nats_url, "NT_SYMBOLS": SYMBOLS}
    with market_data(tmp_path_factory.mktemp("market"), env) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def log_url(request: pytest.FixtureRequest) -> str:
    """Where the tests of a module keep their order log: a SQLite file, or a Postgres database."""
    if request.param == "sqlite":
        return ""
    server: str = request.getfixturevalue("postgres_server_url")
    name = f"t{uuid.uuid4().hex[:12]}"
    asyncio.run(_create_database(server, name))
    return f"{server.rpartition('/')[0]}/{name}"


async def _create_database(server: str, name: str) -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()


@pytest.fixture(scope="module")
def service(
    venue: LiveVenue, market: MarketData, nats_url: str, log_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExecutionProcess]:
    """An execution service that takes orders, shared by the tests of a module; its signals trade a thousand dollars."""
    directory: Path = tmp_path_factory.mktemp("execution")
    with execution_process(directory, venue, nats_url, market.grpc, log_url) as process:
        process.start(NT_SIGNAL_TRADING_ENABLED="true", NT_SIGNAL_NOTIONAL="1000")
        yield process
