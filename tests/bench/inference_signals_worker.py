"""The worker of inference.signals_100k, run as a process of its own: the service's own use case, and nothing else.

Its argument is the folder of the points. Prints one JSON object: times of whole runs and of each stage in ms, memory
by part and at its peak in MB.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
WARM_UP, RUNS, STAGE_RUNS, PYTHON_RUNS = 5, 100, 15, 2


def memory_mb(what: str) -> float:
    """VmRSS or VmHWM of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return round(int(line.split()[1]) / 1024, 1)


memory = {"python": memory_mb("VmRSS")}

import numpy as np  # noqa: E402  # what each import takes is part of the measurement

memory["numpy"] = memory_mb("VmRSS")

import msgspec  # noqa: E402
import onnxruntime as ort  # noqa: E402, F401

memory["onnxruntime"] = memory_mb("VmRSS")

from services.inference.adapters.model_files import load_model  # noqa: E402
from services.inference.adapters.onnx_session import OnnxModel, SessionRules  # noqa: E402
from services.inference.adapters.thread_workshop import ThreadWorkshop  # noqa: E402
from services.inference.domain.feature_series import Folding, step_through  # noqa: E402
from services.inference.domain.features import FEATURES, FeatureState  # noqa: E402
from services.inference.domain.markets import Markets  # noqa: E402
from services.inference.domain.model import opinions  # noqa: E402
from services.inference.domain.prediction import Prediction  # noqa: E402
from services.inference.domain.rows import Rows, by_symbol, check, following_ticks, no_spread  # noqa: E402
from services.inference.domain.signals import SignalBook, SignalRules, Target  # noqa: E402
from services.inference.usecases.predict import Asked, Predict, PredictRules, Scores  # noqa: E402
from tests.bench.inference_points import FIRST_NS, SYMBOLS, spellings  # noqa: E402
from trading.market import QuoteBlock  # noqa: E402

memory["service code"] = memory_mb("VmRSS")
SHIPPED = Path("services/inference/models/momentum-v1/1")


class _OneModel:
    """The model that is asked."""

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.names: Sequence[str] = [model.card.name]

    def get(self, name: str, version: str = "") -> OnnxModel:
        return self.model

    @asynccontextmanager
    async def hold(self, name: str, version: str = "") -> AsyncIterator[OnnxModel]:
        yield self.model

    def versions(self, name: str) -> Sequence[str]:
        return [self.model.card.version]


class _EverySymbol:
    """Takes every spelling for canonical."""

    def canonical(self, spelling: str) -> str:
        return spelling


def rows_of_points(folder: Path) -> Rows:
    """The points as a request's rows."""
    columns = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    spread, given = no_spread(len(columns["price"]))
    return Rows(symbols=spellings(), spread=spread, spread_given=given, columnar=True, **columns)


def warm_markets() -> Markets:
    """Every symbol has seen 200 quotes, so that every point is scored."""
    markets = Markets()
    for number, symbol in enumerate(spellings()):
        bid = np.rint((100 * (1 + number) + np.arange(200) % 7 * 0.01) * 1e9).astype(np.int64)
        time_ns = FIRST_NS - 10**10 + np.arange(200, dtype=np.int64) * 10**7
        size = np.full(200, 10**11)
        markets.quotes(QuoteBlock("bench", symbol, time_ns, time_ns, bid, size, bid + 10**7, size))
    return markets


def signals_of(scores: Scores, rows: Rows) -> list[Target]:
    """The signal of each symbol's newest point; the threshold makes everybody take a side."""
    book, card = SignalBook(SignalRules(threshold=0.5 + 1e-12, release=0.5)), scores.model.card
    newest = np.zeros(SYMBOLS, np.intp)
    newest[rows.symbol] = np.arange(len(rows))  # the last one stays
    targets = []
    for position in newest.tolist():
        time_ns = int(rows.timestamp_ns[position])
        prediction = Prediction(
            symbol=rows.symbols[rows.symbol[position]],
            model=card.name,
            version=card.version,
            prediction=float(scores.predictions[position]),
            confidence=float(scores.confidence[position]),
            calibrated=card.calibration is not None,
            warm=bool(scores.warm[position]),
            event_time_ns=time_ns,
            tick_receive_time_ns=time_ns,
            created_time_ns=time_ns,
            price_nanos=0,
        )
        target = book.decide(prediction, time_ns)
        if target is not None:
            targets.append(target)
    return targets


async def measured() -> dict[str, object]:
    """Whole runs first, then each stage alone on one thread, then tick by tick in Python."""
    model = load_model(SHIPPED, SessionRules())
    memory["model"] = memory_mb("VmRSS")
    rows, markets, workshop = rows_of_points(Path(sys.argv[1])), warm_markets(), ThreadWorkshop()
    memory["100,000 points"] = memory_mb("VmRSS")
    predict = Predict(_OneModel(model), markets, _EverySymbol(), workshop, PredictRules())

    async def run() -> tuple[Scores, list[Target]]:
        scores = await predict(Asked("", "", len(rows), lambda: rows))
        return scores, signals_of(scores, rows)

    samples: list[float] = []
    processor: list[float] = []
    scores: Scores | None = None
    targets: list[Target] = []
    for number in range(WARM_UP + RUNS):
        scores = None  # the answer before has been sent
        started, worked = time.perf_counter(), time.process_time()
        scores, targets = await run()
        if number >= WARM_UP:
            samples.append((time.perf_counter() - started) * 1e3)
            processor.append((time.process_time() - worked) * 1e3)
    assert scores is not None
    assert scores.warm.all(), "every point is scored"
    memory["a run, at its peak"] = memory_mb("VmHWM")
    peak = memory["a run, at its peak"]
    stages = dict(_stages(model, markets, rows, scores))
    workshop.close()
    model.close()
    return {
        "samples": samples,
        "processor_ms": round(sorted(processor)[RUNS // 2], 1),
        "signals": len(targets),
        "peak_mb": peak,
        "memory_mb": memory,
        "stages_ms": stages,
    }


def _stages(model: OnnxModel, markets: Markets, rows: Rows, scores: Scores) -> Iterator[tuple[str, float]]:
    series = list(by_symbol(rows, rows.symbols))
    table = np.empty((len(rows), len(FEATURES)), np.float32)
    folding = Folding()

    def features() -> None:
        for symbol, positions in series:
            state = _state(markets, symbol)
            part = np.empty((len(positions), len(FEATURES)), np.float32)
            folding.fold(state, following_ticks(state, rows, positions), part)
            table[positions] = part

    def features_in_python() -> None:
        for symbol, positions in series:
            state = _state(markets, symbol)
            part = np.empty((len(positions), len(FEATURES)), np.float32)
            step_through(state, following_ticks(state, rows, positions), part)

    yield "check and group", _median_ms(lambda: (check(rows), list(by_symbol(rows, rows.symbols))))
    yield "features", _median_ms(features)
    yield "inference", _median_ms(lambda: [model.run(table[at : at + 2048]) for at in range(0, len(table), 2048)])
    logits = np.concatenate([model.run(table[at : at + 2048]) for at in range(0, len(table), 2048)])
    yield "calibration", _median_ms(lambda: opinions(model.card, logits))
    yield "signals", _median_ms(lambda: signals_of(scores, rows))
    yield "features in plain Python", _median_ms(features_in_python, PYTHON_RUNS)


def _state(markets: Markets, symbol: str) -> FeatureState:
    live = markets.newest(symbol)
    assert live is not None
    return live.copy()


def _median_ms(work: Callable[[], T], runs: int = STAGE_RUNS) -> float:
    samples = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        samples.append((time.perf_counter() - started) * 1e3)
    return round(sorted(samples)[len(samples) // 2], 2)


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(measured())).decode())
