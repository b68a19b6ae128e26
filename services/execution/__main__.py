"""`python -m services.execution`, and `… copy-log` to take its log to another database."""

import argparse
import asyncio
import sys

from fleet.service import main
from services.execution.settings import Settings
from services.execution.wiring import copy_between, wire
from trading.errors import TradingError


def copy_log(argv: list[str]) -> int:
    """Copy an order log while execution is stopped; returns 0, or 2 with one line on stderr for what cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m services.execution copy-log",
        description="Copy the order log, its accounts, limits and charges into an empty database. Every chain of "
        "events is verified; orders and fills are made of them anew. Execution must be stopped.",
    )
    parser.add_argument("source", help="sqlite:///… or postgresql://… that holds the log")
    parser.add_argument("target", help="sqlite:///… or postgresql://… that is empty")
    said = parser.parse_args(argv)
    try:
        copied = asyncio.run(copy_between(said.source, said.target, _tell))
    except TradingError as error:
        print(f"execution: {error.message} {dict(error.metadata) or ''}".rstrip(), file=sys.stderr)
        return 2
    print(f"{copied.events} events, {copied.orders} orders and {copied.fills} fills copied and verified")
    return 0


def _tell(table: str, rows: int) -> None:
    print(f"{table}: {rows}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["copy-log"]:
        sys.exit(copy_log(sys.argv[2:]))
    main("execution", Settings, wire)
