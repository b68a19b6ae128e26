"""`ntrader history`: what is stored, questions to it, files into it and out of it, and its quality."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.market_data.adapters import history_commands as commands
from services.market_data.domain.history import DECODED_MEGABYTES, JOINED_ROWS, Kind
from trading.errors import TradingError
from trading.market import Interval
from trading.money import MAX_NANOS

HISTORY = "history"


def main(argv: Sequence[str]) -> int:
    """Run one command. Exit codes: 0 done, 1 it could not be done, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    arguments.root = arguments.data_dir / HISTORY
    try:
        code: int = arguments.run(arguments)
    except TradingError as error:
        print(f"ntrader history: {error.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"ntrader history: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ntrader history",
        description="The stored market data of a data directory. It reads and writes the files themselves: "
        "the fleet need not run, and may.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = _command(subparsers, "list", "say what is stored", commands.list_series)
    _add_choice(listing)
    listing.add_argument("--json", action="store_true", help="print one JSON line for each series")
    query = _command(subparsers, "query", "ask in SQL over bars, bars_1m…bars_1d, quotes and trades", commands.query)
    query.add_argument("sql", help="one SELECT; `interval` needs double quotes")
    query.add_argument("--limit", type=_positive, default=1_000, help="most rows (default 1000)")
    query.add_argument("--format", choices=("table", "csv", "json"), default="table", help="how to print the rows")
    export = _command(subparsers, "export", "write stored rows as a market file", commands.export)
    export.add_argument("out", type=Path, metavar="FILE", help="Parquet, or CSV where the name ends with .csv")
    export.add_argument("--kind", type=Kind, choices=list(Kind), required=True, help="bars, quotes or trades")
    export.add_argument("--interval", type=Interval, choices=list(Interval), help="of bars (default 1m)")
    export.add_argument("--symbols", type=_symbols, default=(), metavar="A,B", help="only these")
    export.add_argument("--venue", default="", help="only this venue's")
    export.add_argument("--start", type=_moment, default=0, metavar="TIME", help="ISO 8601 or ns UTC, inclusive")
    export.add_argument("--end", type=_moment, default=MAX_NANOS, metavar="TIME", help="ISO 8601 or ns UTC, exclusive")
    importing = _command(subparsers, "import", "add market files to what is stored", commands.import_files)
    importing.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="Parquet, CSV, gzipped CSV, or a recording"
    )
    importing.add_argument("--venue", default="", help="whose data it is (default: as a recording says, else import)")
    importing.add_argument("--symbols", type=_symbols, default=(), metavar="A,B", help="its symbol, or those to take")
    importing.add_argument("--interval", type=Interval, choices=list(Interval), help="of bars (default: as they come)")
    importing.add_argument("--again", action="store_true", help="also a file that was imported before")
    quality = _command(subparsers, "quality", "report gaps, outliers, splits and duplicates", commands.quality)
    _add_choice(quality)
    quality.add_argument("--json", action="store_true", help="print one JSON line for each series")
    compact = _command(subparsers, "compact", "merge small files, seal ended days, remove leftovers", commands.compact)
    compact.add_argument(
        "--decoded-megabytes",
        type=_count,
        default=os.environ.get("NT_HISTORY_DECODED_MEGABYTES", str(DECODED_MEGABYTES)),
        metavar="N",
        help=f"disk for decoded copies of ended days, newest first; 0 for none (default {DECODED_MEGABYTES})",
    )
    compact.add_argument(
        "--joined-rows",
        type=_count,
        default=os.environ.get("NT_HISTORY_JOINED_ROWS", str(JOINED_ROWS)),
        metavar="N",
        help=f"most ticks of a day that are joined into one file (default {JOINED_ROWS})",
    )
    return parser


def _command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: commands.Command
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=text, description=text)
    default = Path(os.environ.get("NT_DATA_DIR", ".data"))
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"where the fleet keeps its data (default {default})",
    )
    parser.set_defaults(run=run)
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", type=Kind, choices=list(Kind), help="only bars, quotes or trades")
    parser.add_argument("--symbols", type=_symbols, default=(), metavar="A,B", help="only these")


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 on")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)


def _moment(text: str) -> int:
    if text.isdigit() and int(text) <= MAX_NANOS:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is neither ISO 8601 nor nanoseconds") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
