"""The hand-written Python of the house, read as syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("market_data", "inference", "execution", "portfolio", "gateway", "paper_venue")
ROOTS = ("services", "libs/trading", "libs/fleet", "libs/sdk-python/neural_trader")


class Source(NamedTuple):
    """One module."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(REPOSITORY))


def sources(*roots: str) -> Iterator[Source]:
    """Every module below the given roots; below all of them by default."""
    for root in roots or ROOTS:
        for path in sorted((REPOSITORY / root).rglob("*.py")):
            yield _read(path)


@cache
def _read(path: Path) -> Source:
    """Read once for all the tests that ask."""
    text = path.read_text()
    return Source(path, text, ast.parse(text, str(path)))
