"""Reads simulated market files: quotes, and the trades in the file's `-trades` twin where there is one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from services.inference.domain.feature_series import Ticks
from services.inference.domain.trade_flow import Int64, Prints, with_trades


class Series(NamedTuple):
    """The ticks of one symbol, and when each was."""

    symbol: str
    time_ns: Int64
    ticks: Ticks
    has_trades: bool


@dataclass(frozen=True, slots=True)
class Market:
    """One file's symbols."""

    name: str
    sha256: str
    series: tuple[Series, ...]

    @property
    def seconds(self) -> float:
        """From the first tick to the last."""
        return float(max(each.time_ns[-1] for each in self.series) - min(each.time_ns[0] for each in self.series)) / 1e9


def read_market(file: Path) -> Market:
    """Read a Parquet file with timestamp_ns, symbol, bid, bid_size, ask, ask_size and its twin of trades.

    Aggressors' sides in the twin are left unread: a live feed hides them, so the model must do without.
    """
    trades = _trades(file.with_name(f"{file.stem}-trades{file.suffix}"))
    series = tuple(_series(symbol, rows, trades.get(symbol)) for symbol, rows in _by_symbol(file))
    return Market(file.stem, hashlib.sha256(file.read_bytes()).hexdigest(), series)


def _by_symbol(file: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    for symbol, rows in pl.read_parquet(file).partition_by("symbol", as_dict=True, maintain_order=True).items():
        yield str(symbol[0]), rows


def _trades(twin: Path) -> dict[str, Prints]:
    return {symbol: _prints(rows) for symbol, rows in _by_symbol(twin)} if twin.exists() else {}


def _prints(rows: pl.DataFrame) -> Prints:
    time_ns, price, size = (rows[name].to_numpy() for name in ("timestamp_ns", "price", "size"))
    return Prints(time_ns, price, size, np.zeros(len(rows), np.int64))


def _series(symbol: str, rows: pl.DataFrame, trades: Prints | None) -> Series:
    whole = rows.filter((pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid")))
    time_ns = whole["timestamp_ns"].to_numpy()
    bid, bid_size, ask, ask_size = (whole[name].to_numpy() for name in ("bid", "bid_size", "ask", "ask_size"))
    nothing = np.zeros(len(whole))
    ticks = Ticks((bid + ask) * 0.5, bid, ask, bid_size, ask_size, nothing, nothing, nothing)
    if trades is None:
        return Series(symbol, time_ns, ticks, has_trades=False)
    return Series(symbol, time_ns, with_trades(ticks, time_ns, trades), has_trades=True)
