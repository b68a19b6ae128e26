"""`ntrader`: asks a running gateway, and starts the fleet's own command line for everything else."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from neural_trader import place
from neural_trader.commands.book import add_book
from neural_trader.commands.control import add_control
from neural_trader.commands.jobs import add_jobs
from neural_trader.commands.models import add_models
from neural_trader.commands.optimize import add_optimize
from neural_trader.commands.orders import add_orders
from neural_trader.commands.predictions import add_predictions
from neural_trader.commands.rebalance import add_rebalance
from neural_trader.commands.reports import add_reports
from neural_trader.commands.risk import add_risk
from neural_trader.rest import Problem, Rest


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] and given[0] in commands():
        raise SystemExit(ask(given))
    if importlib.util.find_spec("fleet") is None:
        print("ntrader: the fleet is not installed with this Python; run `make setup`.", file=sys.stderr)
        print(f"ntrader: without it there are: {' '.join(commands())}", file=sys.stderr)
        raise SystemExit(1)
    from fleet.supervisor.commands import main as run  # only when it is there: the SDK needs no service

    run(given)


def commands() -> dict[str, str]:
    """The commands that ask a gateway, each with what it is for."""
    return {name: parser.description or "" for name, parser in _parser()[1].choices.items()}


def ask(arguments: Sequence[str]) -> int:
    """Run a command that asks a gateway; returns its exit code."""
    chosen = _parser()[0].parse_args(arguments)
    try:
        with Rest(place.find(chosen.data_dir)) as rest:
            exit_code: int = chosen.run(chosen, rest)
            return exit_code
    except (Problem, place.PlaceUnknown) as error:
        print(f"ntrader: {error}", file=sys.stderr)
        return 1


def _parser() -> "tuple[argparse.ArgumentParser, argparse._SubParsersAction[argparse.ArgumentParser]]":
    parser = argparse.ArgumentParser(prog="ntrader", description="Asks a running gateway.")
    listed = parser.add_subparsers(required=True, metavar="COMMAND")
    adders = (
        add_orders,
        add_book,
        add_control,
        add_reports,
        add_risk,
        add_models,
        add_jobs,
        add_predictions,
        add_rebalance,
        add_optimize,
    )
    for add_some in adders:
        add_some(listed)
    return parser, listed
