"""Rolling windows over ticks: volume-weighted price, exponential average, realised volatility.

A window reaches over a length of venue time (`vwap:5m`: the ticks of (t - 5 min, t]) or over a number of ticks
(`vwap:500`). Ticks are taken in as columns; each costs the same however long the window is, because a window is the
difference of two running sums. A tick that comes late counts from when it came.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trading.clock import MINUTE_NS, SECOND_NS
from trading.errors import InvalidArgument
from trading.market import Int64Column

Floats = npt.NDArray[np.float64]
TICKS_MOST = 100_000
"""Ticks that a window holds at most; of a busier one the oldest go, and it says that it is not full."""
_FORM = re.compile(r"(vwap|ema|volatility):([1-9][0-9]{0,8})([smh]?)")
_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": 60 * MINUTE_NS}
_FIRST_CAPACITY = 256
_LARGEST_EXPONENT = 600.0  # e to this is still a float64, and e to minus this is nothing beside one


class Measure(StrEnum):
    """What is measured."""

    VWAP = "vwap"
    EMA = "ema"
    VOLATILITY = "volatility"


@dataclass(frozen=True, slots=True)
class WindowRule:
    """What is measured over how much: nanoseconds of venue time, or ticks; one of the two is 0."""

    name: str
    measure: Measure
    length_ns: int
    ticks: int


def parse_window(text: str) -> WindowRule:
    """Read `vwap:5m`, `ema:30s`, `volatility:500`; raises InvalidArgument."""
    if (found := _FORM.fullmatch(text)) is None:
        raise InvalidArgument(
            "Expected vwap, ema or volatility, a colon, and a length such as 30s, 5m, 1h or 500 (ticks).",
            field="windows",
            value=text[:32],
        )
    number, unit = int(found[2]), found[3]
    if not unit and number > TICKS_MOST:
        raise InvalidArgument(f"Expected a window of at most {TICKS_MOST} ticks.", field="windows", value=text)
    length_ns = number * _UNITS_NS[unit] if unit else 0
    return WindowRule(text, Measure(found[1]), length_ns, 0 if unit else number)


class Window(Protocol):
    """One rolling window of one symbol."""

    def push(self, times_ns: Int64Column, prices: Floats, sizes: Floats) -> Floats:
        """Take in ticks, oldest first, at least one; the value after each, NaN where there is none yet."""
        ...

    @property
    def count(self) -> int:
        """Ticks in the window."""
        ...

    @property
    def is_full(self) -> bool:
        """It has seen as much as it reaches over."""
        ...


def window(rule: WindowRule) -> Window:
    """A fresh window."""
    made: dict[Measure, Callable[[WindowRule], Window]] = {
        Measure.VWAP: RollingVwap,
        Measure.EMA: RollingEma,
        Measure.VOLATILITY: RollingVolatility,
    }
    return made[rule.measure](rule)


class RollingVwap:
    """Σ price × size / Σ size of the window; NaN while it has no volume."""

    def __init__(self, rule: WindowRule) -> None:
        self._sums = RollingSums(2, rule)

    @property
    def count(self) -> int:
        return self._sums.count

    @property
    def is_full(self) -> bool:
        return self._sums.is_full

    def push(self, times_ns: Int64Column, prices: Floats, sizes: Floats) -> Floats:
        """See `Window.push`."""
        values, volumes = self._sums.push(times_ns, np.stack((prices * sizes, sizes)))
        averages = np.full(len(values), np.nan)
        np.divide(values, volumes, out=averages, where=volumes > 0)
        return averages


class RollingVolatility:
    """√Σ r² of the log returns r that end in the window: the realised volatility over it, not annualised."""

    def __init__(self, rule: WindowRule) -> None:
        self._sums = RollingSums(1, rule)
        self._last = np.nan

    @property
    def count(self) -> int:
        return self._sums.count

    @property
    def is_full(self) -> bool:
        return self._sums.is_full

    def push(self, times_ns: Int64Column, prices: Floats, sizes: Floats) -> Floats:
        """See `Window.push`."""
        returns = np.diff(np.log(np.concatenate(([self._last], prices))))
        self._last = float(prices[-1])
        (squares,) = self._sums.push(times_ns, np.nan_to_num(returns * returns)[None, :])
        # A difference of two sums may fall below nothing by a rounding.
        volatilities: Floats = np.sqrt(np.maximum(squares, 0.0))
        return volatilities


class RollingSums:
    """Sums of several columns over the last so many ticks, or the ticks of the last so much time."""

    def __init__(self, columns: int, rule: WindowRule) -> None:
        self._length_ns = rule.length_ns
        self._ticks_most = rule.ticks or TICKS_MOST
        self._times = np.empty(_FIRST_CAPACITY, np.int64)
        self._sums = np.zeros((columns, _FIRST_CAPACITY + 1))
        self._start, self._end = 0, 0
        self._first_ns: int | None = None
        self._wanted_ticks, self._seen = rule.ticks, 0

    @property
    def count(self) -> int:
        """Ticks in the window."""
        return self._end - self._start

    @property
    def is_full(self) -> bool:
        """As many ticks have come as it wants, or ticks over all of its time, and it holds them."""
        if self._wanted_ticks:
            return self._seen >= self._wanted_ticks
        if self.count == self._ticks_most:
            return False
        return self._first_ns is not None and int(self._times[self._end - 1]) - self._first_ns >= self._length_ns

    def push(self, times_ns: Int64Column, values: Floats) -> Floats:
        """Take in N ticks, values of shape (columns, N); the window's sums after each, of the same shape."""
        added = len(times_ns)
        self._make_room(added)
        end = self._end + added
        times, sums = self._times, self._sums
        times[self._end : end] = times_ns
        np.maximum.accumulate(
            times[max(self._end - 1, self._start) : end], out=times[max(self._end - 1, self._start) : end]
        )
        np.cumsum(values, axis=1, out=sums[:, self._end + 1 : end + 1])
        sums[:, self._end + 1 : end + 1] += sums[:, self._end, None]
        left = self._left(self._end, end)
        self._first_ns = int(times[self._end]) if self._first_ns is None else self._first_ns
        within = sums[:, self._end + 1 : end + 1] - sums[:, left]
        self._start, self._end, self._seen = int(left[-1]), end, self._seen + added
        return within

    def _left(self, begin: int, end: int) -> npt.NDArray[np.intp]:
        """For each new tick, where its window begins."""
        left = np.arange(begin + 1, end + 1) - self._ticks_most
        if self._length_ns:
            known = self._times[self._start : end]
            by_time = np.searchsorted(known, self._times[begin:end] - self._length_ns, side="right") + self._start
            left = np.maximum(left, by_time)
        return np.maximum(left, self._start)

    def _make_room(self, added: int) -> None:
        """Move what is in the window to the front when the end is reached; the sums begin again from 0 there."""
        if self._end + added <= len(self._times):
            return
        kept = self.count
        capacity = max(2 * (kept + added), _FIRST_CAPACITY)
        times, sums = np.empty(capacity, np.int64), np.zeros((len(self._sums), capacity + 1))
        times[:kept] = self._times[self._start : self._end]
        sums[:, : kept + 1] = self._sums[:, self._start : self._end + 1] - self._sums[:, self._start, None]
        self._times, self._sums, self._start, self._end = times, sums, 0, kept


class RollingEma:
    """An exponential average of prices.

    Over a length τ of time: the average over all time, weighted by e^(-age/τ), of the price as it stood. Over N ticks:
    the usual e += α (price - e) with α = 2 / (N + 1).
    """

    def __init__(self, rule: WindowRule) -> None:
        self._length_ns, self._ticks = rule.length_ns, rule.ticks
        # A tick's step on the scale of the average's memory; time has its own.
        self._step = -np.log1p(-2.0 / (rule.ticks + 1)) if rule.ticks > 1 else _LARGEST_EXPONENT
        self._value = self._price = np.nan
        self._first_ns = self._last_ns = 0
        self.count = 0

    @property
    def is_full(self) -> bool:
        """It has seen as much as it is named for; a good third of its weight lies before that."""
        return self.count >= self._ticks if self._ticks else self._last_ns - self._first_ns >= self._length_ns

    def push(self, times_ns: Int64Column, prices: Floats, sizes: Floats) -> Floats:
        """See `Window.push`."""
        if not self.count:
            self._value = self._price = float(prices[0])
            self._first_ns = self._last_ns = int(times_ns[0])
        if self._ticks:
            steps, inputs = np.full(len(prices), self._step), prices
        else:
            times = np.maximum.accumulate(np.concatenate(([self._last_ns], times_ns)))
            steps = np.diff(times) / self._length_ns
            inputs = np.concatenate(([self._price], prices[:-1]))  # what the price was until each tick
            self._last_ns = int(times[-1])
        averages = _decayed(self._value, np.minimum(steps, _LARGEST_EXPONENT), inputs)
        self._value, self._price = float(averages[-1]), float(prices[-1])
        self.count += len(prices)
        return averages


def _decayed(value: float, steps: Floats, inputs: Floats) -> Floats:
    """e_i = e_(i-1) x exp(-step_i) + input_i x (1 - exp(-step_i)), for as many at a time as a float64 can scale."""
    parts = []
    while len(steps):
        ages = np.cumsum(steps)
        size = max(int(np.searchsorted(ages, _LARGEST_EXPONENT, side="right")), 1)
        grown = np.exp(ages[:size])
        weights = np.concatenate(([1.0], grown[:-1])) * np.expm1(steps[:size])
        parts.append((value + np.cumsum(weights * inputs[:size])) / grown)
        value = float(parts[-1][-1])
        steps, inputs = steps[size:], inputs[size:]
    return np.concatenate(parts)
