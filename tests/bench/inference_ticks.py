"""The live path: what one tick costs by stage in one process, and from a block on NATS to its prediction on NATS."""

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fleet import subjects
from fleet.blocks import decode_quotes, encode_quotes
from fleet.bus import Bus, connect
from fleet.consumption import Message
from fleet.metrics import Metrics
from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.markets import Markets
from services.inference.domain.model import opinion
from services.inference.domain.prediction import Prediction
from services.inference.domain.signals import SignalBook, SignalRules
from services.inference.translate.opinions import prediction_message
from tests.bench.fleet import tcp_echo_us
from tests.bench.inference_points import spellings
from tests.bench.inference_service import inference_service
from tests.bench.inference_signals_worker import SHIPPED
from tests.bench.result import Result, beside, of_samples
from trading.market import QuoteBlock
from trading.money import from_float

STAGES = ("read the block", "features", "inference", "signal", "write the prediction")
SEED_US = {"market data": 2, "features": 8, "inference": 25, "risk": 7, "order": 3}
WARM_UP, TICKS, BLOCKS = 500, 20_000, 3_000


def tick_path() -> Iterator[Result]:
    """Features and inference inline, one tick a block, ten symbols in turn."""
    samples = asyncio.run(_ticks())
    stages = {name: _percentiles(samples[:, number]) for number, name in enumerate(STAGES)}
    extra = {"stages_us": stages, "whole_us": _percentiles(samples.sum(axis=1)), "seed_us": SEED_US}
    yield of_samples("inference.tick_path", "µs", (samples[:, 1] + samples[:, 2]).tolist(), extra=extra)


def block_to_prediction() -> Iterator[Result]:
    """One tick at a time: published, read by the service, predicted, published, and heard."""
    samples = asyncio.run(_round_trips())
    result = of_samples("inference.block_to_prediction", "µs", samples)
    yield beside(result, "TCP echo, 100 bytes", "asyncio-free floor", tcp_echo_us(), ratio_of="ours/floor")


def _percentiles(samples: np.ndarray) -> dict[str, float]:
    p50, p99 = np.percentile(samples, (50, 99))
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def blocks_of(symbol: str, count: int, seed: int = 1) -> list[bytes]:
    """Blocks of one quote each, 50 ms apart, as they come from NATS."""
    random = np.random.default_rng(seed)
    bid = np.rint(100e9 * np.exp(np.cumsum(random.standard_normal(count) * 1e-4)) / 1e7).astype(np.int64) * 10**7
    sizes = random.integers(1, 50, (2, count)) * 10**11
    now_ns = time.time_ns() - count * 50_000_000
    payloads = []
    for place in range(count):
        one = slice(place, place + 1)
        time_ns = np.array([now_ns + place * 50_000_000])
        columns = (time_ns, time_ns + 1_000, bid[one], sizes[0, one], bid[one] + 10**7, sizes[1, one])
        payloads.append(encode_quotes(QuoteBlock("bench", symbol, *columns), place, "bench"))
    return payloads


async def _ticks() -> np.ndarray:
    """Nanoseconds as µs: one row a tick, one column a stage."""
    model, markets, book = load_model(SHIPPED, SessionRules()), Markets(), SignalBook(SignalRules())
    each = (WARM_UP + TICKS) // 10
    streams = [blocks_of(symbol, each, seed) for seed, symbol in enumerate(spellings())]
    payloads = [payload for together in zip(*streams, strict=True) for payload in together]
    taken = np.empty((len(payloads), len(STAGES)))
    for number, payload in enumerate(payloads):
        taken[number] = await _tick(model, markets, book, payload)
    model.close()
    return taken[WARM_UP + 1_500 :]


async def _tick(model: OnnxModel, markets: Markets, book: SignalBook, payload: bytes) -> tuple[float, ...]:
    """What `usecases.follow` does with a tick, with a clock between the stages."""
    now = time.perf_counter_ns
    card, began = model.card, now()
    block, _, _ = decode_quotes(payload)
    read = now()
    markets.quotes(block)
    state = markets.of(block.venue, block.symbol)
    row = state.features()
    felt = now()
    said = opinion(card, await model.logit(row))
    inferred = now()
    time_ns = int(block.event_time_ns[-1])
    prediction = Prediction(
        block.symbol,
        card.name,
        card.version,
        said.prediction,
        said.confidence,
        card.calibration is not None,
        state.warm,
        time_ns,
        int(block.receive_time_ns[-1]),
        time_ns,
        from_float(state.price),
    )
    book.decide(prediction, time_ns)
    decided = now()
    prediction_message(prediction).SerializeToString()
    ended = now()
    edges = (began, read, felt, inferred, decided, ended)
    return tuple((after - before) / 1e3 for before, after in pairwise(edges))


async def _round_trips() -> list[float]:
    symbol = "SYM0"
    payloads = blocks_of(symbol, WARM_UP + BLOCKS)
    with inference_service([symbol]) as service:
        async with connect(service.nats_url, "bench", Metrics()) as bus:
            heard: asyncio.Queue[Message] = asyncio.Queue()
            listening = asyncio.create_task(bus.listen(subjects.prediction("momentum-v1", symbol), heard.put))
            await asyncio.sleep(0)
            await bus.flush()
            samples = [await _round_trip(bus, symbol, payload, heard) for payload in payloads]
            listening.cancel()
    return samples[WARM_UP:]


async def _round_trip(bus: Bus, symbol: str, payload: bytes, heard: "asyncio.Queue[Message]") -> float:
    started = time.perf_counter_ns()
    await bus.publish(subjects.quote("bench", symbol), payload)
    async with asyncio.timeout(10):
        await heard.get()
    return (time.perf_counter_ns() - started) / 1e3
