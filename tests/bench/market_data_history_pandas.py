"""Run by the Python of pandas' environment: the same rows written, the same day scanned, filtered and grouped."""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

SYMBOLS = 10
RUNS = 5


def write(folder: Path, rows: int) -> dict:
    """Rows per second into one Parquet file per symbol, on the disk."""
    folder.mkdir(parents=True)
    count = rows // SYMBOLS
    random = np.random.default_rng(1)
    rates = []
    for run in range(RUNS):
        price = 100 * 10**9 + np.cumsum(random.integers(-1, 2, count)) * 10_000_000
        size = random.integers(1, 100, count) * 10**11
        times = np.arange(count) * 100_000
        started = time.perf_counter()
        for symbol in range(SYMBOLS):
            names = ("event_time_ns", "receive_time_ns", "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos")
            frame = pd.DataFrame(
                dict(zip(names, (times, times + 700, price, size, price + 10_000_000, size), strict=True))
            )
            path = folder / f"{run}-{symbol}.parquet"
            frame.to_parquet(path, compression="zstd")
            with path.open("rb") as written:
                os.fsync(written.fileno())
        rates.append(count * SYMBOLS / (time.perf_counter() - started))
    return {"value": round(statistics.median(rates))}


def scan(file: str, dear: float, runs: int, feather: str) -> dict:
    """Milliseconds of reading, of reading and filtering, grouping, or looking at every number, by what is read.

    And what the answers amount to: rows and sums, and each group.
    """
    day = pd.read_parquet(file)
    day.to_feather(feather, compression="uncompressed")
    forms = {
        "parquet": lambda: pd.read_parquet(file),
        "parquet_to_arrow": lambda: pd.read_parquet(file, dtype_backend="pyarrow"),
        "feather": lambda: pd.read_feather(feather),
        "feather_to_arrow": lambda: pd.read_feather(feather, dtype_backend="pyarrow"),
        "in_memory": lambda: day,
    }
    samples = {form: _samples(read, dear, runs) for form, read in forms.items()}
    return {
        "ms": {form: _each(statistics.median, times) for form, times in samples.items()},
        "fastest_ms": {form: _each(min, times) for form, times in samples.items()},
        "answers": _answers(day, dear),
    }


def _each(amount, times: dict) -> dict:
    return {name: round(amount(of_one), 3) for name, of_one in times.items()}


def _samples(read, dear: float, runs: int) -> dict:
    questions = {
        "scan": read,
        "filter": lambda: _dear(read(), dear),
        "group": lambda: _grouped(read()),
        "scan_and_look": lambda: [column.max() for _, column in read().items()],
    }
    return {name: _timed(work, runs) for name, work in questions.items()}


def _dear(rows: pd.DataFrame, dear: float) -> pd.DataFrame:
    return rows[rows["bid"] > dear]


def _grouped(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby("bid").agg(mean=("ask_size", "mean"), count=("ask", "size"))


def _answers(day: pd.DataFrame, dear: float) -> dict:
    amounts = ["bid", "bid_size", "ask", "ask_size"]
    tables = {"scan": day, "filter": _dear(day, dear)}
    totals = {name: [len(rows), *(float(rows[one].sum()) for one in amounts)] for name, rows in tables.items()}
    groups = [[float(bid), float(mean), int(count)] for bid, mean, count in _grouped(day).itertuples()]
    return totals | {"group": groups}


def _timed(work, runs: int) -> list[float]:
    samples = []
    for _ in range(runs + 3):
        started = time.perf_counter()
        work()
        samples.append((time.perf_counter() - started) * 1e3)
    return samples[3:]


if __name__ == "__main__":
    if sys.argv[1] == "write":
        found = write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        found = scan(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    print(json.dumps(found | {"version": pd.__version__}))
