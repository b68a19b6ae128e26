"""How the supervisor talks to a person: each line behind the name of the process that said it."""

import sys
from typing import TextIO

from fleet.supervisor.processes import Say

_WIDTH = 12
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)


def prefixed(stream: TextIO | None = None) -> Say:
    """A voice that prints `name | line` to stderr, coloured when a person is watching."""
    target = stream or sys.stderr
    colours: dict[str, int] = {}

    def say(name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}} |"
        if target.isatty():
            colour = colours.setdefault(name, _COLOURS[len(colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        print(prefix, line, file=target, flush=True)

    return say
