"""Reads a user's history: quotes, trades or bars as Parquet or CSV, also gzipped, as ticks of each symbol.

Columns: `timestamp_ns`, `timestamp` (ms, or a date and time) or `date`; then `bid, ask[, bid_size, ask_size]`, or
`price[, size]`, or `open, high, low, close[, volume]`. The symbol is the column `symbol`, else the one that was named,
else the first word of the file's name in capitals.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from services.inference.domain.feature_series import Ticks, carried
from services.inference.domain.samples import Int64
from trading.errors import InvalidArgument

Kind = Literal["quotes", "trades", "bars"]
_NEEDED: dict[Kind, tuple[str, ...]] = {"quotes": ("bid", "ask"), "bars": ("close",), "trades": ("price",)}
_ALIASES = {"ts": "timestamp_ns", "amount": "size", "qty": "size", "quantity": "size"}
_NS_PER_UNIT = {"timestamp_ns": 1, "timestamp": 1_000_000, "date": 1_000_000}
_SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class History:
    """The ticks of one symbol in the order of time (ns UTC), and where they come from."""

    symbol: str
    kind: Kind
    file: str
    sha256: str
    time_ns: Int64
    ticks: Ticks

    @property
    def spacing_ns(self) -> int:
        """The median time between two ticks, at least 1 ns."""
        return max(1, int(np.median(np.diff(self.time_ns)))) if len(self.time_ns) > 1 else 1


class BadHistory(InvalidArgument):
    """A file that cannot be learnt from; the message says what was expected of it."""

    REASON = "BAD_HISTORY"


def read_history(files: Sequence[Path], symbols: Sequence[str]) -> list[History]:
    """The histories of the named symbols, or of all when none is named; raises BadHistory."""
    found = [history for file in files for history in _read(file, symbols)]
    missing = set(symbols) - {history.symbol for history in found}
    if missing:
        raise BadHistory(f"No file has {', '.join(sorted(missing))}.", field="symbols")
    return found


def _read(file: Path, symbols: Sequence[str]) -> list[History]:
    frame = _frame(file)
    kind = _kind(file, frame)
    if "symbol" not in frame.columns:
        named = symbols[0] if len(symbols) == 1 else re.split(r"[^A-Za-z0-9]", file.name)[0].upper()
        frame = frame.with_columns(pl.lit(named).alias("symbol"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return [
        _history(str(symbol[0]), kind, file, digest, rows)
        for symbol, rows in frame.partition_by("symbol", as_dict=True, maintain_order=True).items()
        if not symbols or str(symbol[0]) in symbols
    ]


def _frame(file: Path) -> pl.DataFrame:
    if not file.name.lower().endswith(_SUFFIXES):
        raise BadHistory(f"{file}: expected a file named {', '.join(_SUFFIXES)}.", field="data")
    try:
        frame = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadHistory(f"{file}: cannot be read: {error}", field="data") from error
    frame = frame.rename({name: name.strip().lower() for name in frame.columns})
    return frame.rename(
        {old: new for old, new in _ALIASES.items() if old in frame.columns and new not in frame.columns}
    )


def _kind(file: Path, frame: pl.DataFrame) -> Kind:
    for kind, needed in _NEEDED.items():
        if set(needed) <= set(frame.columns):
            return kind
    raise BadHistory(
        f"{file}: expected the columns bid and ask, or price, or open to close; was {', '.join(frame.columns)}.",
        field="data",
    )


def _history(symbol: str, kind: Kind, file: Path, digest: str, rows: pl.DataFrame) -> History:
    rows = rows.with_columns(_time(file, rows).alias("at")).sort("at", maintain_order=True)
    try:
        columns: dict[str, np.ndarray] = {
            name: rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for name in ("bid", "ask", "bid_size", "ask_size", "price", "size", "close", "volume")
            if name in rows.columns
        }
    except pl.exceptions.PolarsError as error:
        raise BadHistory(f"{file}: expected numbers: {error}", field="data") from error
    ticks, whole = _ticks(kind, columns, len(rows))
    if not whole.any():
        raise BadHistory(f"{file}: {symbol} has no row with a price above 0.", field="data", symbol=symbol)
    time_ns = rows["at"].to_numpy()[whole]
    return History(symbol, kind, file.name, digest, time_ns, ticks)


def _time(file: Path, rows: pl.DataFrame) -> pl.Series:
    name = next((each for each in _NS_PER_UNIT if each in rows.columns), None)
    if name is None:
        raise BadHistory(f"{file}: expected a column timestamp_ns, timestamp or date.", field="data")
    column = rows[name]
    try:
        if column.dtype == pl.String:
            column = column.str.to_datetime(time_unit="ns", strict=True)
        if column.dtype.is_temporal():
            return column.cast(pl.Datetime("ns")).cast(pl.Int64)
        return column.cast(pl.Int64) * _NS_PER_UNIT[name]
    except pl.exceptions.PolarsError as error:
        raise BadHistory(f"{file}: {name} is no time: {error}", field="data") from error


def _ticks(kind: Kind, columns: dict[str, np.ndarray], count: int) -> tuple[Ticks, np.ndarray]:
    """The ticks of the rows that can be a market, and which rows these are."""
    nothing = np.zeros(count)
    if kind == "quotes":
        bid, ask = columns["bid"], columns["ask"]
        whole = (bid > 0) & (ask >= bid)
        sizes = [np.nan_to_num(columns.get(name, nothing)) for name in ("bid_size", "ask_size")]
        return _kept(whole, (bid + ask) / 2, bid, ask, *sizes, nothing, nothing, nothing), whole
    price = columns["close" if kind == "bars" else "price"]
    volume = np.nan_to_num(columns.get("volume" if kind == "bars" else "size", nothing))
    whole = np.isfinite(price) & (price > 0) & (volume >= 0)
    change = np.sign(np.diff(price, prepend=price[:1]))
    signs = carried(np.nan_to_num(change), 0.0)
    return _kept(whole, price, price, price, nothing, nothing, volume, np.ones(count), signs), whole


def _kept(whole: np.ndarray, *columns: np.ndarray) -> Ticks:
    return Ticks(*(column[whole].astype(np.float64) for column in columns))
