"""What the service says of a symbol at a tick: a prediction, and the signal that may follow from it."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's opinion of one symbol at one tick; times in ns UTC, price in nanos."""

    symbol: str
    model: str
    version: str
    prediction: float
    confidence: float
    calibrated: bool
    warm: bool
    event_time_ns: int
    tick_receive_time_ns: int
    created_time_ns: int
    price_nanos: int


class SignalSide(StrEnum):
    """Which way a signal points."""

    BUY = "BUY"
    SELL = "SELL"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True)
class Signal:
    """A wish for a target position of ±strength × notional, made from a prediction; times in ns UTC."""

    id: str
    side: SignalSide
    strength: float
    horizon_ns: int
    created_time_ns: int
    expires_ns: int
    stale: bool
    prediction: Prediction
