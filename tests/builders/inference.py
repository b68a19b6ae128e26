"""Nouns of inference for tests: blocks, ticks, predictions, models on disk."""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.domain.calibration import Calibration
from services.inference.domain.feature_series import Ticks
from services.inference.domain.features import FEATURES
from services.inference.domain.mlp import Network, Scaler
from services.inference.domain.model import ModelCard
from services.inference.domain.prediction import Prediction
from services.inference.domain.rows import Rows
from services.inference.starter.graph import onnx_bytes
from services.inference.translate.rows import numbered
from trading.market import QuoteBlock, TradeBlock

SECOND_NS = 1_000_000_000
NOON_NS = 1_700_000_000 * SECOND_NS
CENT_NANOS = 10_000_000


def nanos(values: Sequence[float]) -> np.ndarray:
    """Amounts in units as an int64 column of nanos."""
    return np.rint(np.asarray(values) * 1e9).astype(np.int64)


def a_quote_block(
    bids: Sequence[float] = (100.0,),
    asks: Sequence[float] | None = None,
    *,
    symbol: str = "AAPL",
    venue: str = "paper",
    bid_sizes: Sequence[float] | None = None,
    ask_sizes: Sequence[float] | None = None,
    start_ns: int = NOON_NS,
    step_ns: int = SECOND_NS // 20,
    receive_delay_ns: int = 1_000,
) -> QuoteBlock:
    """Quotes a cent wide, 50 ms apart, of 100 units a side."""
    count = len(bids)
    event_time_ns = start_ns + np.arange(count, dtype=np.int64) * step_ns
    return QuoteBlock(
        venue,
        symbol,
        event_time_ns,
        event_time_ns + receive_delay_ns,
        nanos(bids),
        nanos(bid_sizes if bid_sizes is not None else [100.0] * count),
        nanos(asks if asks is not None else np.asarray(bids) + 0.01),
        nanos(ask_sizes if ask_sizes is not None else [100.0] * count),
    )


def a_trade_block(
    prices: Sequence[float] = (100.0,),
    *,
    symbol: str = "AAPL",
    venue: str = "paper",
    sizes: Sequence[float] | None = None,
    sides: Sequence[int] | None = None,
    start_ns: int = NOON_NS,
) -> TradeBlock:
    """Trades of ten units, 50 ms apart, whose aggressor is hidden."""
    count = len(prices)
    time_ns = start_ns + np.arange(count, dtype=np.int64) * (SECOND_NS // 20)
    return TradeBlock(
        venue,
        symbol,
        time_ns,
        time_ns + 1_000,
        nanos(prices),
        nanos(sizes if sizes is not None else [10.0] * count),
        np.asarray(sides if sides is not None else [0] * count, np.int64),
        ("",) * count,
    )


def a_walk(count: int, seed: int = 1, *, volatility: float = 2e-4) -> np.ndarray:
    """Bids of a random walk from 100, in cents."""
    moves = np.random.default_rng(seed).standard_normal(count) * volatility
    return np.round(100 * np.exp(np.cumsum(moves)), 2)


def some_ticks(count: int, seed: int = 1, *, trades: bool = True) -> Ticks:
    """Ticks of a random walk with random sizes and, if asked, random trades."""
    random = np.random.default_rng(seed)
    bid = a_walk(count, seed)
    ask = bid + random.integers(0, 4, count) * 0.01
    bid_size, ask_size = random.integers(0, 50, (2, count)) * 100.0
    number = random.poisson(0.5, count) * float(trades)
    volume = number * random.exponential(100, count)
    signs = np.rint(number * random.uniform(-1, 1, count))
    return Ticks((bid + ask) * 0.5, bid, ask, bid_size, ask_size, volume, number, signs)


def some_rows(count: int = 1, of: Sequence[str] = ("AAPL",), **columns: Any) -> Rows:
    """Rows that fit a market around 100; `columns` replace what they name, `of` goes round."""
    symbols, numbers = numbered([of[row % len(of)] for row in range(count)])
    given: dict[str, Any] = {
        "symbols": symbols,
        "symbol": numbers,
        "price": np.full(count, 100.0),
        "volume": np.zeros(count),
        "bid": np.full(count, 99.99),
        "ask": np.full(count, 100.01),
        "spread": np.zeros(count),
        "spread_given": np.zeros(count, np.bool_),
        "timestamp_ns": np.full(count, NOON_NS),
    }
    return Rows(**(given | columns))


def walking_rows(count: int, symbols: Sequence[str] = ("AAPL",), seed: int = 1, *, volumes: float = 0.5) -> Rows:
    """Rows of random walks, symbols in turn and milliseconds apart; a share of `volumes` of them trades."""
    random = np.random.default_rng(seed)
    price = np.empty(count)
    for number in range(len(symbols)):
        own = price[number :: len(symbols)]
        own[:] = np.round(100 * np.exp(np.cumsum(random.standard_normal(len(own)) * 2e-4)), 2)
    half = random.integers(1, 4, count) * 0.005
    volume = np.where(random.random(count) < volumes, random.integers(1, 9, count) * 100.0, 0.0)
    return some_rows(
        count,
        symbols,
        price=price,
        volume=volume,
        bid=price - half,
        ask=price + half,
        timestamp_ns=NOON_NS + np.arange(count, dtype=np.int64) * 1_000_000,
    )


def a_card(**changes: Any) -> ModelCard:
    """A calibrated model's card."""
    given: dict[str, Any] = {
        "name": "test-model",
        "version": "1",
        "sha256": "0" * 64,
        "features": FEATURES,
        "horizon_ns": SECOND_NS // 2,
        "calibration": Calibration(1.0, 0.0),
        "training_data": "Nothing real.",
        "metrics": {"brier_skill": 0.1},
        "code_version": "test",
    }
    return ModelCard(**(given | changes))


def a_prediction(up: float = 0.7, **changes: Any) -> Prediction:
    """A warm, calibrated prediction with this probability of "up"."""
    given: dict[str, Any] = {
        "symbol": "AAPL",
        "model": "test-model",
        "version": "1",
        "prediction": 2 * up - 1,
        "confidence": max(up, 1 - up),
        "calibrated": True,
        "warm": True,
        "event_time_ns": NOON_NS,
        "tick_receive_time_ns": NOON_NS + 1_000,
        "created_time_ns": NOON_NS + 2_000,
        "price_nanos": 100 * SECOND_NS,
    }
    return Prediction(**(given | changes))


def a_network(seed: int = 1, inputs: int = len(FEATURES), *, scale: float = 0.3) -> Network:
    """A small network with random weights."""
    random = np.random.default_rng(seed)
    sizes = (inputs, 8, 1)
    return Network(
        Scaler(
            random.standard_normal(inputs).astype(np.float32),
            random.uniform(0.5, 2.0, inputs).astype(np.float32),
        ),
        tuple((scale * random.standard_normal(pair)).astype(np.float32) for pair in pairwise(sizes)),
        tuple(random.standard_normal(size).astype(np.float32) for size in sizes[1:]),
    )


def a_model_directory(root: Path, name: str = "test-model", version: str = "1", **changes: Any) -> Path:
    """A version of a model on disk; `changes` replace fields of the manifest, `payload` the model file."""
    payload = changes.pop("payload", None) or onnx_bytes(a_network(), name)
    manifest = {
        "name": name,
        "version": version,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "features": FEATURES,
        "horizon_ns": SECOND_NS // 2,
        "calibration": {"slope": 1.0, "intercept": 0.0},
        "training_data": "Nothing real.",
        "metrics": {"brier_skill": 0.1},
        "code_version": "test",
    }
    directory = root / name / version
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(payload)
    (directory / "manifest.json").write_text(json.dumps(manifest | changes))
    return directory
