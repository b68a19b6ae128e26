"""How every command is added and answers: one line of JSON for a program, or text for a reader."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neural_trader.place import default_data_dir
from neural_trader.rest import Rest

DONE, REFUSED = 0, 1
Run = Callable[[argparse.Namespace, Rest], int]


def add(commands: Any, name: str, run: Run, summary: str, example: str) -> argparse.ArgumentParser:
    """A command with the options that all of them have; `example` is one use of it, for its --help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=sentence(summary),
        epilog=f"example: ntrader {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # an example that is wrapped cannot be copied
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON line")
    default = default_data_dir()
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"find the fleet here unless NEURAL_TRADER_URL and NEURAL_TRADER_API_KEY name one (default {default})",
    )
    parser.set_defaults(run=run)
    return parser


def sentence(summary: str) -> str:
    """A summary as a sentence of its own."""
    return f"{summary[:1].upper()}{summary[1:]}."


def say(arguments: argparse.Namespace, document: Any, text: str) -> None:
    """Print the document as it came, or its text."""
    print(json.dumps(document) if arguments.as_json else text)


def order_path(order_id: str) -> str:
    """Where an order lives."""
    return f"/v1/orders/{quote(order_id, safe='')}"
