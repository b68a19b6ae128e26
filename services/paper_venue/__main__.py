"""Starts the paper venue, or exports simulated markets: `python -m services.paper_venue --help`."""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from services.paper_venue.binance.routes import addresses as binance_addresses
from services.paper_venue.cli import UsageError, parse
from services.paper_venue.polygon.routes import addresses as polygon_addresses
from services.paper_venue.server import bind, serve
from services.paper_venue.settings import Settings
from services.paper_venue.wiring import Venue, simulated, wire
from trading.errors import TradingError

Addresses = dict[str, dict[str, str] | str | None]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one line on stderr for what cannot be done."""
    try:
        settings, said = parse(sys.argv[1:] if argv is None else argv)
        return _export(settings, said) if said.command == "export" else _serve(settings, said.json)
    except (UsageError, TradingError, OSError) as error:
        print(f"paper_venue: {error}", file=sys.stderr)
        return 2


def _serve(settings: Settings, as_json: bool) -> int:
    from fleet.telemetry import configure_logging

    configure_logging("paper_venue", settings.log_level)
    venue = wire(settings)
    listener = _bind(settings)
    addresses = _addresses(venue, settings, listener)

    def announce() -> None:
        print(json.dumps(addresses) if as_json else _readable(addresses, settings), flush=True)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(venue, listener, announce))
    return 0


def _bind(settings: Settings) -> socket.socket:
    try:
        return bind(settings.host, settings.port)
    except OSError as error:
        raise UsageError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}") from error


def _addresses(venue: Venue, settings: Settings, listener: socket.socket) -> Addresses:
    host = settings.public_host or settings.host
    place = f"[{host}]" if ":" in host else host
    authority = f"{place}:{listener.getsockname()[1]}"
    alpaca = {
        "rest": f"http://{authority}",
        "data_rest": f"http://{authority}",
        "stream": f"ws://{authority}/v2/iex",
        "crypto_stream": f"ws://{authority}/v1beta3/crypto/us",
        "trading_stream": f"ws://{authority}/stream",
        "key": venue.credentials.key,
        "secret": venue.credentials.secret,
    }
    return {
        "alpaca": alpaca,
        "polygon": polygon_addresses(authority, venue.polygon_key),
        "binance": binance_addresses(authority, venue.binance_keys),
        "admin": f"http://{authority}{venue.admin.path}" if venue.admin else None,
    }


def _readable(addresses: Addresses, settings: Settings) -> str:
    """For a person, and for logs: a secret that was given is known, only one that was drawn here is shown."""
    hidden = ("secret", "ed25519_key") if settings.secret_key.get_secret_value() else ()
    shown = {
        protocol: {name: "as given" if name in hidden else text for name, text in told.items()}
        if isinstance(told, dict)
        else told
        for protocol, told in addresses.items()
    }
    return json.dumps(shown, indent=2)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _export(settings: Settings, said: argparse.Namespace) -> int:
    """Write a simulated market: quotes into the file, trades into its twin `<name>-trades`."""
    from services.paper_venue.adapters.market_files import save_ticks
    from services.paper_venue.domain.ticks import Kind, Ticks

    if said.out is None or said.seconds is None or said.seconds <= 0:
        raise UsageError("export needs --out FILE and --seconds S > 0")
    source = simulated(settings, said.start_ns)
    end_ns = said.start_ns + round(said.seconds * 1e9)
    ticks = Ticks.concat(list(takewhile(lambda chunk: chunk.time_ns[0] < end_ns, source.chunks)))
    ticks = ticks[ticks.time_ns < end_ns]
    symbols = [instrument.symbol for instrument in source.instruments]
    twin = said.out.with_name(f"{said.out.stem}-trades{said.out.suffix}")
    for kind, file in ((Kind.QUOTE, said.out), (Kind.TRADE, twin)):
        rows = save_ticks(ticks, symbols, kind, Path(file))
        print(f"{file}: {rows} {kind.name.lower()}s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
