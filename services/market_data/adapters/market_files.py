"""Brings market files (Parquet, CSV, gzipped CSV) into the history and takes tables out of it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from services.market_data.adapters.history_files import HistoryFiles
from services.market_data.adapters.history_tables import scanned, shown
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.domain.frame_query import Selection
from services.market_data.domain.history import Kind, Partition
from services.market_data.domain.market_file import Layout, canonical, interval_of, layout_of, symbol_of_file
from trading.errors import AlreadyExists, InvalidArgument
from trading.market import Interval
from trading.money import MAX_NANOS

SLICE_ROWS = 2_000_000
_PARQUET_MAGIC = b"PAR1"
_IMPORTED = "imported"
_NO_VENUE = "import"
_OF_A_RECORDING = frozenset({"kind", "venue", "event_time_ns", "trade_id"})
_LACKING = {"quote": ("price", "size", "side", "trade_id"), "trade": ("bid", "bid_size", "ask", "ask_size")}
"""What is empty in the rows of a recording's two kinds."""
_ONE = 1e9
_AMOUNTS: dict[Kind, tuple[str, ...]] = {
    Kind.QUOTES: ("bid", "bid_size", "ask", "ask_size"),
    Kind.TRADES: ("price", "size"),
    Kind.BARS: ("open", "high", "low", "close"),
}
Progress = Callable[[int, int], None]
"""Told the rows that are done and the rows in all."""


@dataclass(frozen=True, slots=True)
class Import:
    """Where a file's rows go: a venue's name, the symbols to take (all when empty), the interval of its bars.

    An empty venue is the one that a recording names, and `import` for any other file.
    """

    venue: str = ""
    symbols: tuple[str, ...] = ()
    interval: Interval | None = None
    again: bool = False


def import_file(store: ParquetStore, file: Path, wanted: Import, progress: Progress) -> int:
    """Add a market file's rows to the store; how many.

    Raises InvalidArgument for a file that is none or holds what no market says, AlreadyExists for one that was imported
    before.
    """
    venue = wanted.venue or _NO_VENUE
    note = store.files.root / _IMPORTED / hashlib.sha256(f"{_digest(file)}:{venue}".encode()).hexdigest()
    if note.exists() and not wanted.again:
        raise AlreadyExists(f"{file} was imported before as {venue}; --again imports it anyway.")
    source = _open(file)
    try:
        total = source.select(pl.len()).collect().item()
        rows = done = 0
        for start in range(0, total, SLICE_ROWS):
            part = source.slice(start, SLICE_ROWS).collect()
            rows += sum(
                _add(store, table, file, replace(wanted, venue=whose)) for whose, table in _tables(part, wanted)
            )
            done += len(part)
            progress(done, total)
    except InvalidArgument as error:
        raise InvalidArgument(f"{file}: {error.message}") from error
    except pl.exceptions.PolarsError as error:
        raise InvalidArgument(f"{file}: {str(error).strip().partition(chr(10))[0]}") from error
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{file.name}\n")
    return rows


def export_file(files: HistoryFiles, wanted: Selection, file: Path, progress: Progress) -> int:
    """Write rows as a market file, Parquet or CSV by its name; how many. It appears when it is whole."""
    partitions = files.partitions(
        wanted.kind,
        interval=wanted.interval,
        venue=wanted.venue,
        symbols=wanted.symbols or None,
        start_ns=wanted.start_ns,
        end_ns=wanted.end_ns,
    )
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        write = _write_csv if file.suffix == ".csv" else _write_parquet
        rows = write(_frames(files, partitions, wanted, progress), temporary)
        if rows:
            temporary.rename(file)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _frames(
    files: HistoryFiles, partitions: Sequence[Partition], wanted: Selection, progress: Progress
) -> Iterator[pl.DataFrame]:
    time = pl.col("timestamp_ns")
    for at, partition in enumerate(partitions):
        stored = scanned(wanted.kind, [part.path for part in files.parts(partition)])
        table = shown(wanted.kind, stored).filter(time.is_between(wanted.start_ns, wanted.end_ns, closed="left"))
        frame = table.collect()
        if wanted.kind is Kind.BARS:
            frame = frame.unique("timestamp_ns", keep="last")
        yield frame.sort("timestamp_ns", maintain_order=True)
        progress(at + 1, len(partitions))


def _write_parquet(frames: Iterator[pl.DataFrame], file: Path) -> int:
    rows, writer = 0, None
    try:
        for frame in frames:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _write_csv(frames: Iterator[pl.DataFrame], file: Path) -> int:
    rows = 0
    with file.open("wb") as target:
        for frame in frames:
            frame.write_csv(target, include_header=not rows)
            rows += len(frame)
    return rows


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _open(file: Path) -> pl.LazyFrame:
    with file.open("rb") as source:
        is_parquet = source.read(4) == _PARQUET_MAGIC
    if is_parquet:
        return pl.scan_parquet(file, glob=False, hive_partitioning=False)
    try:
        return pl.read_csv(file, infer_schema_length=10_000, glob=False).lazy()
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0]
        raise InvalidArgument(f"{file}: neither Parquet nor CSV: {reason}") from error


def _tables(rows: pl.DataFrame, wanted: Import) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows with their venue; a recording holds quotes and trades and says whose they are, another file one kind."""
    if not set(rows.columns) >= _OF_A_RECORDING:
        yield wanted.venue or _NO_VENUE, rows
        return
    renamed = rows.rename({"event_time_ns": "timestamp_ns"})
    for (kind, venue), table in renamed.group_by("kind", "venue", maintain_order=True):
        yield wanted.venue or str(venue), table.drop(_LACKING[str(kind)])


def _add(store: ParquetStore, rows: pl.DataFrame, file: Path, wanted: Import) -> int:
    layout = layout_of(rows.columns)
    stored = _stored(rows, layout)
    if layout.symbol is None:
        symbols = {symbol_of_file(file.name, wanted.symbols): stored}
    else:
        named = stored.with_columns(rows[layout.symbol].cast(pl.String).alias("symbol"))
        symbols = {str(key[0]): part.drop("symbol") for key, part in named.group_by("symbol", maintain_order=True)}
    chosen = {canonical(symbol) for symbol in wanted.symbols}
    count = 0
    for spelling, frame in symbols.items():
        symbol = canonical(spelling)
        if layout.symbol is None or not chosen or symbol in chosen:
            interval = _interval(frame, layout.kind, wanted)
            count += store.import_frame(layout.kind, wanted.venue, symbol, interval, frame)
    return count


def _interval(frame: pl.DataFrame, kind: Kind, wanted: Import) -> Interval | None:
    if kind is not Kind.BARS:
        return None
    return wanted.interval or interval_of(frame["timestamp_ns"].to_numpy())


def _stored(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """A file's rows with the columns of the store."""
    times = _times(rows[layout.time], layout.time_unit_ns)
    columns = {name: rows[theirs] for name, theirs in layout.columns.items()}
    amounts = {f"{name}_nanos": _nanos(columns[name], name, layout.kind) for name in _AMOUNTS[layout.kind]}
    if layout.kind is Kind.BARS:
        vwap = _nanos(columns["vwap"], "vwap", layout.kind) if "vwap" in columns else amounts["close_nanos"]
        count = columns["trade_count"] if "trade_count" in columns else pl.zeros(len(rows), pl.Int64, eager=True)
        more = {"volume": columns["volume"].cast(pl.Float64), "vwap_nanos": vwap, "trade_count": count}
        return pl.DataFrame({"timestamp_ns": times, **amounts, **more})
    received = columns.get("receive_time_ns", times)
    found = pl.DataFrame({"event_time_ns": times, "receive_time_ns": received, **amounts})
    if layout.kind is Kind.QUOTES:
        return found
    return found.with_columns(_sides(columns.get("side"), len(rows)), _ids(columns.get("id"), len(rows)))


def _times(times: pl.Series, unit_ns: int) -> pl.Series:
    name = times.name
    if times.dtype == pl.String:
        times = times.str.to_datetime(time_unit="ns", time_zone="UTC")
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime("ns"))
    if isinstance(times.dtype, pl.Datetime):
        times = times.dt.cast_time_unit("ns").to_physical()
    elif times.dtype.is_numeric():
        times = (times * unit_ns).cast(pl.Int64)
    if times.null_count() or not times.dtype.is_integer() or (len(times) and int(times.min()) < 0):  # type: ignore[arg-type]
        raise InvalidArgument(f"Column {name} has empty, negative or no times.")
    return times


def _nanos(amounts: pl.Series, name: str, kind: Kind) -> pl.Series:
    """Prices and sizes as whole nanos; an empty side of a quote is 0."""
    if not amounts.dtype.is_numeric():
        raise InvalidArgument(f"Column {name} holds no numbers.")
    numbers = amounts.cast(pl.Float64).fill_nan(None)
    if kind is Kind.QUOTES:
        numbers = numbers.fill_null(0.0)
    wrong = numbers.is_null() | (numbers < 0) | (numbers * _ONE > MAX_NANOS)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise InvalidArgument(f"Column {name} is empty, negative or out of range in row {row + 1}: {amounts[row]!r}.")
    return (numbers * _ONE).round(0).cast(pl.Int64)


def _sides(sides: pl.Series | None, count: int) -> pl.Series:
    if sides is None:
        return pl.zeros(count, pl.Int8, eager=True).alias("side_sign")
    words = sides.cast(pl.String).str.strip_chars().str.to_uppercase().fill_null("")
    signs = words.is_in(["BUY", "B", "1", "+1"]).cast(pl.Int8) - words.is_in(["SELL", "S", "-1"]).cast(pl.Int8)
    return signs.alias("side_sign")


def _ids(ids: pl.Series | None, count: int) -> pl.Series:
    if ids is None:
        return pl.Series("trade_id", [""] * count, dtype=pl.String)
    return ids.cast(pl.String).fill_null("").alias("trade_id")
