"""Trades beside quotes over columns: who bought, and which tick carries them; `FeatureState.trade` for many."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Floats, Ticks, carried

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prints:
    """M trades of one symbol, oldest first: prices and sizes in units, `side` +1, −1 or 0 when it is hidden."""

    time_ns: Int64
    price: Floats
    size: Floats
    side: Int64

    def __len__(self) -> int:
        return len(self.time_ns)


def with_trades(ticks: Ticks, time_ns: Int64, trades: Prints) -> Ticks:
    """The ticks, each with the trades since the tick before; a trade at a tick's very time comes after it.

    Trades after the last tick are left out.
    """
    count = len(ticks)
    before = np.searchsorted(time_ns, trades.time_ns, side="right")
    signs = trade_signs(trades, np.where(before > 0, ticks.price[np.maximum(before - 1, 0)], np.nan))
    return replace(
        ticks,
        volume=_sums(before, trades.size, count),
        trades=_sums(before, np.ones(len(trades)), count),
        signs=_sums(before, signs, count),
    )


def without_trades(ticks: Ticks) -> Ticks:
    """The same ticks as a feed of quotes alone shows them."""
    nothing = np.zeros(len(ticks))
    return replace(ticks, volume=nothing, trades=nothing, signs=nothing)


def _sums(ticks: npt.NDArray[np.intp], values: Floats, count: int) -> Floats:
    return np.bincount(ticks, values, count + 1)[:count].astype(np.float64)


def trade_signs(trades: Prints, mid: Floats) -> Floats:
    """Aggressors by Lee and Ready: the side when it is told, else against the mid (NaN: none), else the tick rule."""
    against_mid = np.nan_to_num(np.sign(trades.price - mid))
    change = np.sign(np.diff(trades.price, prepend=trades.price[:1]))
    told = np.where(trades.side != 0, trades.side, np.where(against_mid != 0, against_mid, change))
    return carried(told.astype(np.float64), 0.0)
