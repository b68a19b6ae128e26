"""What a market file may look like: its column names and their aliases, the unit of its times, whose data it is.

It has a time column and quotes (`bid bid_size ask ask_size`), trades (`price size`, perhaps `id` and `side`) or bars
(`open high low close volume`, perhaps `vwap` and `trade_count`). Its symbol is a column, else the one that was asked
for, else the first word of its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.market_data.domain.history import Kind
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument
from trading.instruments import CATALOGUE, Instruments, parse_symbol
from trading.market import Interval

_NEEDED: dict[Kind, tuple[str, ...]] = {
    Kind.QUOTES: ("bid", "bid_size", "ask", "ask_size"),
    Kind.TRADES: ("price", "size"),
    Kind.BARS: ("open", "high", "low", "close", "volume"),
}
_WELCOME: dict[Kind, tuple[str, ...]] = {
    Kind.QUOTES: ("receive_time_ns",),
    Kind.TRADES: ("receive_time_ns", "id", "side"),
    Kind.BARS: ("vwap", "trade_count"),
}
_ALIASES = {"amount": "size", "quantity": "size", "qty": "size", "trade_id": "id", "ts": "timestamp_ns"}
TIME_UNITS_NS = {"timestamp_ns": 1, "timestamp": 1_000_000, "date": 1_000_000}
"""A number in `timestamp` or `date` counts milliseconds; texts and datetimes mean what they say."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file holds: `columns` maps our names to the file's; `symbol` is the file's column of symbols, if any.

    A number in the column `time` counts units of `time_unit_ns`.
    """

    kind: Kind
    time: str
    time_unit_ns: int
    columns: Mapping[str, str]
    symbol: str | None


def layout_of(names: Sequence[str]) -> Layout:
    """Recognise a file by its column names; raises InvalidArgument with what is missing."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(_ALIASES.get(name.lower(), name.lower()), name)
    time = next((name for name in TIME_UNITS_NS if name in known), None)
    if time is None:
        raise InvalidArgument(f"No time column: expected {', '.join(TIME_UNITS_NS)}, was {', '.join(names)}.")
    for kind, needed in _NEEDED.items():
        if all(name in known for name in needed):
            welcome = [name for name in _WELCOME[kind] if name in known]
            columns = {name: known[name] for name in (*needed, *welcome)}
            return Layout(kind, known[time], TIME_UNITS_NS[time], columns, known.get("symbol"))
    wanted = " or ".join(",".join(needed) for needed in _NEEDED.values())
    raise InvalidArgument(f"Missing columns: expected {wanted}, was {','.join(names)}.")


def symbol_of_file(stem: str, asked: Sequence[str]) -> str:
    """The symbol of a file without a column for it; raises InvalidArgument when its name gives none."""
    if len(asked) == 1:
        return canonical(asked[0])
    word = re.match(r"[A-Za-z0-9]+", stem)
    if word is None:
        raise InvalidArgument(f"{stem} names no symbol: name one with --symbols.")
    return canonical(word[0])


def canonical(spelling: str) -> str:
    """The catalogue's symbol of any spelling, else the spelling in capitals; raises InvalidArgument for no symbol."""
    known = Instruments(CATALOGUE)
    return known.get(spelling).symbol if spelling in known else parse_symbol(spelling).upper()


def interval_of(starts_ns: npt.NDArray[np.int64]) -> Interval:
    """The interval of bars by the usual distance of their starts; raises InvalidArgument when it is none of ours."""
    steps = np.diff(np.unique(starts_ns))
    usual_ns = int(np.median(steps)) if len(steps) else 0
    for interval in Interval:
        if usual_ns == interval.seconds * SECOND_NS:
            return interval
    raise InvalidArgument(
        f"Expected bars 60, 300, 3600 or 86400 seconds apart, was {usual_ns / 1e9:g}: name --interval."
    )
