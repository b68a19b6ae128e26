"""`ntrader`: starts the fleet's own command line with this Python."""

import importlib.util
import sys


def main() -> None:
    """Run `python -m fleet` with the given arguments; exit code 1 where the fleet is not installed."""
    if importlib.util.find_spec("fleet") is None:
        print("ntrader: the fleet is not installed with this Python; run `make setup`.", file=sys.stderr)
        raise SystemExit(1)
    from fleet.supervisor.commands import main as run  # only when it is there: the SDK needs no service

    run()
