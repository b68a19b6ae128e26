"""`ntrader record`: what may be said on its command line, and what it says while it records."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from fleet.metrics import Metrics
from fleet.service import Runtime, run_loop, stop_signal
from fleet.settings import SettingsT, load
from fleet.telemetry import configure_logging
from services.market_data.domain.recording import RecordedCounts
from trading.clock import SystemClock
from trading.errors import TradingError

_TERMINAL_PACE_S, _LOG_PACE_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class RecordOrder:
    """What to write, for how many seconds, and who hears of it."""

    seconds: float
    out: Path
    say: Callable[[RecordedCounts, float], None]


class Progress:
    """Says how a recording goes on stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._is_terminal, self._next_s = seconds, sys.stderr.isatty(), 0.0
        self._has_spoken = False

    def __call__(self, counts: RecordedCounts, passed_s: float) -> None:
        if passed_s < self._next_s:
            return
        self._has_spoken = True
        self._next_s = passed_s + (_TERMINAL_PACE_S if self._is_terminal else _LOG_PACE_S)
        start, end = ("\r", "\033[K") if self._is_terminal else ("", "\n")
        print(f"{start}{passed_s:6.1f} of {self._seconds:g} s: {counts}", end=end, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Leave the changing line."""
        if self._is_terminal and self._has_spoken:
            print(file=sys.stderr)


def main(
    argv: Sequence[str],
    settings_class: type[SettingsT],
    record: Callable[[SettingsT, Runtime, RecordOrder, asyncio.Event], Awaitable[RecordedCounts]],
) -> int:
    """Record a venue to a file. Exit codes: 0 recorded, 1 refused or not writable, 2 wrong usage."""
    said, flags = parse(argv)
    settings = load(settings_class, "market_data", flags)
    configure_logging("record", "ERROR")
    progress = Progress(said.seconds)
    order = RecordOrder(said.seconds, said.out, _say_nothing if said.quiet else progress)

    async def life() -> RecordedCounts:
        runtime = Runtime("record", Metrics(), SystemClock(), structlog.get_logger())
        return await record(settings, runtime, order, stop_signal())

    try:
        counts = run_loop(life())
    except (TradingError, OSError) as error:
        progress.finish()
        print(f"ntrader record: {error}", file=sys.stderr)
        return 1
    progress.finish()
    if counts.complaint:
        print(f"ntrader record: {counts.complaint}", file=sys.stderr)
    print(json.dumps({"out": str(said.out), **asdict(counts)}) if said.json else f"{said.out}: {counts}")
    return 0


def _say_nothing(_counts: RecordedCounts, _passed_s: float) -> None:
    """Nobody wants to hear how it goes."""


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What was said, and the settings among it as the service's own flags."""
    said, others = _parser().parse_known_args(argv)
    return said, ["--market-data-venues", said.venue, "--symbols", said.symbols, *others]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ntrader record",
        allow_abbrev=False,
        description="Records every quote and trade of some symbols from a venue, without a fleet: with the same "
        "connections, reconnects and back-filling as the market_data service.",
        epilog="FILE holds a row per tick with kind, venue, symbol, sequence, both times (ns UTC), amounts, side and "
        "trade id; FILE.gaps.parquet holds what is missing and why. Both appear, whole, at the end; Ctrl-C ends "
        "early and keeps what was recorded. Endpoints and keys are the service's settings "
        "(ALPACA_…, POLYGON_…, BINANCE_…; `python -m services.market_data --help`), also as flags. "
        "Exit codes: 0 recorded, 1 refused by the venue or not writable, 2 wrong usage.",
    )
    parser.add_argument("--venue", required=True, help="paper, alpaca, polygon or binance")
    parser.add_argument("--symbols", required=True, metavar="A,B", help="in any spelling, such as AAPL or BTC/USD")
    parser.add_argument("--seconds", required=True, type=_seconds, metavar="N", help="how long to record")
    parser.add_argument("--out", required=True, type=_file, metavar="FILE", help="Parquet file to write")
    parser.add_argument("--json", action="store_true", help="print one JSON line about the recording at its end")
    parser.add_argument("--quiet", action="store_true", help="say nothing while recording")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("expected more than 0 seconds")
    return seconds


def _file(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".parquet":
        raise argparse.ArgumentTypeError(f"expected a name that ends with .parquet, was {text}")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {path.absolute().parent}")
    return path
