"""What every test may ask for: real servers, started once for a test run."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from servers import nats_server, postgres_binaries, postgres_server
from shaken import ShakenPolicy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fleet.bus import Bus, connect
from fleet.metrics import Metrics

settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("thorough"), max_examples=40, derandomize=True)
settings.load_profile("thorough" if os.environ.get("NT_THOROUGH") else "quick")


def pytest_configure() -> None:
    """With NT_SHAKEN, the seed, the loops of the tests take the freedoms of a busy machine."""
    if seed := os.environ.get("NT_SHAKEN"):
        asyncio.set_event_loop_policy(ShakenPolicy(seed))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what Hypothesis runs: `make test` draws few examples, always the same; `make test-slow` draws more."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """A test that configures the process's logging leaves none of it to the next."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A nats-server with JetStream, shared by the run: use subjects and streams of your own."""
    with nats_server(tmp_path_factory.mktemp("nats")) as url:
        yield url


@pytest.fixture
def own_nats_url(tmp_path: Path) -> Iterator[str]:
    """A nats-server with an empty JetStream for one test."""
    with nats_server(tmp_path) as url:
        yield url


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to the shared nats-server."""
    async with connect(nats_url, "test", Metrics()) as connected:
        yield connected


@pytest.fixture(scope="session")
def postgres_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres server, shared by the run; skipped only where no Postgres binary exists."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("No Postgres binaries on this machine (initdb).")
    with postgres_server(tmp_path_factory.mktemp("postgres"), binaries) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> str:
    """An empty Postgres database for one test."""
    name = f"t{uuid.uuid4().hex[:12]}"
    asyncio.run(_create_database(postgres_server_url, name))
    return postgres_server_url.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind for one test."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def _create_database(server_url: str, name: str) -> None:
    engine = create_async_engine(
        server_url.replace("postgresql://", "postgresql+asyncpg://"), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    await engine.dispose()
