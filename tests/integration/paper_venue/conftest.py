"""A paper venue as a process of its own, found by the line of JSON that it prints."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from builders.fault_script import Script
from servers import REPOSITORY

COMMAND = (sys.executable, "-m", "services.paper_venue")


@dataclass(frozen=True)
class RunningVenue:
    """The addresses of a venue, and the means to talk to it."""

    process: subprocess.Popen[str]
    alpaca: dict[str, str]
    line: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"APCA-API-KEY-ID": self.alpaca["key"], "APCA-API-SECRET-KEY": self.alpaca["secret"]}

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One REST call with the customer's key."""
        options.setdefault("headers", self.headers)
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(method, self.alpaca["rest"] + path, **options)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET that succeeds."""
        response = self.call("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def stats(self) -> dict[str, Any]:
        """What the venue counts."""
        page: dict[str, Any] = self.get("/stats")
        return page


OpenVenue = Callable[..., AbstractContextManager[RunningVenue]]


@contextmanager
def running_venue(*flags: str) -> Iterator[RunningVenue]:
    """A venue that runs while the block does."""
    command = [*COMMAND, "--json", "--log-level", "WARNING", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        yield RunningVenue(process, line["alpaca"], line)
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="session")
def open_venue() -> OpenVenue:
    """Opens a venue with flags of one's own."""
    return running_venue


@pytest.fixture(scope="module")
def venue() -> Iterator[RunningVenue]:
    """A simulated market, shared by the tests of a file: lively, so that nothing waits long."""
    with running_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


@pytest.fixture(scope="module")
def coin(open_venue: Any) -> Iterator[Any]:
    """A market of one lively coin, so that the ids of its trades are contiguous on every protocol.

    Without bursts: what is late must not be overtaken by more than a test reads.
    """
    with open_venue(
        "--admin", "--symbols", "BTC-USDT", "--trade-rate", "300", "--quote-rate", "10", "--no-edge"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def floor(open_venue: Any) -> Iterator[Any]:
    """A market where orders fill."""
    with open_venue("--admin", "--symbols", "AAPL,MSFT,BTC-USDT") as running:
        yield running


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Iterator[Script]:
    """The script of the venue that the test uses, empty at first and at last."""
    running = request.getfixturevalue("coin" if "coin" in request.fixturenames else "floor")
    found = Script(running.line["admin"])
    yield found
    found.call("DELETE")
