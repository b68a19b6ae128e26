"""The history: rows written, beside pandas and nautilus_trader's catalog; a table at a client."""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import polars as pl
import pyarrow as pa

from fleet import channels
from fleet.slices import slices_of
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from services.market_data.adapters.arrow_frames import to_arrow
from services.market_data.adapters.history_frames import HistoryFrames
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.sealed_history import SealedHistory, SealLimits
from services.market_data.domain.frame_query import FrameQuery, frame_query, selection
from services.market_data.domain.history import Kind
from services.market_data.domain.history_buffer import HistoryBuffer
from tests.bench.peers import NAUTILUS, PANDAS, Peer, PeerMissing
from tests.bench.result import REPOSITORY, Result, of_samples
from trading.market import QuoteBlock

BAC_DAY = REPOSITORY.parent / "shared" / "data" / "bac-quotes-2013-10-07.parquet"
DAY_ROWS = 476_854
WRITTEN_ROWS = 1_024_000
BLOCK_ROWS = 256
SYMBOLS = 10
WRITES = 5
CLIENT_ROWS = 1_000_000
CALLS = 30
START_NS = 1_381_132_800 * 10**9
MIDNIGHT_NS = START_NS // (86_400 * 10**9) * 86_400 * 10**9
_PANDAS = Path(__file__).with_name("market_data_history_pandas.py")
_NAUTILUS = Path(__file__).with_name("market_data_history_nautilus.py")
_SERVER = "tests.bench.market_data_history_server"


def history_write() -> Iterator[Result]:
    """Blocks of 256 quotes of ten symbols, from the buffer to files that are on the disk (fsync included)."""
    with a_folder() as folder:
        blocks = _blocks()
        rates = [_written_per_second(ParquetStore(folder / str(run)), blocks) for run in range(WRITES)]
        rate = statistics.median(rates)
        result = Result("market_data.history_write", "rows/s", round(rate), WRITTEN_ROWS * WRITES)
        for peer, name, script in ((NAUTILUS, "nautilus_trader catalog", _NAUTILUS), (PANDAS, "pandas", _PANDAS)):
            result = _beside_rate(result, peer, name, script, folder)
        yield result


def history_to_client() -> Iterator[Result]:
    """A million rows of two columns from another process over gRPC: call to NumPy arrays on the received bytes."""
    with a_folder() as folder:
        times = START_NS + np.arange(CLIENT_ROWS, dtype=np.int64) * 50_000_000
        prices = np.full(CLIENT_ROWS, 10**11, np.int64)
        buffer = HistoryBuffer(CLIENT_ROWS)
        buffer.quotes(QuoteBlock("paper", "AAPL", times, times, prices, prices, prices, prices))
        store = ParquetStore(folder, mapped_bytes_most=2**30)
        store.record(buffer.take())
        sealed = SealedHistory(store, SealLimits(2**32, 10**7))
        sealed.plan(time.time_ns())
        sealed.go_on(2**40)
        encoding = timed(lambda: to_arrow(HistoryFrames(store, scan_bytes_most=2**32).read(_two_columns())), CALLS)
        with _server(folder) as address:
            samples = asyncio.run(_calls(address))
        extra = {"rows": CLIENT_ROWS, "columns": 2, "read_and_encode_ms": round(statistics.median(encoding), 2)}
        yield of_samples("market_data.history_to_client", "ms", samples, extra=extra)


def _blocks() -> list[QuoteBlock]:
    count = WRITTEN_ROWS // BLOCK_ROWS
    steps = np.arange(BLOCK_ROWS, dtype=np.int64)
    random = np.random.default_rng(1)
    walk = 100 * 10**9 + np.cumsum(random.integers(-1, 2, (count, BLOCK_ROWS)), axis=1) * 10_000_000
    sizes = random.integers(1, 100, (count, BLOCK_ROWS)) * 10**11
    return [
        QuoteBlock(
            "paper",
            f"S{at % SYMBOLS}",
            START_NS + (at * BLOCK_ROWS + steps) * 10_000,
            START_NS + (at * BLOCK_ROWS + steps) * 10_000 + 700,
            walk[at],
            sizes[at],
            walk[at] + 10_000_000,
            sizes[at],
        )
        for at in range(count)
    ]


def _written_per_second(store: ParquetStore, blocks: list[QuoteBlock]) -> float:
    started = time.perf_counter()
    buffer = HistoryBuffer(WRITTEN_ROWS)
    for block in blocks:
        buffer.quotes(block)
    rows = store.record(buffer.take())
    return rows / (time.perf_counter() - started)


def _two_columns() -> FrameQuery:
    rows = selection(Kind.QUOTES, ("AAPL",), "", MIDNIGHT_NS, MIDNIGHT_NS + 2 * 86_400 * 10**9, "", 0)
    return frame_query(
        rows,
        columns=("timestamp_ns", "bid"),
        filter_text="",
        group_by=(),
        aggregates=(),
        row_limit=0,
        rows_most=CLIENT_ROWS,
    )


def timed(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of each of many runs, after three that warm the caches."""
    samples = []
    for _ in range(runs + 3):
        started = time.perf_counter()
        work()
        samples.append((time.perf_counter() - started) * 1e3)
    return samples[3:]


def _beside_rate(result: Result, peer: Peer, name: str, script: Path, folder: Path) -> Result:
    try:
        found = peer.measure(script, "write", str(folder / peer.name), str(WRITTEN_ROWS))
    except PeerMissing as reason:
        return _without(result, name, reason)
    ratio = round(result.value / found["value"], 3)  # how many times as many rows we write
    return _with_peer(result, name, found["version"], found["value"], ratio, "ours/peer")


def _with_peer(
    result: Result, name: str, version: str, value: float, ratio: float | None, ratio_of: str | None
) -> Result:
    result.peers.append({"name": name, "version": version, "value": round(value, 3)})
    return Result(
        result.name,
        result.unit,
        result.value,
        result.n,
        result.p50,
        result.p99,
        result.peers,
        ratio if ratio is not None else result.ratio,
        ratio_of or result.ratio_of,
        result.extra,
    )


def _without(result: Result, name: str, reason: PeerMissing) -> Result:
    result.extra[f"without_{name}"] = str(reason)
    return result


def day_file(folder: Path) -> tuple[Path, str]:
    """A real day of quotes, and what it is called; a simulated one where it is not to be had."""
    if BAC_DAY.exists():
        return BAC_DAY, "BAC quotes of 2013-10-07"
    random = np.random.default_rng(7)
    bids = 14 + np.cumsum(random.integers(-1, 2, DAY_ROWS)) * 0.01 % 1
    columns = {"bid": bids, "bid_size": random.integers(1, 900, DAY_ROWS) * 100.0}
    frame = pl.DataFrame({"timestamp_ns": START_NS + np.arange(DAY_ROWS) * 100_000_000, **columns})
    file = folder / "BAC.parquet"
    frame.with_columns(ask=pl.col("bid") + 0.01, ask_size=pl.col("bid_size")).write_parquet(file)
    return file, "simulated: ../shared/data is not here"


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder on the disk of the checkout, gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=REPOSITORY / "build"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", _SERVER, str(folder), address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield address
    finally:
        process.terminate()
        process.wait(10)


async def _calls(address: str) -> list[float]:
    samples = []
    async with channels.connect(address, token=None, client="bench") as channel:
        get_historical = slices_of(channel, pb.DESCRIPTOR.services_by_name["MarketDataService"], "GetHistorical")
        question = pb.GetHistoricalRequest(
            symbols=["AAPL"],
            kind=pb.HISTORY_KIND_QUOTES,
            columns=["timestamp_ns", "bid"],
            start_time_ns=MIDNIGHT_NS,
            end_time_ns=MIDNIGHT_NS + 2 * 86_400 * 10**9,
        )
        for _ in range(CALLS + 3):
            started = time.perf_counter()
            await _received(get_historical(question))
            samples.append((time.perf_counter() - started) * 1e3)
    return samples[3:]


async def _received(call: Any) -> None:
    parts = []
    while (part := await call.read()) is not grpc.aio.EOF:
        parts.append(part.data)
    with pa.ipc.open_stream(pa.py_buffer(b"".join(parts))) as reader:
        batch = reader.read_next_batch()
    columns = [batch.column(name).to_numpy(zero_copy_only=True) for name in ("timestamp_ns", "bid")]
    assert all(len(column) == CLIENT_ROWS for column in columns)
