"""Predictions against what happened: each waits for its horizon to pass and is then judged, in O(1) per tick.

What happened is told as in training: the mid of the last tick at or before the horizon's end is above, below, or the
mid that the model saw; 1, 0 and ½.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import two_sided
from trading.market import QuoteBlock

Market = tuple[str, str]
"""Venue and symbol."""


class _Waiting(NamedTuple):
    due_ns: int
    price: float
    up: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Figures over the newest `outcomes` predictions whose horizon has passed; None before there are any.

    `brier` is the mean squared error of the probability, None for a model that is not calibrated; `base_rate_brier`
    that of a forecast which always says the window's own share of ups. In `hit_rate` an unchanged mid counts half.
    """

    outcomes: int
    brier: float | None
    base_rate_brier: float | None
    hit_rate: float | None


class Outcomes:
    """The predictions of one version of a model."""

    def __init__(self, horizon_ns: int, *, window: int, waiting: int, calibrated: bool) -> None:
        self._horizon_ns = horizon_ns
        self._calibrated = calibrated
        self._waiting_most = waiting
        self._waiting: dict[Market, deque[_Waiting]] = {}
        self._ups, self._labels = np.zeros(window), np.zeros(window)
        self._judged = 0
        self.skipped = 0
        """Predictions that are not judged, because as many waited for the market to go on as may."""

    def add(self, market: Market, time_ns: int, price: float, up: float) -> None:
        """Note a prediction made of a tick: the mid, and the probability of "up"."""
        waiting = self._waiting.get(market)
        if waiting is None:
            waiting = self._waiting[market] = deque()
        if len(waiting) < self._waiting_most:
            waiting.append(_Waiting(time_ns + self._horizon_ns, price, up))
        else:
            self.skipped += 1

    def settle(self, block: QuoteBlock, newest: int, price_before: float) -> None:
        """Judge what a block of quotes decides; `newest` is its last tick, `price_before` the mid before the block."""
        waiting = self._waiting.get((block.venue, block.symbol))
        if not waiting:
            return
        now_ns = int(block.event_time_ns[newest])
        if now_ns < waiting[-1].due_ns - self._horizon_ns:  # a replay has begun anew
            waiting.clear()
        while waiting and waiting[0].due_ns < now_ns:
            due_ns, price, up = waiting.popleft()
            later = price_before if newest == 0 else _mid_at(block, due_ns, price_before)
            self._judge(up, (later > price) - (later < price))

    def _judge(self, up: float, move: int) -> None:
        place = self._judged % len(self._ups)
        self._ups[place] = up
        self._labels[place] = (move + 1) / 2
        self._judged += 1

    def summary(self) -> Judged:
        """The figures of the window."""
        count = min(self._judged, len(self._ups))
        if not count:
            return Judged(0, None, None, None)
        ups, labels = self._ups[:count], self._labels[:count]
        hits = np.where(ups >= 0.5, labels, 1 - labels)
        return Judged(
            count,
            _mean_square(ups - labels) if self._calibrated else None,
            _mean_square(labels.mean() - labels),
            float(hits.mean()),
        )


def _mid_at(block: QuoteBlock, time_ns: int, price_before: float) -> float:
    """The mid of the last tick of a block at or before a time, or that before the block."""
    there = two_sided(block) & (block.event_time_ns <= time_ns)
    if not there.any():
        return price_before
    place = int(np.flatnonzero(there)[-1])
    return (int(block.bid_nanos[place]) / 1e9 + int(block.ask_nanos[place]) / 1e9) * 0.5


def _mean_square(errors: npt.NDArray[np.float64]) -> float:
    return float((errors * errors).mean())
