"""A paper venue and a market_data service as processes, for tests that want the real thing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr
from servers import REPOSITORY, free_port, process, unmeasured, wait_until

from services.market_data.adapters.alpaca_key import AlpacaKey


@dataclass(frozen=True)
class LiveVenue:
    """A paper venue that listens."""

    process: subprocess.Popen[str]
    line: Mapping[str, Mapping[str, str]]
    """What the venue printed: addresses and keys by protocol."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Those of Alpaca's protocol."""
        return self.line["alpaca"]

    @property
    def key(self) -> AlpacaKey:
        return AlpacaKey(self.addresses["key"], SecretStr(self.addresses["secret"]))

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a service that trades here."""
        return {
            "ALPACA_KEY_ID": self.addresses["key"],
            "ALPACA_SECRET_KEY": self.addresses["secret"],
            "ALPACA_DATA_URL": self.addresses["data_rest"],
            "ALPACA_STREAM_URL": self.addresses["stream"],
            "ALPACA_CRYPTO_STREAM_URL": self.addresses["crypto_stream"],
            "ALPACA_TRADING_URL": self.addresses["rest"],
            "POLYGON_API_KEY": self.line["polygon"]["key"],
            "POLYGON_REST_URL": self.line["polygon"]["rest"],
            "POLYGON_STREAM_URL": self.line["polygon"]["stream"],
            "BINANCE_API_KEY": self.line["binance"]["key"],
            "BINANCE_API_SECRET": self.line["binance"]["secret"],
            "BINANCE_REST_URL": self.line["binance"]["rest"],
            "BINANCE_STREAM_URL": self.line["binance"]["stream"],
            "BINANCE_WS_API_URL": self.line["binance"]["ws_api"],
        }


@contextmanager
def live_venue(*flags: str) -> Iterator[LiveVenue]:
    """A paper venue that runs while the block does; a simulated, lively market unless the flags say otherwise."""
    command = [sys.executable, "-m", "services.paper_venue", "--json", "--log-level", "WARNING", *flags]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=unmeasured())
    assert child.stdout is not None
    try:
        yield LiveVenue(child, json.loads(child.stdout.readline()))
    finally:
        child.terminate()
        child.wait(60)
        child.stdout.close()


@dataclass(frozen=True)
class MarketData:
    """A market_data process."""

    process: subprocess.Popen[bytes]
    grpc: str
    probes: str
    log: Path

    def readiness(self) -> tuple[int, str]:
        """Status and body of /readyz; 0 before it listens."""
        try:
            answer = httpx.get(f"{self.probes}/readyz", trust_env=False)
        except httpx.HTTPError:
            return 0, ""
        return answer.status_code, answer.text

    def wait_ready(self) -> None:
        """Until it says that it is ready."""
        wait_until(lambda: self.readiness()[0] == 200 or self.process.poll() is not None, "market_data", 60)
        assert self.process.poll() is None, self.log.read_text()


@contextmanager
def market_data(directory: Path, env: Mapping[str, str]) -> Iterator[MarketData]:
    """A market_data process on ports of its own; `env` names NATS and the venue."""
    grpc_port, probe_port = free_port(), free_port()
    own = {
        "NT_GRPC_PORT": str(grpc_port),
        "NT_METRICS_PORT": str(probe_port),
        "NT_DATA_DIR": str(directory),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", ""))),
    }
    log = directory / "market_data.log"
    with process([sys.executable, "-m", "services.market_data"], env={**own, **env}, log=log) as child:
        yield MarketData(child, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{probe_port}", log)
