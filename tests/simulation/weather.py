"""How bad a simulated world is: probabilities, latencies and outages, all drawn from its seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

STORM_S = 30.0
"""Faults happen this long after the start of a world; then it clears up."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities of each fault, latencies (s), and when what breaks (s after the start, s it lasts).

    `crashes` are counted in steps: things that pass between the process and the world.
    """

    lost_before: float = 0.0
    lost_after: float = 0.0
    error_before: float = 0.0
    error_after: float = 0.0
    too_many: float = 0.0
    refused: float = 0.0
    rejected_later: float = 0.0
    told_twice: float = 0.0
    overtaken: float = 0.0
    never_told: float = 0.0
    unpublished: float = 0.0
    slow: float = 0.0
    usual_latency_s: float = 0.02
    slow_latency_s: float = 2.5
    disconnects: Sequence[float] = field(default=())
    outages: Sequence[tuple[float, float]] = field(default=())
    crashes: frozenset[int] = frozenset()

    def latency_s(self, chance: random.Random) -> float:
        """How long something takes on its way."""
        longest = self.slow_latency_s if chance.random() < self.slow else self.usual_latency_s
        return chance.uniform(0.0005, longest)

    def cleared(self) -> "Weather":
        """The same world once nothing goes wrong any more."""
        return CLEAR


CLEAR = Weather()


def drawn(chance: random.Random) -> Weather:
    """The weather of a seed: each fault is absent in half of the worlds, so that rare pairs meet alone too."""

    def sometimes(most: float) -> float:
        return chance.uniform(0, most) if chance.random() < 0.5 else 0.0

    moments = [chance.uniform(0, STORM_S) for _ in range(chance.choice((0, 0, 1, 2, 4)))]
    outages = [(chance.uniform(0, STORM_S), chance.uniform(0.01, 4)) for _ in range(chance.choice((0, 0, 1, 3)))]
    crashes = frozenset(chance.randrange(5, 250) for _ in range(chance.choice((0, 1, 1, 2, 4))))
    return replace(
        CLEAR,
        lost_before=sometimes(0.3),
        lost_after=sometimes(0.3),
        error_before=sometimes(0.2),
        error_after=sometimes(0.2),
        too_many=sometimes(0.2),
        refused=sometimes(0.2),
        rejected_later=sometimes(0.2),
        told_twice=sometimes(0.4),
        overtaken=sometimes(0.5),
        never_told=sometimes(0.1),
        unpublished=sometimes(0.3),
        slow=sometimes(0.3),
        disconnects=tuple(sorted(moments)),
        outages=tuple(sorted(outages)),
        crashes=crashes,
    )
