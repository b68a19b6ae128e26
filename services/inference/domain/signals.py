"""When predictions become a signal: hysteresis, cool-down and re-affirmation, per symbol."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.inference.domain.prediction import Prediction, SignalSide

BUY, SELL, FLAT = SignalSide.BUY, SignalSide.SELL, SignalSide.FLAT

REPLAY_LAG_NS = 60_000_000_000
"""A tick whose event time lies further back than this was not made now: it is being replayed."""

SignalClock = Literal["auto", "receive", "event"]


@dataclass(frozen=True, slots=True)
class SignalRules:
    """When to speak.

    A side is taken when the confidence in it reaches `threshold` and kept until it falls below `release`. Within
    `cooldown_ns` of a symbol's signal none follows. After that a changed side, a strength changed by
    `strength_step`, or `reaffirm_ns` of silence while a side is held make the next one.
    """

    threshold: float = 0.55
    release: float = 0.525
    strength_step: float = 0.1
    cooldown_ns: int = 1_000_000_000
    reaffirm_ns: int = 5_000_000_000


class Target(NamedTuple):
    """A side and the share of the notional to hold on it, 0..1."""

    side: SignalSide
    strength: float


class _Said(NamedTuple):
    target: Target
    time_ns: int


class SignalBook:
    """What was last signalled of each symbol, and what to signal next."""

    def __init__(self, rules: SignalRules) -> None:
        self._rules = rules
        self._said: dict[str, _Said] = {}

    def decide(self, prediction: Prediction, at_ns: int) -> Target | None:
        """The target to signal now, or None; `at_ns` is on the clock that cool-downs run by.

        A model without calibration, or a symbol that is not warm, signals nothing.
        """
        if not (prediction.warm and prediction.calibrated):
            return None
        said = self._said.get(prediction.symbol)
        held = said.target if said else Target(FLAT, 0.0)
        target = self._target(prediction, held.side)
        if not self._is_due(target, said, at_ns):
            return None
        self._said[prediction.symbol] = _Said(target, at_ns)
        return target

    def _target(self, prediction: Prediction, held: SignalSide) -> Target:
        """The Kelly fraction of an even bet, |2p − 1|, on the side that is confident enough."""
        leaning = BUY if prediction.prediction > 0 else SELL
        needed = self._rules.release if leaning is held else self._rules.threshold
        if prediction.confidence < needed:
            return Target(FLAT, 0.0)
        return Target(leaning, abs(prediction.prediction))

    def _is_due(self, target: Target, said: _Said | None, at_ns: int) -> bool:
        if said is None:
            return target.side is not FLAT
        elapsed_ns = at_ns - said.time_ns
        if 0 <= elapsed_ns < self._rules.cooldown_ns:  # a clock that went back (a replay's next loop) has cooled down
            return False
        if target.side is not said.target.side:
            return True
        overdue = not 0 <= elapsed_ns < self._rules.reaffirm_ns
        changed = abs(target.strength - said.target.strength) >= self._rules.strength_step
        return target.side is not FLAT and (overdue or changed)


def decision_time_ns(clock: SignalClock, prediction: Prediction) -> int:
    """The time that cool-downs run by: when the tick was received, or, in a replay, when it happened."""
    lag_ns = prediction.tick_receive_time_ns - prediction.event_time_ns
    by_event = clock == "event" or (clock == "auto" and lag_ns > REPLAY_LAG_NS)
    return prediction.event_time_ns if by_event else prediction.tick_receive_time_ns
