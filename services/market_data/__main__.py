"""Starts market_data, or one of its commands that need no fleet: `python -m services.market_data [record|history]`."""

import sys
from importlib import import_module
from typing import NoReturn

COMMANDS = {"history": "services.market_data.adapters.history_cli"}
"""Modules with `main(arguments) -> exit code`; loaded by name, because none of them needs what the service needs."""
RECORD = "record"
_INTERRUPTED = 130


def run(argv: list[str]) -> int:
    """A command's exit code, or the life of the service."""
    command = argv[0] if argv else ""
    if command in COMMANDS:
        code: int = import_module(COMMANDS[command]).main(argv[1:])
        return code
    return _record(argv[1:]) if command == RECORD else _serve(argv)


def _record(argv: list[str]) -> int:
    """Record a venue to a file, with the wiring of the service."""
    from services.market_data.adapters.record_cli import main
    from services.market_data.settings import Settings
    from services.market_data.wiring import record

    return main(argv, Settings, record)


def _serve(argv: list[str]) -> NoReturn:
    from fleet.service import main
    from services.market_data.settings import Settings
    from services.market_data.wiring import wire

    main("market_data", Settings, wire, argv)


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before there was anything to end in order
        sys.exit(_INTERRUPTED)
