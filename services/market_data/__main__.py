"""Starts market_data, or one of its commands that need no fleet: `python -m services.market_data [history …]`."""

import sys
from importlib import import_module
from typing import NoReturn

COMMANDS = {"history": "services.market_data.adapters.history_cli"}
"""Modules with `main(arguments) -> exit code`; loaded by name, because none of them needs what the service needs."""


def run(argv: list[str]) -> NoReturn:
    """Run a command, or the service; ends the process with its exit code."""
    if argv[:1] and argv[0] in COMMANDS:
        sys.exit(import_module(COMMANDS[argv[0]]).main(argv[1:]))
    from fleet.service import main
    from services.market_data.settings import Settings
    from services.market_data.wiring import wire

    main("market_data", Settings, wire, argv)


if __name__ == "__main__":
    run(sys.argv[1:])
