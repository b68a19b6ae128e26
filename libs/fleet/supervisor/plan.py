"""What a local fleet consists of: which processes, in which order, told what."""

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.supervisor import keys, nats_server
from fleet.supervisor.ports import HOST, Ports
from fleet.supervisor.processes import Spec

PROBE_TIMEOUT_S = 1.0
LAYERS = (("market_data",), ("inference", "execution"), ("portfolio",), ("gateway",))
"""The services in the order of their needs: each layer is ready before the next one starts."""
REPLAY_LAYERS = (("inference", "execution"), ("portfolio",), ("market_data", "gateway"))
"""A recorded market begins with its first subscriber: whoever reads it must be there before market_data is."""


@dataclass(frozen=True, slots=True)
class Market:
    """Which market the fleet trades: the local exchange, or a venue that the environment names."""

    venue: str = "paper"
    files: Sequence[Path] = ()
    symbols: Sequence[str] = ()
    speed: str = ""
    seed: int | None = None
    loop: bool = False

    @property
    def is_local(self) -> bool:
        """The fleet brings its own exchange."""
        return self.venue == "paper"


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet that could be started."""

    data_dir: Path
    ports: Ports
    market: Market
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> Sequence[Sequence[str]]:
        """The services, in layers that start one after the other."""
        return REPLAY_LAYERS if self.market.files else LAYERS

    @property
    def nats_url(self) -> str:
        return f"nats://{HOST}:{self.ports.nats}"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.ports.gateway}"

    @property
    def grpc_addresses(self) -> dict[str, str]:
        return {name: f"{HOST}:{port}" for name, port in self.ports.grpc.items()}

    def nats(self) -> Spec:
        """The nats-server; its JetStream outlives the process."""
        store = self.data_dir / "nats"
        command = nats_server.command(nats_server.find(), HOST, self.ports.nats, store)
        return Spec("nats", command, is_ready=_accepts(self.ports.nats))

    def paper_venue(self) -> Spec:
        """The local exchange; it prints one JSON line with its addresses when it is ready."""
        market = self.market
        command = [sys.executable, "-m", "services.paper_venue", "--json", "--port", str(self.ports.paper_venue)]
        for file in market.files:
            command += ["--market", str(file)]
        command += ["--symbols", ",".join(market.symbols)] if market.symbols else []
        command += ["--speed", market.speed] if market.speed else []
        command += ["--seed", str(market.seed)] if market.seed is not None else []
        command += ["--loop"] if market.loop else []
        return Spec("paper_venue", command, self._common("paper_venue") | keys.venue_files(self.data_dir))

    def service(self, name: str, venue: Mapping[str, Any] | None, symbols: Sequence[str]) -> Spec:
        """One of the five services, pointed at its peers and at the market."""
        env = self._common(name) | _venue_settings(self.market, venue)
        env |= _order_settings(venue) if venue is not None and name == "execution" else {}
        env |= {"NT_SYMBOLS": ",".join(symbols)} if symbols else {}
        env |= {"NT_GRPC_PORT": str(self.ports.grpc[name])} if name in self.ports.grpc else {}
        ready_port = self.ports.gateway if name == "gateway" else self.ports.metrics[name]
        ready = _answers(f"http://{HOST}:{ready_port}/readyz")
        return Spec(name, [sys.executable, "-m", f"services.{name}"], env | dict(self.settings), ready)

    def _common(self, name: str) -> dict[str, str]:
        addresses = {f"NT_{peer.upper()}_ADDRESS": address for peer, address in self.grpc_addresses.items()}
        return addresses | {
            "NATS_URL": self.nats_url,
            "NT_DATA_DIR": str(self.data_dir),
            "NT_HOST": HOST,
            "NT_METRICS_PORT": str(self.ports.metrics[name]),
            "NT_GATEWAY_PORT": str(self.ports.gateway),
            "NT_INTERNAL_TOKEN_FILE": str(self.data_dir / keys.INTERNAL_TOKEN),
            "NT_ADMIN_API_KEY_FILE": str(self.data_dir / keys.ADMIN_KEY),
            "PYTHONUNBUFFERED": "1",
            "GRPC_ENABLE_FORK_SUPPORT": "0",  # children are spawned, never forked into gRPC
        }


def _venue_settings(market: Market, venue: Mapping[str, Any] | None) -> dict[str, str]:
    if venue is None:
        return {"NT_VENUE": market.venue}
    alpaca = venue["alpaca"]
    return {
        "NT_VENUE": market.venue,
        "ALPACA_KEY_ID": alpaca["key"],
        "ALPACA_SECRET_KEY": alpaca["secret"],
        "ALPACA_DATA_URL": alpaca["data_rest"],
        "ALPACA_STREAM_URL": alpaca["stream"],
        "ALPACA_CRYPTO_STREAM_URL": alpaca["crypto_stream"],
        "ALPACA_TRADING_URL": alpaca["rest"],
        "ALPACA_TRADING_STREAM_URL": alpaca["trading_stream"],
    }


def _order_settings(venue: Mapping[str, Any]) -> dict[str, str]:
    """Where orders go in the other protocol of the local exchange (NT_PAPER_PROTOCOL=binance)."""
    binance = venue["binance"]
    return {
        "BINANCE_API_KEY": binance["key"],
        "BINANCE_API_SECRET": binance["secret"],
        "BINANCE_REST_URL": binance["rest"],
        "BINANCE_WS_API_URL": binance["ws_api"],
    }


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return await asyncio.to_thread(_is_ok, url)

    return probe


def _is_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310  # our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _accepts(port: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    return probe
