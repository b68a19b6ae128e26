"""The inference service as a process: real NATS, real gRPC, real ONNX Runtime."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from builders.inference import a_model_directory, a_quote_block, a_trade_block, a_walk
from servers import REPOSITORY, free_port, nats_server, process, wait_until

from fleet import channels, subjects
from fleet.blocks import encode_quotes, encode_trades
from fleet.bus import Bus, Message, connect
from fleet.metrics import Metrics
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as pb
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.market_data.v1 import market_data_pb2, market_data_service_pb2, market_data_service_pb2_grpc
from services.inference.domain.features import FEATURES, WARM_UP_TICKS
from trading.errors import InvalidArgument, TradingError, Unauthenticated, UnknownModel, UnknownSymbol

TOKEN = "a-token-of-the-tests"
STEP_NS = 50_000_000


@dataclass(frozen=True)
class Inference:
    """Where the service is."""

    child: "subprocess.Popen[bytes]"
    nats_url: str
    grpc_port: int


class MarketData(market_data_service_pb2_grpc.MarketDataServiceServicer):
    """Knows the symbols of these tests, one for each so that they do not meet."""

    def ListInstruments(self, request: Any, context: Any) -> market_data_service_pb2.ListInstrumentsResponse:
        known = [market_data_pb2.Instrument(symbol=symbol) for symbol in ("AAPL", "SCORED", "MANY", "COLD", "WAYS")]
        return market_data_service_pb2.ListInstrumentsResponse(instruments=known)

    GetQuote = StreamQuotes = ListBars = GetInstrument = GetStats = None


@pytest.fixture(scope="module")
def market_data() -> Iterator[str]:
    """A market_data that knows its instruments, on threads of its own."""
    server = grpc.server(ThreadPoolExecutor(2))
    market_data_service_pb2_grpc.add_MarketDataServiceServicer_to_server(MarketData(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, market_data: str) -> Iterator["Inference"]:
    """One service for the tests that do not stop it, on a nats-server of its own."""
    folder = tmp_path_factory.mktemp("inference")
    with nats_server(folder) as url, running(url, market_data, folder) as service:
        yield service


@contextmanager
def running(nats_url: str, market_data: str, data_dir: Path, **settings: str) -> Iterator["Inference"]:
    """The service, from its start until it is ready and to its end."""
    grpc_port, metrics_port = free_port(), free_port()
    env = {
        "NATS_URL": nats_url,
        "NT_MARKET_DATA_ADDRESS": market_data,
        "NT_DATA_DIR": str(data_dir),
        "NT_GRPC_PORT": str(grpc_port),
        "NT_METRICS_PORT": str(metrics_port),
        "NT_INTERNAL_TOKEN": TOKEN,
        "NT_INSTRUMENTS_RETRY_S": "0.05",
        **settings,
    }
    command = [sys.executable, "-m", "services.inference"]
    with process(command, env=env, log=data_dir / "inference.log") as child:
        wait_until(lambda: child.poll() is not None or is_ready(metrics_port), "inference")
        assert child.poll() is None, (data_dir / "inference.log").read_text()
        yield Inference(child, nats_url, grpc_port)


def is_ready(metrics_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
async def stub(shared: Inference) -> AsyncIterator[InferenceServiceStub]:
    """A caller who shows the token."""
    async with channels.connect(
        f"127.0.0.1:{shared.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
    ) as channel:
        yield InferenceServiceStub(channel)


@pytest.fixture
async def market(shared: Inference) -> AsyncIterator[Bus]:
    """A connection to the service's nats-server."""
    async with connect(shared.nats_url, "market", Metrics()) as bus:
        yield bus


class Ear:
    """Collects what a subject carries."""

    def __init__(self, bus: Bus, subject: str, kind: Any) -> None:
        self.heard: list[Any] = []
        self._kind = kind
        self._grown = asyncio.Condition()
        self._task = asyncio.create_task(bus.listen(subject, self._take))

    async def _take(self, message: Message) -> None:
        async with self._grown:
            self.heard.append(self._kind.FromString(message.payload))
            self._grown.notify_all()

    async def at_least(self, count: int) -> Sequence[Any]:
        """What was heard, once it is that much."""
        async with asyncio.timeout(60), self._grown:
            await self._grown.wait_for(lambda: len(self.heard) >= count)
        return self.heard


async def predictions_of(bus: Bus, symbol: str) -> Ear:
    """What is predicted of one symbol from now on."""
    ear = Ear(bus, subjects.prediction("momentum-v1", symbol), inference_pb2.Prediction)
    await asyncio.sleep(0)  # lets it subscribe
    await bus.flush()
    return ear


async def send_quotes(
    bus: Bus, symbol: str, bids: np.ndarray, first: int = 0, *, later_ns: int = 0, **columns: Any
) -> None:
    """Publish a block whose newest tick was read just now, or so much later."""
    start_ns = time.time_ns() - len(bids) * STEP_NS + later_ns
    block = a_quote_block(bids, symbol=symbol, start_ns=start_ns, step_ns=STEP_NS, **columns)
    await bus.publish(subjects.quote("paper", symbol), encode_quotes(block, first, "feed"))
    await bus.flush()


async def warm_up(bus: Bus, symbol: str) -> None:
    """Return once the service has warm features of a symbol."""
    predictions = await predictions_of(bus, symbol)
    await send_quotes(bus, symbol, a_walk(WARM_UP_TICKS * 2))
    assert (await predictions.at_least(1))[0].warm


def a_row(symbol: str = "SCORED", **changes: Any) -> inference_pb2.MarketDataRow:
    given = {"price": 100.0, "volume": 0.0, "bid": 99.99, "ask": 100.01, "timestamp_ns": 1}
    return inference_pb2.MarketDataRow(symbol=symbol, **(given | changes))


async def when_instruments_are_known(stub: InferenceServiceStub, request: pb.PredictRequest) -> pb.PredictResponse:
    """Call again while the service has not yet heard from market_data."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await stub.Predict(request)
            except TradingError as error:
                if error.reason != "UNAVAILABLE":
                    raise


async def test_blocks_of_quotes_become_predictions_and_signals(market: Bus, stub: InferenceServiceStub) -> None:
    signals = Ear(market, subjects.signal("momentum-v1", "AAPL"), inference_pb2.Signal)
    predictions = await predictions_of(market, "AAPL")
    before = await stub.GetStats(pb.GetStatsRequest())
    await send_quotes(market, "AAPL", a_walk(WARM_UP_TICKS - 1))
    cold = (await predictions.at_least(1))[0]
    assert (cold.symbol, cold.model, cold.warm, cold.confidence) == ("AAPL", "momentum-v1", False, 0.5)
    count = WARM_UP_TICKS - 1
    await market.publish(subjects.trade("paper", "AAPL"), encode_trades(a_trade_block([200.0] * 200), 0, "feed"))
    rising = np.linspace(100, 101, 200).round(2)
    await send_quotes(market, "AAPL", rising, first=count, bid_sizes=[900.0] * 200, ask_sizes=[100.0] * 200)
    warm = (await predictions.at_least(2))[1]
    assert (warm.warm, warm.calibrated) == (True, True)
    assert warm.prediction > 0.1, "a rising market with a heavy bid is what a burst looks like"
    assert warm.created_time_ns >= cold.created_time_ns
    signal = (await signals.at_least(1))[0]
    assert signal.side == inference_pb2.SIGNAL_SIDE_BUY
    assert signal.confidence == warm.confidence
    assert signal.expires_ns > signal.created_time_ns
    stats = await stub.GetStats(pb.GetStatsRequest())
    assert stats.ticks - before.ticks == count + 200
    assert stats.predictions - before.predictions == 2
    assert stats.signals - before.signals == len(signals.heard)
    assert stats.tick_to_signal.p50_ns > 0


async def test_ticks_missed_on_the_way_are_counted(market: Bus, stub: InferenceServiceStub) -> None:
    predictions = await predictions_of(market, "GAPS")
    before = await stub.GetStats(pb.GetStatsRequest())
    await send_quotes(market, "GAPS", a_walk(10))
    await send_quotes(market, "GAPS", a_walk(5), first=17)
    await predictions.at_least(2)
    stats = await stub.GetStats(pb.GetStatsRequest())
    assert (stats.ticks - before.ticks, stats.missed_ticks - before.missed_ticks) == (15, 7)


async def test_what_is_no_block_is_left_and_the_next_one_is_read(market: Bus) -> None:
    predictions = await predictions_of(market, "GARBAGE")
    for subject in (subjects.quote("paper", "GARBAGE"), subjects.trade("paper", "GARBAGE")):
        await market.publish(subject, b"\xff garbage")
        await market.publish(subject, b"")
    await send_quotes(market, "GARBAGE", a_walk(3))
    assert (await predictions.at_least(1))[0].symbol == "GARBAGE"


async def test_predict_scores_rows_and_never_moves_the_market(market: Bus, stub: InferenceServiceStub) -> None:
    await warm_up(market, "SCORED")
    request = pb.PredictRequest(market_data=[a_row(), a_row("COLD"), a_row(price=101.0, volume=50.0)])
    first = await when_instruments_are_known(stub, request)
    assert list(first.warm) == [True, False, True]
    assert (first.predictions[1], first.confidence[1]) == (0.0, 0.5)
    assert first.predictions[0] != first.predictions[2]
    assert (first.model, first.version, first.device, first.calibrated) == ("momentum-v1", "1", "cpu", True)
    assert first.latency_ms > 0
    again = await stub.Predict(request)
    assert list(again.predictions) == list(first.predictions)


@pytest.mark.parametrize(
    ("request_", "error", "field"),
    [
        (pb.PredictRequest(model="nobody", market_data=[a_row()]), UnknownModel, None),
        (pb.PredictRequest(market_data=[a_row(), a_row("NOPE")]), UnknownSymbol, None),
        (pb.PredictRequest(market_data=[a_row("")]), InvalidArgument, "symbol"),
        (pb.PredictRequest(market_data=[a_row(), a_row(price=float("nan"))]), InvalidArgument, "market_data[1].price"),
        (pb.PredictRequest(market_data=[a_row(ask=float("inf"))]), InvalidArgument, "market_data[0].ask"),
        (pb.PredictRequest(market_data=[a_row(volume=-1.0)]), InvalidArgument, "market_data[0].volume"),
        (pb.PredictRequest(market_data=[a_row(spread=1.0)]), InvalidArgument, "market_data[0].spread"),
    ],
)
async def test_what_cannot_be_scored_is_refused_by_name(
    stub: InferenceServiceStub, request_: pb.PredictRequest, error: type[TradingError], field: str | None
) -> None:
    with pytest.raises(error) as refused:
        await when_instruments_are_known(stub, request_)
    if field:
        assert refused.value.metadata["field"] == field


async def test_a_large_request_is_answered_row_by_row(market: Bus, stub: InferenceServiceStub) -> None:
    await warm_up(market, "MANY")
    rows = [a_row("MANY", price=100 + number / 1e5) for number in range(10_000)]
    answer = await when_instruments_are_known(stub, pb.PredictRequest(market_data=rows))
    assert len(answer.predictions) == len(answer.confidence) == len(answer.warm) == 10_000
    assert all(answer.warm)


async def test_models_can_be_listed_and_asked_for(stub: InferenceServiceStub) -> None:
    listed, sequence = (await stub.ListModels(pb.ListModelsRequest())).models
    assert (listed.name, list(listed.versions), listed.device) == ("momentum-v1", ["1"], "cpu")
    assert (sequence.name, sequence.architecture, sequence.sequence_length) == ("neural-momentum-v1", "tcn", 31)
    assert listed.trainable
    assert sequence.trainable
    assert len(listed.sha256) == 64
    assert (await stub.GetModel(pb.GetModelRequest(name="momentum-v1"))).model == listed
    with pytest.raises(UnknownModel):
        await stub.GetModel(pb.GetModelRequest(name="nobody"))


async def test_a_caller_without_the_token_is_turned_away(shared: Inference) -> None:
    async with channels.connect(
        f"127.0.0.1:{shared.grpc_port}", token="wrong", client="test", default_timeout_s=60
    ) as channel:
        with pytest.raises(Unauthenticated):
            await InferenceServiceStub(channel).GetStats(pb.GetStatsRequest())


async def test_it_offers_own_models_restarts_cold_and_stops_with_exit_code_0(
    shared: Inference, market: Bus, own_nats_url: str, market_data: str, tmp_path: Path
) -> None:
    a_model_directory(tmp_path / "models", "mine", "7")
    await warm_up(market, "RESTARTED")
    with running(own_nats_url, market_data, tmp_path) as service:
        async with (
            channels.connect(
                f"127.0.0.1:{service.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
            ) as channel,
            connect(own_nats_url, "market", Metrics()) as bus,
        ):
            listed = (await InferenceServiceStub(channel).ListModels(pb.ListModelsRequest())).models
            predictions = await predictions_of(bus, "RESTARTED")
            await send_quotes(bus, "RESTARTED", a_walk(5), first=WARM_UP_TICKS * 2)
            assert not (await predictions.at_least(1))[0].warm
        service.child.terminate()
        await asyncio.to_thread(service.child.wait, 20)
    assert [model.name for model in listed] == ["mine", "momentum-v1", "neural-momentum-v1"]
    assert service.child.returncode == 0


def test_a_default_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    env = {**os.environ, "NT_DATA_DIR": str(tmp_path), "NT_DEFAULT_MODEL": "nobody"}
    command = [sys.executable, "-m", "services.inference", "--grpc-port", "1", "--metrics-port", "1"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "No model is called 'nobody'." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_hot_process_carries_no_heavy_library() -> None:
    heavy = ("polars", "pandas", "pyarrow", "scipy", "onnx", "sqlalchemy", "fastapi")
    code = f"import services.inference.wiring, sys, json; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert json.loads(found.stdout) == []


async def test_rows_columns_and_arrow_are_answered_alike(market: Bus, stub: InferenceServiceStub) -> None:
    await warm_up(market, "WAYS")
    count = 3_000
    given: dict[str, Any] = {
        "symbol": ["WAYS", "COLD"] * (count // 2),
        "price": [100 + row / 1e5 for row in range(count)],
        "volume": [float(row % 3) for row in range(count)],
        "timestamp_ns": [row * 1_000 for row in range(count)],
        "bid": [99.99 + row / 1e5 for row in range(count)],
        "ask": [100.01 + row / 1e5 for row in range(count)],
    }
    sink = pa.BufferOutputStream()
    table = pa.table(given)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    rows = [
        inference_pb2.MarketDataRow(**dict(zip(given, row, strict=True))) for row in zip(*given.values(), strict=True)
    ]
    by_rows = await when_instruments_are_known(stub, pb.PredictRequest(market_data=rows))
    by_columns = await stub.Predict(pb.PredictRequest(columns=inference_pb2.MarketDataColumns(**given)))
    by_arrow = await stub.Predict(pb.PredictRequest(arrow_ipc=bytes(sink.getvalue().to_pybytes())))
    for answer in (by_columns, by_arrow):
        for name in ("predictions", "confidence", "warm", "model", "version", "device"):
            assert getattr(answer, name) == getattr(by_rows, name), name
    assert sum(by_rows.warm) == count - WARM_UP_TICKS + 1, "the cold one is warmed up by its own rows"


async def test_a_version_that_is_not_there_is_not_found(stub: InferenceServiceStub) -> None:
    with pytest.raises(UnknownModel):
        await stub.Predict(pb.PredictRequest(version="99", market_data=[a_row()]))


async def test_drift_is_told_by_call_and_in_the_metrics(market: Bus, stub: InferenceServiceStub) -> None:
    predictions = await predictions_of(market, "DRIFTS")
    await send_quotes(market, "DRIFTS", a_walk(WARM_UP_TICKS))
    for number in range(3):
        bids = np.array([100.0 + number])
        await send_quotes(market, "DRIFTS", bids, WARM_UP_TICKS + number, later_ns=(1 + number) * 10**9)
    await predictions.at_least(4)
    drift = (await stub.GetDrift(pb.GetDriftRequest())).drift
    assert (drift.model, drift.version) == ("momentum-v1", "1")
    assert drift.outcomes >= 2
    assert 0 <= drift.rolling_brier <= 1
    assert 0 <= drift.hit_rate <= 1
    assert [each.feature for each in drift.features] == list(FEATURES), "the shipped model says where its data lay"
    with pytest.raises(UnknownModel):
        await stub.GetDrift(pb.GetDriftRequest(model="nobody"))
