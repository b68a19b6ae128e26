"""Run by the Python of nautilus_trader's environment: quotes into its Parquet catalog, and a day out of it."""

import json
import sys
import time

import nautilus_trader
import pandas as pd
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.test_kit.providers import TestInstrumentProvider

WRITTEN_MOST = 200_000
SCANS = 3


def write(folder: str, rows: int) -> dict:
    """Rows per second of ticks that are ready into files."""
    instrument = TestInstrumentProvider.equity("AAPL", "XNAS")
    count = min(rows, WRITTEN_MOST)
    size = Quantity(200, 0)
    prices = [Price(100 + at / 100, 2) for at in range(100)]
    ticks = [
        QuoteTick(instrument.id, prices[at % 99], prices[at % 99 + 1], size, size, at * 1000, at * 1000)
        for at in range(count)
    ]
    catalog = ParquetDataCatalog(folder)
    started = time.perf_counter()
    catalog.write_data(ticks)
    return {"value": round(count / (time.perf_counter() - started))}


def scan(folder: str, file: str) -> dict:
    """Milliseconds of a day's quotes above a price, out of the catalog as its tick objects."""
    instrument = TestInstrumentProvider.equity("BAC", "XNAS")
    rows = pd.read_parquet(file).sort_values("timestamp_ns", kind="stable")
    ticks = [
        QuoteTick(instrument.id, Price(bid, 2), Price(ask, 2), Quantity(bid_size, 0), Quantity(ask_size, 0), at, at)
        for at, bid, bid_size, ask, ask_size in rows[["timestamp_ns", "bid", "bid_size", "ask", "ask_size"]].itertuples(
            index=False
        )
    ]
    catalog = ParquetDataCatalog(folder)
    catalog.write_data(ticks)
    times = []
    for _ in range(SCANS):
        started = time.perf_counter()
        found = catalog.quote_ticks(instrument_ids=[str(instrument.id)])
        times.append((time.perf_counter() - started) * 1e3)
        assert len(found) == len(ticks)
    return {"value": sorted(times)[SCANS // 2]}


if __name__ == "__main__":
    found = write(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "write" else scan(sys.argv[2], sys.argv[3])
    print(json.dumps(found | {"version": nautilus_trader.__version__}))
