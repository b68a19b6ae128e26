"""A whole fleet, up for a module of tests."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

NTRADER = [sys.executable, "-m", "fleet"]
UP_TIMEOUT_S = 90


@dataclass(frozen=True)
class Fleet:
    """A running fleet: what `up --detach --json` said, and a client with its key."""

    description: dict[str, Any]
    data_dir: Path
    client: httpx.Client

    def status(self) -> dict[str, Any]:
        """What `ntrader status --json` says."""
        run = subprocess.run(
            [*NTRADER, "status", "--json", "--data-dir", str(self.data_dir)], capture_output=True, check=False
        )
        answer: dict[str, Any] = json.loads(run.stdout)
        return answer

    def service(self, name: str) -> psutil.Process:
        """The process of one service."""
        return psutil.Process(next(row["pid"] for row in self.status()["services"] if row["name"] == name))

    def buy(self, **changes: Any) -> httpx.Response:
        """Submit a MARKET order for ten AAPL, or whatever `changes` say."""
        body = {"symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "MARKET"}
        body["client_order_id"] = f"e2e-{uuid.uuid4().hex[:12]}"
        query = {key: changes.pop(key) for key in ("wait", "wait_ms") if key in changes}
        return self.client.post("/v1/orders", json=body | changes, params=query)


def up(data_dir: Path, *flags: str) -> dict[str, Any]:
    """`ntrader up --detach --json`; fails with its log when the fleet does not come up."""
    command = [*NTRADER, "up", "--detach", "--json", "--data-dir", str(data_dir), *flags]
    run = subprocess.run(command, capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False)
    assert run.returncode == 0, run.stderr[-6000:]
    description: dict[str, Any] = json.loads(run.stdout)
    return description


def down(data_dir: Path) -> subprocess.CompletedProcess[str]:
    """`ntrader down`."""
    command = [*NTRADER, "down", "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet on a simulated market."""
    data_dir = tmp_path_factory.mktemp("fleet")
    description = up(data_dir)
    headers = {"Authorization": f"Bearer {description['api_key']}"}
    with httpx.Client(base_url=description["gateway"], headers=headers, timeout=15, trust_env=False) as client:
        yield Fleet(description, data_dir, client)
    assert down(data_dir).returncode == 0
