"""Between the words of inference and their wire form."""

from collections.abc import Sequence

import numpy as np

from fleet.latency import LatencyWindow
from neuraltrader.common.v1 import common_pb2
from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.domain.prediction import Prediction, Signal, SignalSide
from services.inference.domain.rows import Rows
from services.inference.ports import Model

_SIDES = {
    SignalSide.BUY: pb.SIGNAL_SIDE_BUY,
    SignalSide.SELL: pb.SIGNAL_SIDE_SELL,
    SignalSide.FLAT: pb.SIGNAL_SIDE_FLAT,
}


def rows_of(messages: Sequence[pb.MarketDataRow]) -> Rows:
    """Read rows into columns; nothing is judged here."""
    return Rows(
        symbol=[row.symbol for row in messages],
        price=np.array([row.price for row in messages], np.float64),
        volume=np.array([row.volume for row in messages], np.float64),
        bid=np.array([row.bid for row in messages], np.float64),
        ask=np.array([row.ask for row in messages], np.float64),
        spread=np.array([row.spread for row in messages], np.float64),
        spread_given=np.array([row.HasField("spread") for row in messages], np.bool_),
        timestamp_ns=np.array([row.timestamp_ns for row in messages], np.int64),
    )


def prediction_message(prediction: Prediction) -> pb.Prediction:
    """The wire form of a prediction."""
    return pb.Prediction(
        symbol=prediction.symbol,
        model=prediction.model,
        version=prediction.version,
        prediction=prediction.prediction,
        confidence=prediction.confidence,
        calibrated=prediction.calibrated,
        warm=prediction.warm,
        event_time_ns=prediction.event_time_ns,
        tick_receive_time_ns=prediction.tick_receive_time_ns,
        created_time_ns=prediction.created_time_ns,
        price_nanos=prediction.price_nanos,
    )


def signal_message(signal: Signal) -> pb.Signal:
    """The wire form of a signal."""
    behind = signal.prediction
    return pb.Signal(
        id=signal.id,
        symbol=behind.symbol,
        side=_SIDES[signal.side],
        strength=signal.strength,
        confidence=behind.confidence,
        horizon_ns=signal.horizon_ns,
        model=behind.model,
        version=behind.version,
        event_time_ns=behind.event_time_ns,
        tick_receive_time_ns=behind.tick_receive_time_ns,
        created_time_ns=signal.created_time_ns,
        expires_ns=signal.expires_ns,
        stale=signal.stale,
        price_nanos=behind.price_nanos,
    )


def model_message(model: Model, versions: Sequence[str]) -> pb.Model:
    """The wire form of a model."""
    card, running = model.card, model.running
    return pb.Model(
        name=card.name,
        version=card.version,
        versions=versions,
        features=card.features,
        horizon_ns=card.horizon_ns,
        calibrated=card.calibration is not None,
        device=running.device,
        sha256=card.sha256,
        training_data=card.training_data,
        metrics=dict(card.metrics),
        load_ms=running.load_ms,
    )


def latency_message(window: LatencyWindow) -> common_pb2.Latency:
    """The wire form of a latency window."""
    summary = window.summary()
    return common_pb2.Latency(
        p50_ns=summary.p50_ns, p99_ns=summary.p99_ns, mean_ns=summary.mean_ns, count=summary.count
    )
