"""Documents for a reader at a terminal: columns that line up, one line a row."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NOTHING = "-"
_GAP = "  "


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A heading and rows, each column as wide as its widest cell."""
    cells = [[name.upper() for name in columns], *([text(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = (_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def facts(document: Mapping[str, object]) -> str:
    """Names and values below one another."""
    width = max(map(len, document), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{text(value)}" for name, value in document.items())


def text(value: object) -> str:
    """A value in one cell."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def moment(nanoseconds: Any) -> str:
    """Nanoseconds since 1970 as a UTC time with milliseconds."""
    if not nanoseconds:
        return NOTHING
    return datetime.fromtimestamp(int(nanoseconds) // 1_000_000 / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def micros(nanoseconds: Any) -> str:
    """A duration in microseconds."""
    return f"{int(nanoseconds) / 1000:,.0f} µs"
