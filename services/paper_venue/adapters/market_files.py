"""Reads and writes market files (Parquet, CSV, gzipped CSV) with Polars."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from services.paper_venue.domain.market_file import (
    Column,
    Layout,
    MarketFileError,
    layout_of,
    symbol_of_file,
    tick_of,
    ticks_of,
    times_ns,
)
from services.paper_venue.domain.replay import Recording, price_column
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.errors import InvalidArgument
from trading.instruments import AssetClass, Instrument, Instruments, equity, parse_symbol

_PARQUET_MAGIC = b"PAR1"
_OF_A_RECORDING = frozenset({"kind", "venue", "event_time_ns", "trade_id"})
_LACKING = {"quote": ("price", "size", "side", "id"), "trade": ("bid", "bid_size", "ask", "ask_size")}
"""What is empty in the rows of a recording's two kinds."""


def load_recording(files: Sequence[Path], asked: Sequence[str], catalogue: Instruments) -> Recording:
    """Read every file and merge their rows by time; raises MarketFileError with the file's name.

    `asked` are the symbols of the command line: one names files without a symbol column, several choose rows.
    """
    symbols: list[str] = []
    parts = [
        _ticks_of_table(table, file, asked, symbols, catalogue) for file in files for table in _tables(_read(file))
    ]
    ticks = Ticks.merged(parts)
    if len(ticks) == 0:
        raise MarketFileError(f"{', '.join(map(str, files))}: no rows.")
    instruments = [_instrument(symbol, index, ticks, catalogue) for index, symbol in enumerate(symbols)]
    return Recording(tuple(instruments), ticks)


def save_ticks(ticks: Ticks, symbols: Sequence[str], kind: Kind, file: Path) -> int:
    """Write the quotes or the trades among `ticks` as a market file with a symbol column; returns the row count."""
    rows = ticks[ticks.kind == kind]
    names = np.array(symbols)[rows.instrument]
    columns: dict[str, Column] = {"timestamp_ns": rows.time_ns, "symbol": names}
    if kind is Kind.QUOTE:
        columns |= {"bid": rows.a / 1e9, "bid_size": rows.b / 1e9, "ask": rows.c / 1e9, "ask_size": rows.d / 1e9}
    else:
        sides = np.where(rows.c > 0, "buy", "sell")
        columns |= {"price": rows.a / 1e9, "size": rows.b / 1e9, "id": rows.d, "side": sides}
    frame = pl.DataFrame(columns)
    frame.write_csv(file) if file.suffix == ".csv" else frame.write_parquet(file)
    return len(rows)


def _tables(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """A recording's quotes and trades, each as a market file has them; any other file as it is."""
    if not set(frame.columns) >= _OF_A_RECORDING:
        return [frame]
    renamed = frame.rename({"event_time_ns": "timestamp_ns", "trade_id": "id"})
    kinds = renamed["kind"].cast(pl.String)
    return [renamed.filter(kinds == kind).drop(lacking) for kind, lacking in _LACKING.items()]


def _ticks_of_table(
    frame: pl.DataFrame, file: Path, asked: Sequence[str], symbols: list[str], catalogue: Instruments
) -> Ticks:
    layout = layout_of(frame.columns, str(file))
    if frame.is_empty():
        return Ticks.empty()
    if layout.symbol is not None and asked:
        frame = _chosen(frame, layout.symbol, asked, catalogue)
    times = times_ns(_time_column(frame, layout, file), layout.time, str(file))
    instrument = _instrument_column(frame, layout, file, asked, symbols, catalogue)
    columns = {name: _numpy(frame[theirs]) for name, theirs in layout.columns.items()}
    ticks = ticks_of(layout.kind, instrument, times, columns, str(file))
    return Ticks.merged([ticks])


def _read(file: Path) -> pl.DataFrame:
    try:
        with file.open("rb") as opened:
            is_parquet = opened.read(4) == _PARQUET_MAGIC
        frame = pl.read_parquet(file) if is_parquet else pl.read_csv(file, infer_schema_length=10_000)
    except OSError as error:
        raise MarketFileError(f"{file}: {error.strerror or error}.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0]
        raise MarketFileError(f"{file}: neither Parquet nor CSV: {reason}") from error
    return frame


def _chosen(frame: pl.DataFrame, column: str, asked: Sequence[str], catalogue: Instruments) -> pl.DataFrame:
    wanted = {_canonical(symbol, catalogue) for symbol in asked}
    spellings = [name for name in frame[column].cast(pl.String).unique().to_list() if name is not None]
    return frame.filter(
        pl.col(column).cast(pl.String).is_in([name for name in spellings if _canonical(name, catalogue) in wanted])
    )


def _time_column(frame: pl.DataFrame, layout: Layout, file: Path) -> Column:
    times = frame[layout.time]
    if times.dtype == pl.String:
        try:
            times = times.str.to_datetime(time_unit="ns", time_zone="UTC", strict=True)
        except pl.exceptions.PolarsError as error:
            raise MarketFileError(f"{file}: column {layout.time} holds no times.") from error
    if times.null_count():
        raise MarketFileError(f"{file}: column {layout.time} has empty times.")
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime("ns"))
    if isinstance(times.dtype, pl.Datetime):
        return (
            times.dt.replace_time_zone(None).dt.cast_time_unit("ns").to_physical().to_numpy().astype("datetime64[ns]")
        )
    return times.to_numpy()


def _instrument_column(
    frame: pl.DataFrame,
    layout: Layout,
    file: Path,
    asked: Sequence[str],
    symbols: list[str],
    catalogue: Instruments,
) -> npt.NDArray[np.int16]:
    """The index of each row's symbol in `symbols`, which grows by the symbols that are new."""
    if layout.symbol is None:
        symbol = symbol_of_file(file.name, asked)
        return np.full(len(frame), _index(symbol, file, symbols, catalogue), np.int16)
    names = frame[layout.symbol].cast(pl.String)
    if names.null_count():
        raise MarketFileError(f"{file}: column {layout.symbol} has empty symbols.")
    own = names.unique(maintain_order=True).to_list()
    indices = {name: _index(name, file, symbols, catalogue) for name in own}
    return names.replace_strict(indices, return_dtype=pl.Int16).to_numpy()


def _index(name: str, file: Path, symbols: list[str], catalogue: Instruments) -> int:
    try:
        symbol = _canonical(parse_symbol(name), catalogue)
    except InvalidArgument as error:
        raise MarketFileError(f"{file}: {error.message} was {name!r}") from error
    if symbol not in symbols:
        symbols.append(symbol)
    return symbols.index(symbol)


def _canonical(name: str, catalogue: Instruments) -> str:
    return catalogue.get(name).symbol if name in catalogue else name.upper()


def _instrument(symbol: str, index: int, ticks: Ticks, catalogue: Instruments) -> Instrument:
    """The catalogue's instrument, else a share (or, with a dash or slash in its name, a coin) as the data shows it."""
    if symbol in catalogue:
        return catalogue.get(symbol)
    tick = tick_of(price_column(ticks[(ticks.instrument == index) & (ticks.kind != Kind.QUOTE)]))
    quotes = ticks[(ticks.instrument == index) & (ticks.kind == Kind.QUOTE)]
    if len(quotes):
        tick = tick_of(np.concatenate([quotes.a, quotes.c]))
    pair = symbol.replace("/", "-")
    if "-" not in pair:
        share = equity(symbol)
        return Instrument(symbol, share.asset_class, share.currency, tick, share.lot_nanos)
    spelling = {"alpaca": pair.replace("-", "/")}
    return Instrument(pair, AssetClass.CRYPTO, "USD", tick, 1, shortable=False, venue_symbols=spelling)


def _numpy(series: pl.Series) -> Column:
    if series.dtype == pl.String or series.dtype == pl.Null:
        return series.cast(pl.String).fill_null("").to_numpy()
    if series.dtype.is_decimal():
        series = series.cast(pl.Float64)
    return series.to_numpy()
