"""Signals of inference in words of the trade."""

from google.protobuf.message import DecodeError

from neuraltrader.inference.v1 import inference_pb2
from services.execution.domain.signals import Signal, SignalSide
from services.execution.translate.words import word
from trading.errors import InvalidArgument

_SIGNAL_SIDES = {
    inference_pb2.SIGNAL_SIDE_BUY: SignalSide.BUY,
    inference_pb2.SIGNAL_SIDE_SELL: SignalSide.SELL,
    inference_pb2.SIGNAL_SIDE_FLAT: SignalSide.FLAT,
}


def signal(payload: bytes) -> Signal:
    """A signal as inference published it; raises InvalidArgument when it is none."""
    message = inference_pb2.Signal()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not a signal.", bytes=len(payload)) from error
    return Signal(
        id=message.id,
        symbol=message.symbol,
        side=word(_SIGNAL_SIDES, message.side, "side"),
        strength=message.strength,
        confidence=message.confidence,
        model=message.model,
        expires_ns=message.expires_ns,
        tick_receive_time_ns=message.tick_receive_time_ns,
        price_nanos=message.price_nanos,
        stale=message.stale,
    )
