"""Momentum bursts: the simulator's own edge, which order flow gives away from their first moment.

A burst is a few seconds in which the mid drifts one way. From its first tick trades come faster and mostly on that
side, and displayed sizes lean the same way, so a model that watches the flow can honestly tell what follows. Nothing
like it is claimed of real markets; `enabled=False` takes it out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class BurstRules:
    """How bursts come and what they look like."""

    enabled: bool = True
    mean_pause_s: float = 22.0
    """Mean of the exponential pause between two bursts of one symbol, in seconds."""
    shortest_s: float = 5.0
    longest_s: float = 9.0
    drift: float = 1.5
    """Drift of the log price per second, in standard deviations of its quiet one-second move."""
    one_sided: float = 0.90
    """Share of the trades' balance that the burst takes: 0.9 makes 95 % of them fall on its side."""
    trade_rate_factor: float = 3.0
    size_lean: float = 0.8
    """Log change of the displayed sizes: the burst's side × e^lean, the other side × e^-lean."""

    @property
    def variance_factor(self) -> float:
        """Variance of the price with bursts over that without, so that both markets can be equally volatile."""
        if not self.enabled:
            return 1.0
        mean = (self.shortest_s + self.longest_s) / 2
        mean_square = (self.shortest_s**2 + self.shortest_s * self.longest_s + self.longest_s**2) / 3
        return 1.0 + self.drift**2 * mean_square / (self.mean_pause_s + mean)


class BurstSchedule:
    """When the bursts of one symbol run, and which way; drawn as time goes on."""

    def __init__(self, rules: BurstRules, random: np.random.Generator) -> None:
        self._rules = rules
        self._random = random
        self._start_s, self._end_s, self._direction = 0.0, 0.0, 0.0
        self._draw(after_s=0.0)

    def directions(self, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """+1 or −1 while a burst runs, else 0, at each of the ascending times since the start."""
        found = np.zeros(len(times_s))
        while self._rules.enabled and self._start_s <= times_s[-1]:
            found[(times_s >= self._start_s) & (times_s < self._end_s)] = self._direction
            if self._end_s > times_s[-1]:
                break
            self._draw(after_s=self._end_s)
        return found

    def _draw(self, after_s: float) -> None:
        self._start_s = after_s + float(self._random.exponential(self._rules.mean_pause_s))
        self._end_s = self._start_s + float(self._random.uniform(self._rules.shortest_s, self._rules.longest_s))
        self._direction = 1.0 if self._random.random() < 0.5 else -1.0
