"""The probe of a container says what the service says of itself."""

import asyncio
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.metrics import Metrics
from fleet.probes import Readiness, probes
from fleet.supervisor.ports import METRICS
from trading.errors import Unavailable

ROOT = Path(__file__).parents[3]
PROBE = ROOT / "deploy" / "probe.py"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the image does."""
    command = [sys.executable, "-S", str(PROBE), *arguments]
    settings = os.environ | {"PYTHONPATH": str(ROOT / "libs")} | environment
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture
def readiness() -> Readiness:
    """A service that needs one thing and has it."""

    async def there() -> None:
        """It answers."""

    return Readiness({"nats": there}, Metrics())


@pytest.fixture
def port(readiness: Readiness) -> Iterator[int]:
    """Where that service is asked."""
    chosen = free_port()
    with probes("127.0.0.1", chosen, readiness, Metrics()):
        yield chosen


def test_a_ready_service_is_healthy(port: int, readiness: Readiness) -> None:
    asyncio.run(readiness.check())
    assert probe(NT_METRICS_PORT=str(port)).returncode == 0


def test_a_service_that_lacks_something_is_not_and_says_what(port: int, readiness: Readiness) -> None:
    readiness.verdicts["nats"] = str(Unavailable("NATS does not answer."))
    answer = probe(str(port))
    assert answer.returncode == 1
    assert "503" in answer.stderr
    assert "NATS does not answer." in answer.stderr


def test_another_page_may_be_asked(port: int) -> None:
    assert probe(str(port), "/healthz").returncode == 0
    assert probe(str(port), "/nothing").returncode == 1


def test_nobody_there_is_not_healthy() -> None:
    answer = probe(str(free_port()))
    assert answer.returncode == 1
    assert "refused" in answer.stderr


def test_without_a_port_it_asks_at_the_services_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is run by hand has no compose file to tell it."""
    monkeypatch.delenv("NT_METRICS_PORT", raising=False)
    monkeypatch.setenv("SERVICE", "execution")
    assert runpy.run_path(str(PROBE))["metrics_port"]() == METRICS["execution"]
