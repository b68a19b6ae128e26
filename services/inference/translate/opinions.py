"""Predictions and signals on the wire."""

from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.domain.prediction import Prediction, Signal, SignalSide

_SIDES = {
    SignalSide.BUY: pb.SIGNAL_SIDE_BUY,
    SignalSide.SELL: pb.SIGNAL_SIDE_SELL,
    SignalSide.FLAT: pb.SIGNAL_SIDE_FLAT,
}


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
