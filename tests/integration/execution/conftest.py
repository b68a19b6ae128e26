"""A market for the execution service: paper venue, nats-server and market_data, started once for this folder."""

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def service(
    venue: LiveVenue, market: MarketData, nats_url: str, database_url: str, tmp_path: Path
) -> Iterator[ExecutionProcess]:
    """An execution service on a database of either kind; the test starts it."""
    with execution_process(tmp_path, venue, nats_url, market.grpc, database_url) as process:
        yield process
