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


def scan(file: str, dear: float, runs: int) -> dict:
    """Milliseconds of reading, of reading and filtering, and of reading and grouping."""
    questions = {
        "scan": lambda: pd.read_parquet(file),
        "filter": lambda: (lambda rows: rows[rows["bid"] > dear])(pd.read_parquet(file)),
        "group": lambda: pd.read_parquet(file).groupby("bid").agg(mean=("ask_size", "mean"), count=("ask", "size")),
    }
    return {name: statistics.median(_timed(work, runs)) for name, work in questions.items()}


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
        found = scan(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(found | {"version": pd.__version__}))
