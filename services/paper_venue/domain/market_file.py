"""What a market file may look like: column names and their aliases, units, and the symbol rule.

A file has a time column and either quotes (`bid bid_size ask ask_size`), trades (`price size [id side]`) or bars
(`open high low close volume`). Its symbol is a column, else the one symbol asked for, else the file name's first word.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.paper_venue.domain.ticks import Int64, Kind, Ticks
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

Column = npt.NDArray[np.generic]

QUOTE_COLUMNS = ("bid", "bid_size", "ask", "ask_size")
TRADE_COLUMNS = ("price", "size")
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
ALIASES = {"amount": "size", "ts": "timestamp_ns", "qty": "size", "quantity": "size"}
_UNIT_NS = {"timestamp_ns": 1, "timestamp": 1_000_000, "date": 1_000_000}
"""A numeric `timestamp` or `date` counts milliseconds; text and datetimes are read as they are."""


class MarketFileError(InvalidArgument):
    """A market file that cannot be replayed; the message names the file and says why."""

    REASON = "MARKET_FILE"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file holds, and which of its columns say so: `columns` maps our names to the file's."""

    kind: Kind
    time: str
    columns: Mapping[str, str]
    symbol: str | None


def layout_of(names: Sequence[str], file: str) -> Layout:
    """Recognise a file by its column names; raises MarketFileError with what is missing."""
    known = {ALIASES.get(name.lower(), name.lower()): name for name in reversed(names)}
    time = next((known[name] for name in _UNIT_NS if name in known), None)
    if time is None:
        raise MarketFileError(f"{file}: no time column: expected timestamp_ns, timestamp or date, was {list(names)}.")
    kind, wanted = _recognise(known, names, file)
    optional = [name for name in ("id", "side") if kind is Kind.TRADE and name in known]
    return Layout(kind, time, {name: known[name] for name in (*wanted, *optional)}, known.get("symbol"))


def _recognise(known: Mapping[str, str], names: Sequence[str], file: str) -> tuple[Kind, tuple[str, ...]]:
    shapes = ((Kind.QUOTE, QUOTE_COLUMNS), (Kind.TRADE, TRADE_COLUMNS), (Kind.BAR, BAR_COLUMNS))
    for kind, wanted in shapes:
        if all(name in known for name in wanted):
            return kind, wanted
    expected = " or ".join(",".join(wanted) for _, wanted in shapes)
    raise MarketFileError(f"{file}: missing columns: expected {expected}, was {','.join(names)}.")


def symbol_of_file(stem: str, asked: Sequence[str]) -> str:
    """The symbol of a file without a symbol column: the one asked for, else the name's first word in capitals."""
    if len(asked) == 1:
        return asked[0]
    first = re.match(r"[A-Za-z0-9.]+", stem)
    if first is None:
        raise MarketFileError(f"{stem}: no symbol: name one with --symbols.")
    return first.group().split(".")[0].upper()


def times_ns(values: Column, name: str, file: str) -> Int64:
    """A time column in ns UTC; raises MarketFileError for times that are none."""
    if values.dtype.kind == "M":
        times = values.astype("datetime64[ns]").astype(np.int64)
    elif values.dtype.kind in "iu":
        times = values.astype(np.int64) * _UNIT_NS[name.lower()]
    elif values.dtype.kind == "f" and np.isfinite(values.astype(np.float64)).all():
        times = np.rint(values.astype(np.float64) * _UNIT_NS[name.lower()]).astype(np.int64)
    else:
        raise MarketFileError(f"{file}: column {name} holds no times.")
    if len(times) and times.min() < 0:
        raise MarketFileError(f"{file}: column {name} has empty or negative times.")
    return times


def amounts_nanos(values: Column, name: str, file: str, may_be_empty: bool) -> Int64:
    """A price or size column in nanos; an empty value is 0 where a side of a quote may be empty."""
    if values.dtype.kind not in "iuf":
        raise MarketFileError(f"{file}: column {name} holds no numbers.")
    numbers = values.astype(np.float64)
    empty = np.isnan(numbers)
    if empty.any() and not may_be_empty:
        raise MarketFileError(f"{file}: column {name} is empty in row {int(np.argmax(empty)) + 1}.")
    numbers = np.where(empty, 0.0, numbers)
    wrong = (numbers < 0) | (numbers * 1e9 > MAX_NANOS)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise MarketFileError(f"{file}: column {name} is out of range in row {row + 1}: {numbers[row]!r}.")
    return np.asarray(np.rint(numbers * 1e9)).astype(np.int64)


def ticks_of(
    kind: Kind, instrument: npt.NDArray[np.int16], times: Int64, columns: Mapping[str, Column], file: str
) -> Ticks:
    """The rows of one file as ticks, in the file's order; `columns` by our names."""
    if kind is Kind.BAR:
        prices = [amounts_nanos(columns[name], name, file, False) for name in BAR_COLUMNS[:4]]
        volume = columns["volume"].astype(np.float64)
        bars = Ticks.of(kind, instrument, times, *prices)
        return replace(bars, volume=np.nan_to_num(volume))
    if kind is Kind.QUOTE:
        amounts = [amounts_nanos(columns[name], name, file, True) for name in QUOTE_COLUMNS]
        return Ticks.of(kind, instrument, times, *amounts)
    price, size = (amounts_nanos(columns[name], name, file, False) for name in TRADE_COLUMNS)
    return Ticks.of(kind, instrument, times, price, size, _sides(columns, len(times)), _trade_ids(columns, len(times)))


def tick_of(prices: Int64) -> int:
    """The step that all prices (nanos) are multiples of: the tick of an instrument that no catalogue knows."""
    positive = prices[prices > 0]
    return int(np.gcd.reduce(positive)) if len(positive) else 1


def _sides(columns: Mapping[str, Column], count: int) -> Int64:
    """+1 for a buying aggressor, −1 for a selling one, 0 where the file does not tell."""
    if "side" not in columns:
        return np.zeros(count, np.int64)
    words = np.char.upper(np.char.strip(columns["side"].astype(str)))
    buys, sells = np.isin(words, ("BUY", "B", "1", "+1")), np.isin(words, ("SELL", "S", "-1"))
    return buys.astype(np.int64) - sells.astype(np.int64)


def _trade_ids(columns: Mapping[str, Column], count: int) -> Int64:
    """The file's ids where they are whole numbers, else 1, 2, 3…"""
    counted = np.arange(1, count + 1, dtype=np.int64)
    ids = columns.get("id")
    if ids is None:
        return counted
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    words = ids.astype(str)
    whole = len(words) > 0 and bool(np.char.isdecimal(words).all()) and int(np.char.str_len(words).max()) <= 18
    return words.astype(np.int64) if whole else counted
