"""The commands of `ntrader history`, each over the files of one data directory."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby

import polars as pl

from services.market_data.adapters.arrow_frames import to_json
from services.market_data.adapters.history_files import HistoryFiles
from services.market_data.adapters.market_files import Import, Progress, export_file, import_file
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.query_worker import selected
from services.market_data.adapters.sealed_history import SealedHistory, SealLimits
from services.market_data.adapters.store_quality import judged, series_of
from services.market_data.domain.frame_query import Selection
from services.market_data.domain.history import Kind
from services.market_data.domain.market_file import canonical
from services.market_data.domain.quality import Finding, Quality
from trading.market import Interval

Command = Callable[[argparse.Namespace], int]
_COMPACT_PARTS = 2
_MEGABYTE = 2**20
_LEFTOVER_AGE_S = 60.0


def list_series(arguments: argparse.Namespace) -> int:
    """Every series with its range, rows, files and size."""
    store = ParquetStore(arguments.root)
    rows = []
    for kind in _kinds(arguments):
        found = sorted(store.files.partitions(kind, symbols=_chosen(arguments)), key=series_of)
        for series, group in groupby(found, key=series_of):
            partitions = list(group)
            rows.append(
                _named(series)
                | {
                    "first": partitions[0].period.name,
                    "last": partitions[-1].period.name,
                    "rows": sum(map(store.rows, partitions)),
                    "files": sum(len(store.files.parts(partition)) for partition in partitions),
                    "bytes": sum(map(store.size_bytes, partitions)),
                }
            )
    _print(rows, arguments.json)
    return 0


def query(arguments: argparse.Namespace) -> int:
    """The rows of a SELECT."""
    found = selected(HistoryFiles(arguments.root), arguments.sql, arguments.limit)
    if arguments.format == "json":
        print(b"".join(to_json(found).parts).decode())
    elif arguments.format == "csv":
        print(found.frame.write_csv(), end="")
    else:
        with pl.Config(tbl_rows=len(found.frame), tbl_cols=-1, tbl_hide_dataframe_shape=True):
            print(found.frame)
    if found.truncated:
        print(f"More rows than {arguments.limit}: --limit shows more.", file=sys.stderr)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write rows as a market file."""
    interval = (arguments.interval or Interval.ONE_MINUTE) if arguments.kind is Kind.BARS else None
    symbols = tuple(canonical(symbol) for symbol in arguments.symbols)
    wanted = Selection(arguments.kind, symbols, arguments.start, arguments.end, interval, arguments.venue)
    rows = export_file(HistoryFiles(arguments.root), wanted, arguments.out, _progress("partitions"))
    if not rows:
        print("Nothing of that is stored; no file was written.", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {rows:,} rows")
    return 0


def import_files(arguments: argparse.Namespace) -> int:
    """Add market files."""
    store = ParquetStore(arguments.root)
    wanted = Import(arguments.venue, arguments.symbols, arguments.interval, arguments.again)
    for file in arguments.files:
        rows = import_file(store, file, wanted, _progress("rows"))
        print(f"{file}: {rows:,} rows")
    return 0


def quality(arguments: argparse.Namespace) -> int:
    """What is missing, impossible, double or unlikely in each series."""
    found = list(judged(ParquetStore(arguments.root), _kinds(arguments), _chosen(arguments)))
    if arguments.json:
        for series, judgement in found:
            print(json.dumps(_named(series) | asdict(judgement)))
        return 0
    counts = ("rows", "duplicates", "impossible", "gaps", "outliers", "splits")
    _print([_named(series) | {name: getattr(judgement, name) for name in counts} for series, judgement in found], False)
    for series, judgement in found:
        for line in _details(judgement):
            print(f"{series[3]} {series[0]} {series[1]}: {line}")
    return 0


def compact(arguments: argparse.Namespace) -> int:
    """Merge small files, seal the days that have ended, and remove what was merged."""
    store = ParquetStore(arguments.root)
    everything = store.all_partitions()
    merged = store.compact(everything, parts_least=_COMPACT_PARTS)
    sealed = SealedHistory(store, SealLimits(arguments.decoded_megabytes * _MEGABYTE, arguments.joined_rows))
    sealed.plan(time.time_ns())
    done = sealed.go_on(sys.maxsize)
    removed = store.files.sweep(everything, 0 if merged or done else _LEFTOVER_AGE_S)
    print(f"{merged} partitions merged, {done} days sealed, {removed} files removed")
    return 0


def _kinds(arguments: argparse.Namespace) -> Sequence[Kind]:
    return [arguments.kind] if arguments.kind else list(Kind)


def _chosen(arguments: argparse.Namespace) -> list[str] | None:
    return [canonical(symbol) for symbol in arguments.symbols] or None


def _named(series: tuple[Kind, str, str, str]) -> dict[str, object]:
    return dict(zip(("kind", "interval", "venue", "symbol"), map(str, series), strict=True))


def _print(rows: Sequence[dict[str, object]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
    elif rows:
        texts = [list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for line in texts:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    else:
        print("Nothing is stored.", file=sys.stderr)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _details(judgement: Quality) -> Iterable[str]:
    for gap in judgement.worst_gaps:
        yield f"gap {_span(gap)}, {gap.size:,.0f} s"
    for outlier in judgement.worst_outliers:
        yield f"outlier {_span(outlier)}, return {outlier.size:+.2%}"
    for split in judgement.likely_splits:
        yield f"likely split {_span(split)}, ratio {split.size:.3g}"


def _span(finding: Finding) -> str:
    start, end = (datetime.fromtimestamp(ns / 1e9, UTC) for ns in (finding.start_ns, finding.end_ns))
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}"


def _progress(what: str) -> Progress:
    """Says on stderr how far it is: over itself on a terminal, not at all elsewhere."""

    def say(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {total:,} {what}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return say
