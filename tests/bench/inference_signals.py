"""100,000 points over 10 symbols → features → the model on every row → 10 signals, beside pandas and plain Python."""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from fleet import channels
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.adapters.onnx_networks import network
from services.inference.adapters.onnx_weights import Stored
from services.inference.adapters.safetensors_file import FileLimits, mapped, read_model
from tests.bench.inference_points import ROWS, points, spellings, write_points
from tests.bench.inference_service import TOKEN, inference_service
from tests.bench.inference_signals_worker import SHIPPED
from tests.bench.peers import PANDAS_ONNX, PeerMissing
from tests.bench.result import REPOSITORY, Result, beside, of_samples
from trading.errors import Unavailable

SEED = {"p50_ms": 45, "p99_ms": 95, "rss_mb": 85}
MOST_RSS_MB = 85
CALLS = 15
WORKER_TIMEOUT_S = 300
_LARGEST_FILE = 1 << 28


def signals_100k() -> Iterator[Result]:
    """The worker's own runs, then the same request to a real service over gRPC."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_points(folder)
        worker = _worker(folder)
        result = of_samples("inference.signals_100k", "ms", worker["samples"], extra=_extra(worker))
        result = _beside_pandas(result, folder)
    python_ms = _in_python(worker["stages_ms"])
    version = f"Python {sys.version.split()[0]}, tick by tick, ONNX Runtime in batches"
    yield beside(result, "plain Python", version, python_ms, ratio_of="peer/ours")


def _extra(worker: dict[str, Any]) -> dict[str, Any]:
    return {
        "rss_mb": worker["peak_mb"],
        "rss_mb_goal": MOST_RSS_MB,
        "ops_per_s": round(1e3 / statistics.median(worker["samples"]), 1),
        "processor_ms": worker["processor_ms"],
        "signals": worker["signals"],
        "stages_ms": worker["stages_ms"],
        "memory_mb": worker["memory_mb"],
        "grpc_ms": asyncio.run(_over_grpc()),
        "seed": SEED,
    }


def _in_python(stages: dict[str, float]) -> float:
    rest = ("check and group", "inference", "calibration", "signals")
    return float(stages["features in plain Python"] + sum(stages[name] for name in rest))


def _worker(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.inference_signals_worker", str(folder)]
    run = subprocess.run(
        command,
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        timeout=WORKER_TIMEOUT_S,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    found: dict[str, Any] = msgspec.json.decode(run.stdout)
    return found


def _beside_pandas(result: Result, folder: Path) -> Result:
    """The model as a plain ONNX file, which anybody's ONNX Runtime loads."""
    weights = SHIPPED / "model.safetensors"
    file = read_model(weights, FileLimits())
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(weights, name)
        graph = Path(name) / "model.onnx"
        graph.write_bytes(network(file.spec, Stored(file, mapped(weights, _LARGEST_FILE), weights.name)))
        try:
            script = Path(__file__).with_name("inference_signals_pandas.py")
            found = PANDAS_ONNX.measure(script, str(folder), str(graph))
        except PeerMissing as reason:
            print(f"    without pandas: {reason}")
            return result
    result.extra["pandas"] = found
    return beside(result, "pandas", PANDAS_ONNX.packages[0].partition("==")[2], found["value"], ratio_of="peer/ours")


async def _over_grpc() -> dict[str, float]:
    """Median time of a whole call from a client's message to its answer, by the form of the request."""
    columns = points()
    names = spellings()
    numbers = {name: columns[name].tolist() for name in ("price", "volume", "bid", "ask", "timestamp_ns")}
    symbols = [names[number] for number in columns["symbol"].tolist()]
    row_values = zip(symbols, *numbers.values(), strict=True)
    requests = {
        "arrow": rpc.PredictRequest(arrow_ipc=_stream(columns, names)),
        "columns": rpc.PredictRequest(
            columns=inference_pb2.MarketDataColumns(symbol=names, symbol_index=columns["symbol"].tolist(), **numbers)
        ),
        "rows": rpc.PredictRequest(
            market_data=[
                inference_pb2.MarketDataRow(**dict(zip(("symbol", *numbers), row, strict=True))) for row in row_values
            ]
        ),
    }
    with inference_service(names) as service:
        async with channels.connect(service.address, token=TOKEN, client="bench", default_timeout_s=30) as channel:
            stub = InferenceServiceStub(channel)
            await _when_instruments_are_known(stub, requests["arrow"])
            return {form: await _median_ms(stub, request) for form, request in requests.items()}


async def _when_instruments_are_known(stub: InferenceServiceStub, request: rpc.PredictRequest) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                await stub.Predict(request)
                return
            except Unavailable:
                await asyncio.sleep(0.05)


async def _median_ms(stub: InferenceServiceStub, request: rpc.PredictRequest) -> float:
    samples = []
    for _ in range(CALLS):
        started = time.perf_counter()
        answer = await stub.Predict(request)
        samples.append((time.perf_counter() - started) * 1e3)
        assert len(answer.predictions) == ROWS
    return round(statistics.median(samples), 1)


def _stream(columns: dict[str, Any], names: list[str]) -> bytes:
    symbols = pa.DictionaryArray.from_arrays(pa.array(columns["symbol"].astype(np.int32)), pa.array(names))
    table = pa.table({**columns, "symbol": symbols})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
